/** The times of a JWT, to the millisecond, with the same results for a shared secret and for the keys of a JWKS. */
import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ExpiredTokenError } from '../../../../src/app/ports/user-token.ts';
import { toMillis } from '../../../../src/core/ids.ts';
import { JwtVerifier } from '../../../../src/server/auth/jwt.ts';

const NOW_S = 1_800_000_000;
const TOLERANCE_MS = 60_000;
const secret = createSecretKey(Buffer.from('a shared secret of at least 32 bytes', 'utf8'));
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const jwks = createServer((_request, response) => {
  void exportJWK(ec.publicKey).then((key) => response.end(JSON.stringify({ keys: [key] })));
});
beforeAll(async () => {
  jwks.listen(0, '127.0.0.1');
  await once(jwks, 'listening');
});
afterAll(() => void jwks.close());

const createVerifier = (kind: Kind, jwtClockToleranceMs: number): JwtVerifier =>
  new JwtVerifier(
    {
      jwtSecret: kind === 'HS256' ? secret : null,
      jwksUrl: kind === 'HS256' ? null : new URL(`http://127.0.0.1:${(jwks.address() as AddressInfo).port}/`),
      jwtIssuer: null,
      jwtAudience: null,
      jwtClockToleranceMs,
    },
    (error) => {
      throw error;
    },
  );

const KINDS = ['HS256', 'ES256'] as const;
type Kind = (typeof KINDS)[number];

describe.each(KINDS)('a JWT signed with %s', (kind) => {
  const verify = async (claims: JWTPayload, nowMs: number, toleranceMs = TOLERANCE_MS) => {
    const token = await new SignJWT({ sub: 'alice', exp: NOW_S + 3_600, ...claims })
      .setProtectedHeader({ alg: kind })
      .sign(kind === 'HS256' ? secret : ec.privateKey);
    return createVerifier(kind, toleranceMs).verifyToken(token, toMillis(nowMs));
  };

  test.each([
    [0, NOW_S * 1_000],
    [1_500, NOW_S * 1_000 + 1_500],
    [60_000, (NOW_S + 60) * 1_000],
    [600_000, (NOW_S + 600) * 1_000],
  ])('with a tolerance of %i ms expires that long after its exp, to the millisecond', async (toleranceMs, endMs) => {
    expect(await verify({ exp: NOW_S }, endMs - 1, toleranceMs)).toMatchObject({ expiresAt: endMs });
    await expect(verify({ exp: NOW_S }, endMs, toleranceMs)).rejects.toBeInstanceOf(ExpiredTokenError);
    await expect(verify({ exp: 0 }, endMs, toleranceMs)).rejects.toBeInstanceOf(ExpiredTokenError);
  });

  test.each([
    [0, NOW_S * 1_000, '0 s'],
    [1_500, NOW_S * 1_000 - 1_500, '1.5 s'],
    [60_000, (NOW_S - 60) * 1_000, '60 s'],
    [600_000, (NOW_S - 600) * 1_000, '600 s'],
  ])(
    'with a tolerance of %i ms is accepted that long before its nbf, to the millisecond',
    async (toleranceMs, startMs, tolerance) => {
      expect(await verify({ nbf: NOW_S }, startMs, toleranceMs)).toMatchObject({ userId: 'alice' });
      await expect(verify({ nbf: NOW_S }, startMs - 1, toleranceMs)).rejects.toMatchObject({
        details: { code: 'UNAUTHENTICATED' },
        message: `The token’s claim nbf is ${Math.ceil((toleranceMs + 1) / 1_000)} s in the future. PORCHLIGHT_JWT_CLOCK_TOLERANCE allows ${tolerance}.`,
      });
    },
  );

  test('with fractions of a second is judged to the millisecond', async () => {
    const end = NOW_S * 1_000 + 250;
    expect(await verify({ exp: NOW_S + 0.25 }, end - 1, 0)).toMatchObject({ expiresAt: end });
    await expect(verify({ exp: NOW_S + 0.25 }, end, 0)).rejects.toBeInstanceOf(ExpiredTokenError);
    expect(await verify({ nbf: NOW_S + 0.25 }, end, 0)).toMatchObject({ userId: 'alice' });
    await expect(verify({ nbf: NOW_S + 0.25 }, end - 1, 0)).rejects.toMatchObject({
      details: { code: 'UNAUTHENTICATED' },
    });
  });

  test.each([-1e6, -60, 0, 60, 61, 1e6])('is accepted with an iat %i s from now', async (ahead) => {
    expect(await verify({ iat: NOW_S + ahead }, NOW_S * 1_000)).toEqual({
      userId: 'alice',
      watchScope: null,
      issuedAt: (NOW_S + ahead) * 1_000,
      clockToleranceMs: TOLERANCE_MS,
      expiresAt: (NOW_S + 3_600) * 1_000 + TOLERANCE_MS,
    });
  });

  test('without an iat has no time of issue', async () => {
    expect(await verify({}, NOW_S * 1_000)).toMatchObject({ issuedAt: null });
  });

  describe.each(['exp', 'nbf', 'iat'])('with its %s in another unit than seconds', (claim) => {
    test.each([
      ['milliseconds', NOW_S * 1e3 + 678],
      ['microseconds', NOW_S * 1e6 + 678_901],
      ['nanoseconds', NOW_S * 1e9],
    ])('is rejected with the right value: %s', async (unit, value) => {
      await expect(verify({ [claim]: value }, NOW_S * 1_000)).rejects.toMatchObject({
        details: { code: 'UNAUTHENTICATED' },
        message: `The token’s claim ${claim} is ${value}, in ${unit}. It must be in seconds: ${NOW_S}.`,
      });
    });
  });

  test.each([
    ['the first millisecond of the range', 1e12, false],
    ['the last one before it', 1e12 - 1, true],
    ['the last millisecond of the range', 8e12 - 1, false],
    ['the first one after it', 8e12, true],
    ['the last second of the year 9999', 253_402_300_799, true],
    ['the maximum of a safe integer', Number.MAX_SAFE_INTEGER, true],
    ['the maximum of 64 bits', 2 ** 63, true],
    ['a number beyond the range of dates', 1e20, true],
    ['a practically infinite number', 1e308, true],
  ])('with an exp of %s (%d) is accepted: %s', async (_, exp, isAccepted) => {
    const verified = verify({ exp }, NOW_S * 1_000);
    if (isAccepted) expect(await verified).toMatchObject({ userId: 'alice' });
    else await expect(verified).rejects.toThrow('It must be in seconds');
  });

  test.each(['exp', 'nbf', 'iat'])('is rejected with an %s that is not a number', async (claim) => {
    for (const value of [`${NOW_S}`, null, true, [NOW_S], {}]) {
      await expect(verify({ [claim]: value }, NOW_S * 1_000)).rejects.toMatchObject({
        message: `The token’s claim ${claim} is missing or wrong.`,
      });
    }
  });

  test('that has expired is reported as wrong if another claim is wrong', async () => {
    for (const claims of [{ nbf: NOW_S + 61 }, { sub: '' }, { iat: NOW_S * 1e3 }]) {
      const verified = verify({ exp: 1, ...claims }, NOW_S * 1_000);
      await expect(verified).rejects.toMatchObject({ details: { code: 'UNAUTHENTICATED' } });
      await expect(verified).rejects.not.toBeInstanceOf(ExpiredTokenError);
    }
  });
});
