/** A JWKS endpoint that fails, is slow, or returns hostile content. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT, type JWK } from 'jose';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { JWKS_MAX_AGE_MS, JWKS_RETRY_AFTER_MS } from '../../../../src/server/auth/jwks.ts';
import { codeOf, ServerHarness } from '../support/server-harness.ts';
import { expectStillServing } from '../support/assert-still-serving.ts';

afterEach(() => void vi.restoreAllMocks());

const QUERY = '{ userStatus(userId: "bob") { version } }';
const pairOne = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pairTwo = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = async (key: KeyObject, more: object = {}): Promise<JWK> => ({ ...(await exportJWK(key)), ...more });

const sign = (key: KeyObject, kid?: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', ...(kid === undefined ? {} : { kid }) })
    .setSubject('alice')
    .setExpirationTime(Math.floor(Date.now() / 1_000) + 10 * 86_400)
    .sign(key);

/** Starts a JWKS server whose behaviour (`respond`) can be replaced, and which counts its requests. */
const serve = async (first: RequestListener): Promise<{ url: URL; requests: number; respond: RequestListener }> => {
  const keys = { url: new URL('http://x'), requests: 0, respond: first };
  const http = createServer((request, response) => {
    keys.requests++;
    keys.respond(request, response);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    http.closeAllConnections();
    http.close();
  });
  keys.url = new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/jwks.json`);
  return keys;
};

const answer =
  (
    body: string,
    status = 200,
    headers: Record<string, string> = { 'content-type': 'application/json' },
  ): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);
const keySet = (...keys: JWK[]): RequestListener => answer(JSON.stringify({ keys }));

const clocks = { date: Date.now.bind(Date), steady: performance.now.bind(performance) };
/** Advances both clocks in use: `Date.now` and the steady clock. */
const advanceClocks = (ms: number): void => {
  vi.spyOn(Date, 'now').mockImplementation(() => clocks.date() + ms);
  vi.spyOn(performance, 'now').mockImplementation(() => clocks.steady() + ms);
};

const open = (url: URL): Promise<ServerHarness> => ServerHarness.open({ settings: { jwksUrl: url } });

describe('an unusable JWKS', () => {
  const secret = { kty: 'oct', k: 'AAAA', kid: 'one', alg: 'HS256' };
  test.each<[string, () => RequestListener | Promise<RequestListener>]>([
    ['an HTTP error', () => answer('{}', 500)],
    ['404', () => answer('{"keys":[]}', 404)],
    ['an HTML page', () => answer('<!doctype html><title>Log in</title>', 200, { 'content-type': 'text/html' })],
    ['a redirect', () => answer('', 302, { location: 'http://169.254.169.254/latest/meta-data' })],
    ['null', () => answer('null')],
    ['a JSON list', () => answer('[]')],
    ['an object instead of a list of keys', () => answer('{"keys":{}}')],
    ['a list without keys', () => answer('{"keys":[1,null,"x"]}')],
    ['truncated JSON', () => answer('{"keys":[')],
    ['JSON nested 100,000 levels deep', () => answer(`{"keys":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)],
    [
      '3 MB of JSON',
      async () => answer(JSON.stringify({ keys: [await jwk(pairOne.publicKey)], more: 'x'.repeat(3_000_000) })),
    ],
    ['a closed connection', () => (request) => void request.socket.destroy()],
  ])(
    'is logged, answered with OVERLOADED and not fetched again before the retry delay: %s',
    async (_what, createListener) => {
      const keys = await serve(await createListener());
      const harness = await open(keys.url);
      for (let times = 0; times < 5; times++) {
        const { body } = await harness.post(QUERY, await sign(pairOne.privateKey, `${times}`));
        expect(body.errors?.[0]?.extensions).toEqual({ code: 'OVERLOADED', retryAfterMs: JWKS_RETRY_AFTER_MS });
      }
      expect(keys.requests).toBe(1);
      expect(harness.logLines.filter((line) => line.includes('The JWKS is unavailable'))).toHaveLength(1);
      keys.respond = keySet(await jwk(pairOne.publicKey));
      advanceClocks(JWKS_RETRY_AFTER_MS);
      expect(codeOf(await harness.post(QUERY, await sign(pairOne.privateKey)))).toBeUndefined();
      expect(keys.requests).toBe(2);
      await expectStillServing(harness);
    },
  );

  test('ignores private and symmetric keys in the JWKS, because any reader could sign with them, and uses the others', async () => {
    const keys = await serve(
      keySet(await jwk(pairOne.privateKey, { kid: 'one' }), await jwk(pairTwo.publicKey, { kid: 'two' }), secret),
    );
    const harness = await open(keys.url);
    expect(codeOf(await harness.post(QUERY, await sign(pairOne.privateKey, 'one')))).toBe('UNAUTHENTICATED');
    expect(codeOf(await harness.post(QUERY, await sign(pairTwo.privateKey, 'two')))).toBeUndefined();
    expect(harness.logLines.join('')).toContain('secret. They are not used');
    expect(harness.logLines.join('')).not.toContain(String((await jwk(pairOne.privateKey)).d));
  });
});

test('keeps the cached keys for at most JWKS_MAX_AGE_MS while the JWKS endpoint is down', async () => {
  const keys = await serve(keySet(await jwk(pairOne.publicKey, { kid: 'one' })));
  const harness = await open(keys.url);
  const [known, unknown] = [await sign(pairOne.privateKey, 'one'), await sign(pairTwo.privateKey, 'two')];
  expect(codeOf(await harness.post(QUERY, known))).toBeUndefined();
  keys.respond = answer('', 503);
  advanceClocks(JWKS_MAX_AGE_MS / 2);
  for (let times = 0; times < 5; times++) expect(codeOf(await harness.post(QUERY, known))).toBeUndefined();
  // The unknown key may be among those that cannot be fetched.
  expect(codeOf(await harness.post(QUERY, unknown))).toBe('OVERLOADED');
  expect(keys.requests).toBe(2);
  advanceClocks(JWKS_MAX_AGE_MS);
  expect(codeOf(await harness.post(QUERY, known))).toBe('OVERLOADED');
});

test('fetches a changed JWKS at most twice a minute and rejects a removed key after ten minutes', async () => {
  const keys = await serve(keySet(await jwk(pairOne.publicKey, { kid: 'one' })));
  const harness = await open(keys.url);
  const [oldToken, newToken] = [await sign(pairOne.privateKey, 'one'), await sign(pairTwo.privateKey, 'two')];
  expect(codeOf(await harness.post(QUERY, oldToken))).toBeUndefined();
  for (let kid = 0; kid < 20; kid++) {
    expect(codeOf(await harness.post(QUERY, await sign(pairTwo.privateKey, `guess ${kid}`)))).toBe('UNAUTHENTICATED');
  }
  expect(keys.requests).toBe(1);
  keys.respond = keySet(await jwk(pairTwo.publicKey, { kid: 'two' }));
  advanceClocks(31_000);
  expect(codeOf(await harness.post(QUERY, newToken))).toBeUndefined();
  expect(codeOf(await harness.post(QUERY, oldToken))).toBe('UNAUTHENTICATED');
  expect(keys.requests).toBe(2);
  keys.respond = keySet(await jwk(pairOne.publicKey, { kid: 'one' }));
  advanceClocks(31_000 + 601_000);
  expect(codeOf(await harness.post(QUERY, newToken))).toBe('UNAUTHENTICATED');
});

test('waits for an unresponsive JWKS endpoint with one request shared by all its tokens, and serves other callers meanwhile', async () => {
  const keys = await serve(() => undefined);
  const harness = await open(keys.url);
  const pendingCodes = Promise.all(
    Array.from({ length: 20 }, async () => codeOf(await harness.post(QUERY, await sign(pairOne.privateKey)))),
  );
  await expect.poll(() => keys.requests).toBe(1);
  await expectStillServing(harness);
  // The request times out after five seconds.
  expect(new Set(await pendingCodes)).toEqual(new Set(['OVERLOADED']));
  expect(codeOf(await harness.post(QUERY, await sign(pairOne.privateKey)))).toBe('OVERLOADED');
  expect(keys.requests).toBe(1);
});

test('with 1,000 keys accepts a token that names its key and rejects one that names none, without trying every key', async () => {
  const others = await Promise.all(
    Array.from({ length: 999 }, async (_, at) => jwk(pairTwo.publicKey, { kid: `${at}` })),
  );
  const keys = await serve(keySet(...others, await jwk(pairOne.publicKey, { kid: 'one' })));
  const harness = await open(keys.url);
  expect(codeOf(await harness.post(QUERY, await sign(pairOne.privateKey, 'one')))).toBeUndefined();
  expect(codeOf(await harness.post(QUERY, await sign(pairOne.privateKey)))).toBe('UNAUTHENTICATED');
});

test('tries every key when several share one key id', async () => {
  const keys = await serve(
    keySet(await jwk(pairTwo.publicKey, { kid: 'same' }), await jwk(pairOne.publicKey, { kid: 'same' })),
  );
  const harness = await open(keys.url);
  for (const { privateKey } of [pairOne, pairTwo])
    expect(codeOf(await harness.post(QUERY, await sign(privateKey, 'same')))).toBeUndefined();
  const unrelatedPair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  expect(codeOf(await harness.post(QUERY, await sign(unrelatedPair.privateKey, 'same')))).toBe('UNAUTHENTICATED');
});
