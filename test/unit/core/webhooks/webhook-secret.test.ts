/** The valid forms of webhook secrets. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../../src/core/errors.ts';
import { validateSecret, isValidStandardSecret } from '../../../../src/core/webhooks/webhook-secret.ts';

const ofBytes = (bytes: number): string => `whsec_${randomBytes(bytes).toString('base64')}`;

const refusalOf = (format: 'STANDARD' | 'TENCENT', secret: string): string => {
  try {
    validateSecret(format, secret);
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError);
    expect(error).toMatchObject({ details: { code: 'BAD_USER_INPUT' } });
    return String(error);
  }
  return 'accepted';
};

describe('a secret of the format STANDARD', () => {
  it.each(Array.from({ length: 41 }, (_, index) => 24 + index))('accepts a key of %i bytes', (bytes) => {
    const secret = ofBytes(bytes);
    expect(validateSecret('STANDARD', secret)).toBe(secret);
    expect(isValidStandardSecret(secret)).toBe(true);
  });

  it.each([0, 1, 22, 23, 65, 66, 67, 100])('rejects a key of %i bytes', (bytes) => {
    expect(refusalOf('STANDARD', ofBytes(bytes))).toMatch(/24 to 64 bytes/);
  });

  const KEY = Buffer.alloc(32, 251).toString('base64');

  it.each([
    ['nothing', ''],
    ['no prefix', KEY],
    ['another prefix', `whsk_${KEY}`],
    ['a prefix in capitals', `WHSEC_${KEY}`],
    ['no padding', `whsec_${KEY.replace('=', '')}`],
    ['too much padding', `whsec_${KEY}=`],
    ['padding within', `whsec_${KEY}${KEY}`],
    ['the letters of addresses', `whsec_${KEY.replaceAll('+', '-').replaceAll('/', '_')}`],
    ['bits to spare that are not 0', `whsec_${KEY.replace(/.=$/, 'x=')}`],
    ['bits to spare that are not 0, of two', `whsec_${Buffer.alloc(31).toString('base64').replace(/A==$/, 'B==')}`],
    ['a line break', `whsec_${KEY}\n`],
    ['a space', `whsec_${KEY.slice(0, 8)} ${KEY.slice(8)}`],
    ['hexadecimal of 31 digits', `whsec_${'a'.repeat(31)}`],
  ])('is rejected: %s', (_what, secret) => {
    expect(refusalOf('STANDARD', secret)).toMatch(/^DomainError: secret must be whsec_/);
  });

  it('does not occur in the error message', () => {
    expect(refusalOf('STANDARD', 'my own secret')).not.toContain('my own');
    expect(refusalOf('TENCENT', 'my own secret\n')).not.toContain('my own');
  });

  it('is checked fast at any length', () => {
    expect(isValidStandardSecret(`whsec_${'A'.repeat(500_001)}`)).toBe(false);
  });
});

describe('a secret of the format TENCENT', () => {
  it.each(['x', 'a token of ours', '令牌', 'x'.repeat(128), ofBytes(64)])('accepts %j', (secret) => {
    expect(validateSecret('TENCENT', secret)).toBe(secret);
  });

  it.each(['', 'x'.repeat(129), 'a\nb', '\u0000', '\ud800'])('rejects %j', (secret) => {
    expect(refusalOf('TENCENT', secret)).toMatch(/^DomainError: secret (is|has)/);
  });
});
