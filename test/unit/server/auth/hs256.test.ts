import { createHmac, createSecretKey } from 'node:crypto';
import { SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { toMillis } from '../../../../src/core/ids.ts';
import { JwtVerifier } from '../../../../src/server/auth/jwt.ts';

const secret = createSecretKey(Buffer.from('a shared secret of at least 32 bytes', 'utf8'));
const NOW_S = 1_800_000_000;
const now = toMillis(NOW_S * 1_000);

const verifier = (settings: { jwtIssuer?: string; jwtAudience?: string } = {}) =>
  new JwtVerifier(
    { jwtSecret: secret, jwksUrl: null, jwtIssuer: null, jwtAudience: null, jwtClockToleranceMs: 0, ...settings },
    () => {
      throw new Error('no JWKS is configured');
    },
  );

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Signs header and payload with HMAC-SHA-256, whatever the header says. */
const sign = (header: unknown, payload: unknown, encodedPayload = encode(payload)): string => {
  const text = `${encode(header)}.${encodedPayload}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
};

const HS256 = { alg: 'HS256' };
const valid = { sub: 'alice', exp: NOW_S + 60 };
const invalid = { details: { code: 'UNAUTHENTICATED' }, message: 'The token is not valid.' };
const wrongClaim = (claim: string) => ({ message: `The token’s claim ${claim} is missing or wrong.` });

test('accepts a token that jose signed with the same secret', async () => {
  const token = await new SignJWT({ watch: ['bob'] })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject('alice')
    .setIssuedAt(NOW_S - 10)
    .setExpirationTime(NOW_S + 60)
    .sign(secret);
  expect(await verifier().verifyToken(token, now)).toEqual({
    userId: 'alice',
    watchScope: ['bob'],
    issuedAt: (NOW_S - 10) * 1_000,
    clockToleranceMs: 0,
    expiresAt: (NOW_S + 60) * 1_000,
  });
});

describe('rejects a forged or malformed token', () => {
  const [header = '', payload = '', signature = ''] = sign(HS256, valid).split('.');
  test.each<[string, string]>([
    ['with algorithm none and no signature', `${encode({ alg: 'none' })}.${payload}.`],
    ['with algorithm none and a valid HMAC', sign({ alg: 'none' }, valid)],
    ['with algorithm NONE in capitals', sign({ alg: 'NONE' }, valid)],
    ['with algorithm RS256 and a valid HMAC', sign({ alg: 'RS256' }, valid)],
    ['with algorithm ES256 and a valid HMAC', sign({ alg: 'ES256' }, valid)],
    ['with algorithm HS512 and a valid HMAC', sign({ alg: 'HS512' }, valid)],
    ['with algorithm hs256 in lower case', sign({ alg: 'hs256' }, valid)],
    ['with a list of algorithms', sign({ alg: ['HS256'] }, valid)],
    ['without an algorithm', sign({ typ: 'JWT' }, valid)],
    ['with an algorithm that is null', sign({ alg: null }, valid)],
    ['with a header that is a string', sign('HS256', valid)],
    ['with critical extensions', sign({ ...HS256, crit: ['b64'], b64: false }, valid)],
    ['with an empty list of critical extensions', sign({ ...HS256, crit: [] }, valid)],
    ['with critical extensions that are null', sign({ ...HS256, crit: null }, valid)],
    ['without a header', `.${payload}.${signature}`],
    ['without a signature', `${header}.${payload}.`],
    ['with two parts', `${header}.${payload}`],
    ['with four parts', `${header}.${payload}.${signature}.`],
    ['with five parts', `${header}.${payload}.${signature}.x.y`],
    ['with another payload', `${header}.${encode({ ...valid, sub: 'bob' })}.${signature}`],
    ['with another header', `${encode({ ...HS256, kid: '1' })}.${payload}.${signature}`],
    ['with a shortened signature', `${header}.${payload}.${signature.slice(0, -1)}`],
    ['with padding after the signature', `${header}.${payload}.${signature}=`],
    ['with a payload that is an array', sign(HS256, [valid])],
    ['with a payload that is null', sign(HS256, null)],
    ['with a payload that is not JSON', sign(HS256, null, Buffer.from('{').toString('base64url'))],
    ['with a payload that is not UTF-8', sign(HS256, null, Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url'))],
    ['with an empty payload', sign(HS256, null, '')],
    ['that is empty', ''],
  ])('%s', async (_case, token) => {
    await expect(verifier().verifyToken(token, now)).rejects.toMatchObject(invalid);
  });

  test('signed with another secret', async () => {
    const text = `${header}.${payload}`;
    const forged = createHmac('sha256', 'another secret').update(text).digest('base64url');
    await expect(verifier().verifyToken(`${text}.${forged}`, now)).rejects.toMatchObject(invalid);
  });
});

describe('names the claim that is missing or wrong', () => {
  test.each<[string, string, Record<string, unknown>]>([
    ['a missing exp', 'exp', { exp: undefined }],
    ['an exp that is text', 'exp', { exp: `${NOW_S + 60}` }],
    ['an exp that is null', 'exp', { exp: null }],
    ['a missing sub', 'sub', { sub: undefined }],
    ['an iat that is text', 'iat', { iat: '5' }],
    ['an iat that is null', 'iat', { iat: null }],
    ['an nbf that is text', 'nbf', { nbf: '5' }],
    ['an nbf that is null', 'nbf', { nbf: null }],
    ['a missing iss', 'iss', { iss: undefined }],
    ['another iss', 'iss', { iss: 'other' }],
    ['an iss that is a list', 'iss', { iss: ['app'] }],
    ['a missing aud', 'aud', { aud: undefined }],
    ['another aud', 'aud', { aud: 'other' }],
    ['a list without the audience', 'aud', { aud: ['other'] }],
  ])('%s', async (_case, claim, claims) => {
    const strict = verifier({ jwtIssuer: 'app', jwtAudience: 'porchlight' });
    const token = sign(HS256, { ...valid, iss: 'app', aud: 'porchlight', ...claims });
    await expect(strict.verifyToken(token, now)).rejects.toMatchObject(wrongClaim(claim));
  });
});

describe('accepts', () => {
  test.each<[string, Record<string, unknown>]>([
    ['an nbf of now', { nbf: NOW_S }],
    ['an nbf in the past', { nbf: 0 }],
    ['an iat in the future', { iat: NOW_S + 1_000 }],
    ['a list with the audience', { aud: ['other', 'porchlight'] }],
    ['a practically infinite exp', { exp: 1e308 }],
  ])('%s', async (_case, claims) => {
    const strict = verifier({ jwtIssuer: 'app', jwtAudience: 'porchlight' });
    const token = sign({ ...HS256, kid: 'ignored' }, { ...valid, iss: 'app', aud: 'porchlight', ...claims });
    expect(await strict.verifyToken(token, now)).toMatchObject({ userId: 'alice', watchScope: null });
  });
});
