import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT } from 'jose';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { codeOf, ServerHarness } from '../../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../../integration/server/support/wire.ts';

const ASK = '{ userStatus(userId: "bob") { version } }';
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

/** Serves what `keys` says at the moment; an error status for null. */
const jwksOf = async (keys: () => Promise<object[]> | null): Promise<URL> => {
  const server = createServer((_request, response) => {
    const answer = keys();
    if (answer === null) return void response.writeHead(500).end('{}');
    void answer.then((list) => response.end(JSON.stringify({ keys: list })));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`);
};

const jwk = async (key: KeyObject, more: object = {}): Promise<object> => ({ ...(await exportJWK(key)), ...more });

describe('a JWKS', () => {
  test('checks RSA, ECDSA and EdDSA, also when two keys fit and none is named', async () => {
    const another = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwksUrl = await jwksOf(() =>
      Promise.all([
        jwk(rsa.publicKey, { kid: 'rsa' }),
        jwk(another.publicKey),
        jwk(ec.publicKey),
        jwk(ed.publicKey, { kid: 'ed', alg: 'EdDSA' }),
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
      expect(codeOf(await harness.post(ASK, token))).toBeUndefined();
    }
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    for (const token of [
      await sign('ES256', stranger.privateKey),
      await sign('EdDSA', ed.privateKey, 'nobody'),
      await harness.jwt('alice'),
    ]) {
      expect(codeOf(await harness.post(ASK, token))).toBe('UNAUTHENTICATED');
    }
  });

  test.each(['with', 'without'])(
    'is no shared secret: its public key signs no HS256 (%s a secret beside it)',
    async (w) => {
      const jwksUrl = await jwksOf(() => Promise.all([jwk(rsa.publicKey, { kid: 'rsa' })]));
      const harness = await ServerHarness.open({
        settings: { jwksUrl, ...(w === 'without' ? { jwtSecret: null } : {}) },
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
        expect(codeOf(await harness.post(ASK, forged))).toBe('UNAUTHENTICATED');
      }
      expect(codeOf(await harness.post(ASK, await sign('RS256', rsa.privateKey, 'rsa')))).toBeUndefined();
    },
  );

  test('beside a secret: each checks its own algorithms', async () => {
    const jwksUrl = await jwksOf(() => Promise.all([jwk(rsa.publicKey)]));
    const harness = await ServerHarness.open({ settings: { jwksUrl } });
    expect(codeOf(await harness.post(ASK, await harness.jwt('alice')))).toBeUndefined();
    expect(codeOf(await harness.post(ASK, await sign('RS256', rsa.privateKey)))).toBeUndefined();
  });

  test('that cannot be had is our fault, and may be tried again', async () => {
    let isUp = false;
    const jwksUrl = await jwksOf(() => (isUp ? Promise.all([jwk(rsa.publicKey)]) : null));
    const harness = await ServerHarness.open({ settings: { jwksUrl } });
    const token = await sign('RS256', rsa.privateKey);
    const { body } = await harness.post(ASK, token);
    expect(body.errors?.[0]?.extensions).toEqual({ code: 'OVERLOADED', retryAfterMs: 5_000 });
    const wire = new TestSocket(harness.socketUrl);
    await wire.init({ authorization: `Bearer ${token}` });
    expect((await wire.closed).code).toBe(1013);
    expect(harness.logged.join('')).toContain('The JWKS is unavailable or has secret keys');
    isUp = true;
    // It was said when.
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 5_000);
    expect(codeOf(await harness.post(ASK, token))).toBeUndefined();
  });
});
