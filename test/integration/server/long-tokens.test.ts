/** Tokens that list many users, and the limits of what an unauthenticated caller may send. */
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { exportJWK, SignJWT } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { codeOf, LOGIN, ServerHarness } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';
import { parseStatuses, sendRawBytes } from './support/assert-still-serving.ts';

const KIB = 1_024;
const FRIENDS = Array.from({ length: 500 }, () => randomUUID());
const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status } }';
const QUERY = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }';

interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

const readAnswer = async (response: IncomingMessage): Promise<HttpAnswer> => ({
  status: response.statusCode ?? 0,
  headers: response.headers,
  body: await text(response),
});

const get = (harness: ServerHarness, headers: Record<string, string>): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    httpRequest(`${harness.url}/graphql?query={__typename}`, { headers }, (response) => {
      readAnswer(response).then(resolve, reject);
    })
      .once('error', reject)
      .end();
  });

/** The response to an upgrade that is rejected. */
const getRejection = (harness: ServerHarness, headers: Record<string, string>): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    const { webSocket } = new TestSocket(harness.socketUrl, { headers });
    webSocket.once('open', () => reject(new Error('The upgrade was accepted.')));
    webSocket.once('unexpected-response', (_request, response) => void readAnswer(response).then(resolve, reject));
  });

/** Starts a JWKS and returns its URL, and a function that signs a token with the private key. */
const startJwks = async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] });
  const http = createServer((_request, response) => void response.end(keys));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void http.close());
  return {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/jwks.json`),
    sign: (claims: Record<string, unknown>) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256' })
        .setSubject('alice')
        .setExpirationTime('1h')
        .sign(privateKey),
  };
};

describe('a token that lists 500 users by UUID', () => {
  const KINDS = ['HS256', 'ES256 of a JWKS'] as const;
  const openWith = async (kind: (typeof KINDS)[number]): Promise<{ harness: ServerHarness; jwt: string }> => {
    const jwks = kind === 'HS256' ? null : await startJwks();
    const harness = await ServerHarness.open({ visibility: 'none', settings: { jwksUrl: jwks?.url ?? null } });
    const claims = { watch: FRIENDS };
    const jwt = jwks === null ? await harness.jwt('alice', claims) : await jwks.sign(claims);
    expect(jwt.length).toBeGreaterThan(25 * KIB);
    return { harness, jwt };
  };

  test.each(KINDS)('logs in over HTTP, and its session watches all of them (%s)', async (kind) => {
    const { harness, jwt } = await openWith(kind);
    const login = await harness.post(LOGIN, jwt, { input: { platform: 'WEB' } });
    expect(login.body.errors).toBeUndefined();
    const { sessionToken } = login.body.data?.['login'] as unknown as { sessionToken: string };
    // The session keeps the list, so its token is short.
    expect(sessionToken.length).toBeLessThan(200);
    for (const token of [jwt, sessionToken]) {
      expect((await harness.post(QUERY, token, { ids: FRIENDS })).body.data?.['userStatuses']).toHaveLength(500);
      expect(codeOf(await harness.post(QUERY, token, { ids: [randomUUID()] }))).toBe('FORBIDDEN');
    }
    const socket = await TestSocket.connect(harness.socketUrl, sessionToken);
    socket.subscribe(WATCH, { ids: FRIENDS });
    expect((await socket.nextMessage()).payload?.['data']?.['statusChanges']).toHaveLength(500);
    await harness.login(FRIENDS[499] ?? '');
    expect(await socket.nextMessage()).toMatchObject({
      payload: { data: { statusChanges: [{ userId: FRIENDS[499], status: 'ONLINE' }] } },
    });
  });

  test.each(KINDS)('logs in over a socket that has it in connection_init or in the upgrade (%s)', async (kind) => {
    const { harness, jwt } = await openWith(kind);
    const byPayload = await TestSocket.connect(harness.socketUrl, jwt);
    const byUpgrade = new TestSocket(harness.socketUrl, { headers: { authorization: `Bearer ${jwt}` } });
    await byUpgrade.sendInit();
    expect((await byUpgrade.nextMessage()).type).toBe('connection_ack');
    for (const socket of [byPayload, byUpgrade]) {
      const login = await socket.execute(LOGIN, { input: { platform: 'WEB', deviceId: 'one' } });
      expect(login).toMatchObject({ type: 'next', payload: { data: { login: { session: {} } } } });
      socket.subscribe(WATCH, { ids: FRIENDS });
      expect((await socket.nextMessage()).payload?.['data']?.['statusChanges']).toHaveLength(500);
    }
  });
});

describe('the limit of 32 KiB for a token', () => {
  const LONGEST = 'k'.repeat(32 * KIB);
  const TOO_LONG = `${LONGEST}k`;
  const REASON = 'The token has 32769 characters, at most 32768 (32 KiB) are allowed: shorten its claim watch.';
  const digest = (key: string): Buffer => createHash('sha256').update(key).digest();
  const open = (): Promise<ServerHarness> =>
    ServerHarness.open({ settings: { apiKeys: [LONGEST, TOO_LONG].map(digest) } });

  test('accepts a token of that length over every transport', async () => {
    const harness = await open();
    expect((await harness.post('{ stats { sockets } }', LONGEST)).body.errors).toBeUndefined();
    await TestSocket.connect(harness.socketUrl, LONGEST);
    const byUpgrade = new TestSocket(harness.socketUrl, { headers: { authorization: `Bearer ${LONGEST}` } });
    await byUpgrade.sendInit();
    expect((await byUpgrade.nextMessage()).type).toBe('connection_ack');
  });

  test('rejects a longer token over every transport with the limit in the error', async () => {
    const harness = await open();
    const { body } = await harness.post('{ stats { sockets } }', TOO_LONG);
    expect(body.errors).toMatchObject([{ message: REASON, extensions: { code: 'UNAUTHENTICATED' } }]);
    const byPayload = new TestSocket(harness.socketUrl);
    await byPayload.sendInit({ authorization: `Bearer ${TOO_LONG}` });
    expect(await byPayload.closed).toEqual({ code: 4401, reason: REASON });
    const byUpgrade = new TestSocket(harness.socketUrl, { headers: { authorization: `Bearer ${TOO_LONG}` } });
    await byUpgrade.sendInit();
    expect(await byUpgrade.closed).toEqual({ code: 4401, reason: `Authorization of the upgrade: ${REASON}` });
  });
});

describe('the limit of 48 KiB for headers', () => {
  const authorizationOf = (kib: number) => ({ authorization: `Bearer ${'k'.repeat(kib * KIB)}` });
  const expectNamedLimit = ({ status, headers, body }: HttpAnswer, limit: RegExp): void => {
    expect([status, headers['content-type']]).toEqual([431, 'application/json; charset=utf-8']);
    expect(JSON.parse(body)).toEqual({
      errors: [{ message: expect.stringMatching(limit) as string, extensions: { code: 'BAD_REQUEST' } }],
    });
  };

  test('is above that for tokens: up to it, the error names the limit of the token', async () => {
    const harness = await ServerHarness.open();
    const { status, body } = await get(harness, authorizationOf(47));
    expect([status, body]).toEqual([200, expect.stringContaining('at most 32768 (32 KiB)')]);
  });

  test('is named in the body of 431, for a request and for an upgrade', async () => {
    const harness = await ServerHarness.open();
    expectNamedLimit(await get(harness, authorizationOf(48)), /more than 48 KiB together/);
    expectNamedLimit(await getRejection(harness, authorizationOf(48)), /more than 48 KiB together/);
    expectNamedLimit(await get(harness, authorizationOf(500)), /more than 48 KiB together/);
    expect((await harness.metrics()).get('porchlight_http_responses_total{status="4xx"}')).toBe(3);
  });

  test('comes with a limit of 256 fields, beyond which none is dropped silently', async () => {
    const harness = await ServerHarness.open();
    const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, '1']));
    // node:http adds Host and Connection, and an upgrade has five more fields.
    expect((await get(harness, fields(254))).status).toBe(200);
    expectNamedLimit(await get(harness, fields(255)), /more than 256 header fields/);
    expectNamedLimit(await getRejection(harness, fields(255)), /more than 256 header fields/);
  });

  test('has its own words for a request that is not HTTP', async () => {
    const harness = await ServerHarness.open();
    const answer = await sendRawBytes(harness, 'GET / HTTP/1.1\r\nHost : x\r\n\r\n');
    expect(parseStatuses(answer)).toEqual([400]);
    expect(answer).toContain('"message":"This is not a valid HTTP/1.1 request."');
  });
});
