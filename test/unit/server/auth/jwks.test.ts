import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT } from 'jose';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { codeOf, ServerHarness } from '../../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../../integration/server/support/test-socket.ts';

const QUERY = '{ userStatus(userId: "bob") { version } }';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');

afterEach(() => void vi.restoreAllMocks());

const sign = (alg: string, key: KeyObject, kid?: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader(kid === undefined ? { alg } : { alg, kid })
    .setSubject('alice')
    .setExpirationTime(Math.floor(Date.now() / 1_000) + 60)
    .sign(key);

/** Serves the key set that `keys` returns at each request; status 500 for null. */
const serveJwks = async (keys: () => Promise<object[]> | null): Promise<URL> => {
  const server = createServer((_request, response) => {
    const answer = keys();
    if (answer === null) return void response.writeHead(500).end('{}');
    void answer.then((list) => response.end(JSON.stringify({ keys: list })));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`);
};

const toJwk = async (key: KeyObject, more: object = {}): Promise<object> => ({ ...(await exportJWK(key)), ...more });

describe('tokens checked with a JWKS', () => {
  test('are accepted with RSA, ECDSA and EdDSA signatures, also when several keys match and the token names none', async () => {
    const another = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwksUrl = await serveJwks(() =>
      Promise.all([
        toJwk(rsa.publicKey, { kid: 'rsa' }),
        toJwk(another.publicKey),
        toJwk(ec.publicKey),
        toJwk(ed.publicKey, { kid: 'ed', alg: 'EdDSA' }),
      ]),
    );
    const harness = await ServerHarness.open({ settings: { jwksUrl, jwtSecret: null } });
    for (const token of [
      await sign('RS256', rsa.privateKey, 'rsa'),
      await sign('PS256', rsa.privateKey, 'rsa'),
      await sign('RS512', rsa.privateKey, 'rsa'),
      await sign('ES256', ec.privateKey),
      await sign('EdDSA', ed.privateKey, 'ed'),
    ]) {
      expect(codeOf(await harness.post(QUERY, token))).toBeUndefined();
    }
    const unknownKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    for (const token of [
      await sign('ES256', unknownKey.privateKey),
      await sign('EdDSA', ed.privateKey, 'unknown-kid'),
      await harness.jwt('alice'),
    ]) {
      expect(codeOf(await harness.post(QUERY, token))).toBe('UNAUTHENTICATED');
    }
  });

  test.each(['with', 'without'])(
    'are rejected with an HS256 signature made with a public key of the set, %s a configured secret',
    async (withOrWithout) => {
      const jwksUrl = await serveJwks(() => Promise.all([toJwk(rsa.publicKey, { kid: 'rsa' })]));
      const harness = await ServerHarness.open({
        settings: { jwksUrl, ...(withOrWithout === 'without' ? { jwtSecret: null } : {}) },
      });
      const claims = { sub: 'alice', exp: Math.floor(Date.now() / 1_000) + 60 };
      const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      for (const publicKey of [
        rsa.publicKey.export({ type: 'spki', format: 'pem' }),
        rsa.publicKey.export({ type: 'spki', format: 'der' }),
        JSON.stringify(await exportJWK(rsa.publicKey)),
      ]) {
        const signed = `${encode({ alg: 'HS256', kid: 'rsa' })}.${encode(claims)}`;
        const forged = `${signed}.${createHmac('sha256', publicKey).update(signed).digest('base64url')}`;
        expect(codeOf(await harness.post(QUERY, forged))).toBe('UNAUTHENTICATED');
      }
      expect(codeOf(await harness.post(QUERY, await sign('RS256', rsa.privateKey, 'rsa')))).toBeUndefined();
    },
  );

  test('are accepted beside HS256 tokens when a secret is configured too', async () => {
    const jwksUrl = await serveJwks(() => Promise.all([toJwk(rsa.publicKey)]));
    const harness = await ServerHarness.open({ settings: { jwksUrl } });
    expect(codeOf(await harness.post(QUERY, await harness.jwt('alice')))).toBeUndefined();
    expect(codeOf(await harness.post(QUERY, await sign('RS256', rsa.privateKey)))).toBeUndefined();
  });

  test('are rejected with OVERLOADED while the JWKS is unavailable, and accepted at the next attempt after 5 s', async () => {
    let isUp = false;
    const jwksUrl = await serveJwks(() => (isUp ? Promise.all([toJwk(rsa.publicKey)]) : null));
    const harness = await ServerHarness.open({ settings: { jwksUrl } });
    const token = await sign('RS256', rsa.privateKey);
    const { body } = await harness.post(QUERY, token);
    expect(body.errors?.[0]?.extensions).toEqual({ code: 'OVERLOADED', retryAfterMs: 5_000 });
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ authorization: `Bearer ${token}` });
    expect((await socket.closed).code).toBe(1013);
    expect(harness.logLines.join('')).toContain('The JWKS is unavailable or has secret keys');
    isUp = true;
    // The next attempt is due 5 s later, as retryAfterMs says.
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 5_000);
    expect(codeOf(await harness.post(QUERY, token))).toBeUndefined();
  });
});
