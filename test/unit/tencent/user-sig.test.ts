import { createHmac } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { toMillis } from '../../../src/core/ids.ts';
import { looksLikeUserSig, verifyUserSig, type UserSig } from '../../../src/tencent/user-sig.ts';
import {
  APP_ID,
  KEY,
  TENCENT,
  packClaims,
  packText,
  generateRoomUserSig,
  toUserSigAlphabet,
  unpackClaims,
  generateUserSig,
  type Claims,
} from './user-sigs.ts';

const NOW = toMillis(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
const NOW_S = Math.floor(NOW / 1_000);
const DAY_S = 86_400;

const read = (text: string, now = NOW, clockToleranceMs = 0): ReturnType<typeof verifyUserSig> =>
  verifyUserSig(text, { ...TENCENT, clockToleranceMs }, now);
const good = (userId: string, issuedS = NOW_S, expireS = 3_600, clockToleranceMs = 0): object => ({
  userId,
  issuedAt: issuedS * 1_000,
  clockToleranceMs,
  expiresAt: (issuedS + expireS) * 1_000 + clockToleranceMs,
});

describe('a UserSig of Tencent’s generator', () => {
  test('contains the user, the time of issue and the expiry', () => {
    expect(read(generateUserSig('alice', { at: NOW, expireS: DAY_S }))).toEqual(good('alice', NOW_S, DAY_S));
  });

  test.each(['a', '爱丽丝', 'zoë@example.com', '😀'.repeat(128), '"\\quoted/', ' '])(
    'is accepted for the user %j',
    (user) => {
      expect(read(generateUserSig(user, { at: NOW }))).toEqual(good(user));
    },
  );

  test('is accepted with every character of its alphabet', () => {
    const sigs = Array.from({ length: 400 }, (_, at) => generateUserSig(`user-${at}`, { at: NOW }));
    for (const letter of ['*', '-', '_']) expect(sigs.some((sig) => sig.includes(letter))).toBe(true);
    for (const [at, sig] of sigs.entries()) expect(read(sig)).toEqual(good(`user-${at}`));
  });

  test.each([12_345, 'a room by its name'])('is accepted with the permissions of room %s', (room) => {
    const sig = generateRoomUserSig('alice', room, NOW);
    expect(unpackClaims(sig)).toHaveProperty(['TLS.userbuf']);
    expect(read(sig)).toEqual(good('alice'));
  });

  test('is accepted with numbers as text', () => {
    const claims = unpackClaims(generateUserSig('alice', { at: NOW }));
    for (const name of ['TLS.sdkappid', 'TLS.time', 'TLS.expire']) claims[name] = String(claims[name]);
    expect(read(packClaims(claims))).toEqual(good('alice'));
  });

  test('is accepted for the longest id with every character escaped', () => {
    const user = '😀'.repeat(128);
    const json = JSON.stringify(unpackClaims(generateUserSig(user, { at: NOW })));
    const escaped = json.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`);
    expect(escaped).not.toContain('😀');
    expect(read(toUserSigAlphabet(deflateSync(escaped, { level: 0 }).toString('base64')))).toEqual(good(user));
  });
});

describe('the validity period', () => {
  const sig = generateUserSig('alice', { at: NOW, expireS: 60 });

  test.each([
    [-1, true],
    [0, false],
    [DAY_S * 1_000, false],
  ])('%i ms after its end is valid: %s', (after, isGood) => {
    const at = toMillis((NOW_S + 60) * 1_000 + after);
    expect(read(sig, at)).toEqual(isGood ? good('alice', NOW_S, 60) : 'EXPIRED');
  });

  test('is longer by the clock tolerance, to the millisecond', () => {
    const end = (NOW_S + 60) * 1_000;
    expect(read(sig, toMillis(end + 59_999), 60_000)).toEqual(good('alice', NOW_S, 60, 60_000));
    expect(read(sig, toMillis(end + 60_000), 60_000)).toBe('EXPIRED');
  });

  test.each([
    [0, 300_000],
    [60_000, 300_000],
    [600_000, 600_000],
  ])('with a clock tolerance of %i ms may start at most %i ms in the future', (toleranceMs, aheadMs) => {
    const dated = NOW_S * 1_000;
    expect(read(sig, toMillis(dated - aheadMs), toleranceMs)).toEqual(good('alice', NOW_S, 60, toleranceMs));
    expect(read(sig, toMillis(dated - aheadMs - 1), toleranceMs)).toBe('ISSUED_IN_FUTURE');
  });

  test('is over at once with a duration of 0', () => {
    expect(read(generateUserSig('alice', { at: NOW, expireS: 0 }))).toBe('EXPIRED');
  });

  test('may have the maximum duration', () => {
    expect(read(generateUserSig('alice', { at: NOW, expireS: 0xffff_ffff }))).toEqual(
      good('alice', NOW_S, 0xffff_ffff),
    );
  });
});

describe('a UserSig with a wrong signature or app', () => {
  test('of another key is rejected as BAD_SIGNATURE', () => {
    expect(read(generateUserSig('alice', { at: NOW, key: `${KEY}.` }))).toBe('BAD_SIGNATURE');
  });

  test('of another app with our key is rejected as WRONG_APP', () => {
    expect(read(generateUserSig('alice', { at: NOW, appId: APP_ID + 1 }))).toBe('WRONG_APP');
  });

  test.each([
    ['TLS.identifier', 'bob'],
    ['TLS.time', NOW_S + 1],
    ['TLS.expire', 3_601],
    ['TLS.userbuf', 'AAAA'],
  ])('with a changed %s is rejected as BAD_SIGNATURE', (name, value) => {
    expect(read(packClaims({ ...unpackClaims(generateUserSig('alice', { at: NOW })), [name]: value }))).toBe(
      'BAD_SIGNATURE',
    );
  });

  test('with changed or removed room permissions is rejected as BAD_SIGNATURE', () => {
    const { 'TLS.userbuf': userbuf, ...others } = unpackClaims(generateRoomUserSig('alice', 7, NOW));
    expect(userbuf).toBeTypeOf('string');
    expect(read(packClaims(others))).toBe('BAD_SIGNATURE');
    expect(read(packClaims({ ...others, 'TLS.userbuf': 'AAAA' }))).toBe('BAD_SIGNATURE');
  });

  test('with any changed bit in the signature is rejected as BAD_SIGNATURE', () => {
    const claims = unpackClaims(generateUserSig('alice', { at: NOW }));
    const signature = Buffer.from(String(claims['TLS.sig']), 'base64');
    for (let bit = 0; bit < 256; bit++) {
      const forged = Buffer.from(signature);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(read(packClaims({ ...claims, 'TLS.sig': forged.toString('base64') }))).toBe('BAD_SIGNATURE');
    }
  });

  test('for an id with line breaks is not accepted as one of another user', () => {
    // An attacker who may choose an id chooses this one and gets a UserSig for it.
    const lines = ['bob', `TLS.sdkappid:${APP_ID}`, `TLS.time:${NOW_S}`, 'TLS.expire:9999', 'TLS.userbuf:x'].join('\n');
    const sig = generateUserSig(lines, { at: NOW });
    expect(read(sig)).toBe('MALFORMED');
    const claims = unpackClaims(sig);
    const userbuf = `x\nTLS.sdkappid:${APP_ID}\nTLS.time:${NOW_S}\nTLS.expire:3600`;
    const forged = { ...claims, 'TLS.identifier': 'bob', 'TLS.expire': 9_999, 'TLS.userbuf': userbuf };
    const signed = `TLS.identifier:bob\nTLS.sdkappid:${APP_ID}\nTLS.time:${NOW_S}\nTLS.expire:9999\nTLS.userbuf:${userbuf}\n`;
    expect(claims['TLS.sig'], 'the signature covers exactly these lines').toBe(
      createHmac('sha256', KEY).update(signed).digest('base64'),
    );
    expect(read(packClaims(forged))).toBe('MALFORMED');
  });
});

describe('a malformed UserSig', () => {
  const sig = generateUserSig('alice', { at: NOW });
  const claims = unpackClaims(sig);
  const without = (name: string): Claims => Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name));

  test('is rejected for every prefix of a UserSig', () => {
    for (let length = 0; length < sig.length; length++) expect(read(sig.slice(0, length))).toBe('MALFORMED');
  });

  test.each([
    ['an empty text', ''],
    ['plain Base64', 'ab+/'],
    ['a JWT', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.'],
    ['a line end', `${sig}\n`],
    ['a leading space', ` ${sig}`],
    ['padding inside', `${sig.slice(0, 8)}_${sig.slice(8)}`],
    [
      'too many characters',
      toUserSigAlphabet(deflateSync(JSON.stringify(claims) + ' '.repeat(4_000), { level: 0 }).toString('base64')),
    ],
    ['an uncompressed text', toUserSigAlphabet(Buffer.from(JSON.stringify(claims)).toString('base64'))],
  ])('is rejected for %s', (_what, text) => {
    expect(read(text)).toBe('MALFORMED');
  });

  test.each([
    ['a text without JSON', 'alice'],
    ['truncated JSON', JSON.stringify(claims).slice(0, -1)],
    ['trailing JSON', `${JSON.stringify(claims)}{}`],
    ['null', 'null'],
    ['a list', JSON.stringify([claims])],
    ['invalid UTF-8', Buffer.from(JSON.stringify(claims).replace('alice', 'al\u00efce'), 'latin1')],
  ])('is rejected for %s', (_what, text) => {
    expect(read(packText(text))).toBe('MALFORMED');
  });

  test.each(Object.keys(claims))('is rejected without %s', (name) => {
    expect(read(packClaims(without(name)))).toBe('MALFORMED');
  });

  test.each([
    ['TLS.ver', ['1.0', 2, null]],
    ['TLS.identifier', ['', 7, null, ['alice'], { toString: 'alice' }, 'a\u0000', 'x'.repeat(129)]],
    ['TLS.sdkappid', [null, '', '01', '+1', '1e9', `${APP_ID} `, -1, 1.5, 2 ** 32, true, [APP_ID]]],
    ['TLS.time', [null, 'now', -1, 0.5, 1e300, 2 ** 32, '99999999999']],
    ['TLS.expire', [null, '', -1, 0.5, 1e300, 2 ** 32, '-1']],
    ['TLS.userbuf', [7, {}, 'A\n', 'not base64!', '=A']],
    ['TLS.sig', [7, null, '', 'A'.repeat(43), `${'A'.repeat(43)}=\n`, `${'-'.repeat(43)}=`, 'A'.repeat(44)]],
  ])('is rejected with an invalid %s', (name, values) => {
    for (const value of values)
      expect(read(packClaims({ ...claims, [name]: value }))).toBeOneOf(['MALFORMED', 'BAD_SIGNATURE']);
    // An invalid type is always MALFORMED, before the signature is checked.
    expect(read(packClaims({ ...claims, [name]: { toJSON: 1 } }))).toBe('MALFORMED');
  });

  test('is rejected for a signed identifier that is not a valid user id', () => {
    for (const user of ['', 'x'.repeat(129), 'tab\t', 'line\u0085']) {
      expect(read(generateUserSig(user, { at: NOW }))).toBe('MALFORMED');
    }
  });

  test('is rejected if it inflates to more than 8 KiB', () => {
    const bomb = packText(Buffer.from(`${JSON.stringify(claims)}${' '.repeat(2_900_000)}`));
    expect(bomb.length).toBeLessThan(4_096);
    expect(looksLikeUserSig(bomb)).toBe(true);
    expect(read(bomb)).toBe('MALFORMED');
    const bearable = packText(Buffer.from(`${JSON.stringify(claims)}${' '.repeat(7_000)}`));
    expect(read(bearable)).toEqual(good('alice') satisfies object as UserSig);
  });
});
