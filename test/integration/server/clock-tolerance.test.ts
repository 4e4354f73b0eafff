/** JWTs of a backend whose clock is ahead or behind, and revocations, over both transports. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { codeOf, LOGIN, ServerHarness } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

const TOLERANCE_S = 60;
const QUERY = '{ userStatus(userId: "bob") { version } }';
const REVOKE = 'mutation { endSessions(input: { userId: "alice", revokeTokens: true }) { ended { id } } }';
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });

interface Backend {
  readonly harness: ServerHarness;
  /** Signs a JWT of alice. Times are seconds from now. */
  readonly sign: (times: { exp?: number; nbf?: number; iat?: number }) => Promise<string>;
}

const openBackend = async (kind: 'HS256' | 'ES256'): Promise<Backend> => {
  const jwks = createServer((_request, response) => {
    void exportJWK(ec.publicKey).then((key) => response.end(JSON.stringify({ keys: [key] })));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void jwks.close());
  await once(jwks, 'listening');
  const jwksUrl = new URL(`http://127.0.0.1:${(jwks.address() as AddressInfo).port}/`);
  const harness = await ServerHarness.open({
    settings: {
      jwtClockToleranceMs: TOLERANCE_S * 1_000,
      ...(kind === 'ES256' ? { jwtSecret: null, jwksUrl } : {}),
    },
  });
  const sign: Backend['sign'] = (times) => {
    const now = Math.floor(harness.now / 1_000);
    const claims = Object.fromEntries(
      Object.entries({ exp: 3_600, iat: 0, ...times }).map(([name, seconds]) => [name, now + seconds]),
    );
    return kind === 'HS256'
      ? harness.jwt('alice', claims)
      : new SignJWT({ sub: 'alice', ...claims }).setProtectedHeader({ alg: kind }).sign(ec.privateKey);
  };
  return { harness, sign };
};

const expectAccepted = async ({ harness }: Backend, jwt: string): Promise<void> => {
  expect((await harness.post(QUERY, jwt)).body.errors).toBeUndefined();
  const socket = await TestSocket.connect(harness.socketUrl, jwt);
  expect((await socket.execute(QUERY)).type).toBe('next');
  expect((await harness.post(LOGIN, jwt, { input: { platform: 'WEB' } })).body.errors).toBeUndefined();
};

const expectRejected = async (
  { harness }: Backend,
  jwt: string,
  { message, closeCode, closeReason }: { message: RegExp; closeCode: number; closeReason: RegExp },
): Promise<void> => {
  const { body } = await harness.post(QUERY, jwt);
  expect(body.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
  expect(body.errors?.[0]?.message).toMatch(message);
  const socket = new TestSocket(harness.socketUrl);
  await socket.sendInit({ authorization: `Bearer ${jwt}` });
  const { code, reason } = await socket.closed;
  expect(code).toBe(closeCode);
  expect(reason).toMatch(closeReason);
};

const INVALID = (message: RegExp) => ({ message, closeCode: 4401, closeReason: message });
/** A client reconnects with a new token after 4413, but not after 4401. */
const OUTDATED = (message: RegExp) => ({ message, closeCode: 4413, closeReason: message });
const EXPIRED = { message: /^The token has expired\./, closeCode: 4413, closeReason: /^The token has expired$/ };

// The clock runs on, so the times keep a distance of ten seconds from the exact limits.
describe.each(['HS256', 'ES256'] as const)('with JWTs signed with %s', (kind) => {
  test('a backend whose clock is 50 s ahead or behind is accepted over both transports', async () => {
    const backend = await openBackend(kind);
    for (const times of [{ exp: -50 }, { nbf: 50 }, { iat: 50 }, { iat: -50 }, { iat: 50, nbf: 50, exp: 60 }]) {
      await expectAccepted(backend, await backend.sign(times));
    }
  });

  test('a JWT that is further off is rejected with words over both transports', async () => {
    const backend = await openBackend(kind);
    await expectRejected(backend, await backend.sign({ exp: -70 }), EXPIRED);
    await expectRejected(
      backend,
      await backend.sign({ nbf: 70 }),
      INVALID(/claim nbf is \d+ s in the future\. PORCHLIGHT_JWT_CLOCK_TOLERANCE allows 60 s\.$/),
    );
  });

  test('a JWT with times in milliseconds is rejected with the right value over both transports', async () => {
    const backend = await openBackend(kind);
    const inMilliseconds = (claim: string) => ({
      [claim]: backend.harness.now - Math.floor(backend.harness.now / 1_000),
    });
    for (const claim of ['exp', 'nbf', 'iat']) {
      await expectRejected(
        backend,
        await backend.sign(inMilliseconds(claim)),
        INVALID(new RegExp(`claim ${claim} is \\d{13}, in milliseconds\\. It must be in seconds: \\d{10}\\.$`)),
      );
    }
  });

  test('after a revocation, a JWT is accepted only if its iat is later by the tolerance, over both transports', async () => {
    const backend = await openBackend(kind);
    const { harness, sign } = backend;
    const before = await sign({ iat: 50 });
    await expectAccepted(backend, before);
    await harness.post(REVOKE);
    await expectRejected(
      backend,
      before,
      OUTDATED(/^The token was issued \d+ s after a revocation, but at least 60 s/),
    );
    await expectRejected(
      backend,
      await sign({ iat: 2 }),
      OUTDATED(/^The token was issued \d s after a revocation, but at least 60 s are needed/),
    );
    await expectRejected(backend, await sign({ iat: -5 }), INVALID(/^The token has been revoked\.$/));
    expect(codeOf(await harness.post(LOGIN, before, { input: { platform: 'WEB' } }))).toBe('UNAUTHENTICATED');
    expect(await harness.status('alice')).toBe('OFFLINE');

    // A backend that does not want to wait signs the next JWT in advance.
    await expectAccepted(backend, await sign({ iat: 70 }));
    harness.advanceClock(TOLERANCE_S * 1_000 + 1_000);
    await expectAccepted(backend, await sign({}));
    await expectRejected(backend, before, OUTDATED(/^The token was issued/));
  });

  test('a revocation closes the sockets of JWTs that are less than the tolerance ahead, and no others', async () => {
    const { harness, sign } = await openBackend(kind);
    const closing = await Promise.all(
      [{ iat: -50 }, {}, { iat: 50 }].map(async (times) => TestSocket.connect(harness.socketUrl, await sign(times))),
    );
    const later = await TestSocket.connect(harness.socketUrl, await sign({ iat: 120 }));
    await harness.post(REVOKE);
    for (const socket of closing) {
      expect(await socket.closed).toEqual({ code: 4413, reason: 'The token has been revoked' });
    }
    expect((await later.execute(QUERY)).type).toBe('next');
  });

  test('an open socket is closed with 4413 when the tolerance after its exp is over, as a new one is', async () => {
    const backend = await openBackend(kind);
    const { harness, sign } = backend;
    const exp = Math.floor(harness.now / 1_000) + 4 - TOLERANCE_S;
    const jwt = await sign({ exp: exp - Math.floor(harness.now / 1_000) });
    const socket = await TestSocket.connect(harness.socketUrl, jwt);
    expect(await socket.closed).toEqual({ code: 4413, reason: 'The token has expired' });
    expect(harness.now).toBeGreaterThanOrEqual((exp + TOLERANCE_S) * 1_000);
    await expectRejected(backend, jwt, EXPIRED);
  });
});

test('a stream of events ends when the tolerance after the exp of its JWT is over', async () => {
  const { harness, sign } = await openBackend('HS256');
  const response = await fetch(`${harness.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${await sign({ exp: 4 - TOLERANCE_S })}`,
    },
    body: JSON.stringify({ query: 'subscription { statusChanges(userIds: ["bob"]) { status } }' }),
  });
  const text = await response.text();
  expect(text).toContain('"status":"OFFLINE"');
  expect(text).toContain('The token has expired.');
});
