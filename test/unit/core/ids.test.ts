/** Texts from callers: each is kept exactly or rejected. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import {
  parseCursor,
  parseDeviceId,
  addMs,
  asSocketId,
  toMillis,
  parseSessionId,
  parseUserId,
} from '../../../src/core/ids.ts';

const refusal = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError);
    expect(error).toMatchObject({ name: 'DomainError', details: { code: 'BAD_USER_INPUT' } });
    return error instanceof Error ? error.message : error;
  }
  return 'accepted';
};

const ASTRAL = '𝒳';
const MARK = 'a\u0308';

describe.each([
  ['A user id', parseUserId],
  ['A deviceId', parseDeviceId],
  ['A session id', parseSessionId],
  ['A cursor', parseCursor],
])('%s', (what, make) => {
  it.each([
    ['one character', 'a'],
    ['128 letters', 'a'.repeat(128)],
    ['128 astral code points, which are 256 units', ASTRAL.repeat(128)],
    ['127 letters and an astral code point', 'a'.repeat(127) + ASTRAL],
    ['spaces around and within', '  a  b '],
    ['a decomposed umlaut', MARK],
    ['a composed umlaut', MARK.normalize('NFC')],
    ['capitals', 'Alice'],
    ['the first and last code points beside the controls', '\u0020\u007e\u00a0'],
    ['a zero width joiner, a BOM and a noncharacter', '\u200d\ufeff\uffff'],
    ['the highest code point', '\u{10ffff}'],
    ['what a prototype has', '__proto__'],
  ])('keeps the text exactly: %s', (_, value) => expect(make(value)).toBe(value));

  it('rejects an empty text', () =>
    expect(refusal(() => make(''))).toBe(`${what} is empty. It must have 1 to 128 characters.`));

  it.each([
    ['129 letters', 'a'.repeat(129)],
    ['129 astral code points', ASTRAL.repeat(129)],
    ['128 letters and an astral code point', 'a'.repeat(128) + ASTRAL],
    ['a megabyte', 'a'.repeat(1_000_000)],
  ])('rejects %s', (_, value) => expect(refusal(() => make(value))).toBe(`${what} is longer than 128 characters.`));

  it.each([
    ['NUL', '\u0000', 'a control character (U+0000).'],
    ['tab', '\t', 'a control character (U+0009).'],
    ['new line', '\n', 'a control character (U+000A).'],
    ['the last of C0', '\u001f', 'a control character (U+001F).'],
    ['DEL', '\u007f', 'a control character (U+007F).'],
    ['the first of C1', '\u0080', 'a control character (U+0080).'],
    ['NEL', '\u0085', 'a control character (U+0085).'],
    ['the last of C1', '\u009f', 'a control character (U+009F).'],
    ['a lone high surrogate', '\ud835', 'a lone surrogate (U+D835), which is not valid Unicode.'],
    ['a lone low surrogate', '\udcb3', 'a lone surrogate (U+DCB3), which is not valid Unicode.'],
    ['a pair the wrong way round', '\udcb3\ud835', 'a lone surrogate (U+DCB3), which is not valid Unicode.'],
  ])('rejects %s at any position', (_, value, problem) => {
    for (const id of [value, `a${value}`, `${value}a`, `a${value}b`]) {
      expect(refusal(() => make(id))).toBe(`${what} has ${problem}`);
    }
  });
});

it('accepts or rejects any text by its code points alone', () => {
  const control = (code: number) => code < 0x20 || (code >= 0x7f && code <= 0x9f);
  const lone = (code: number) => code >= 0xd800 && code <= 0xdfff;
  // UTF-16 units, so that surrogates occur in pairs and alone, with lengths around both limits.
  const unit = fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom('a', ASTRAL, '\u00e9') },
    { weight: 1, arbitrary: fc.nat(0xffff).map((code) => String.fromCharCode(code)) },
  );
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 135, size: 'max' }), (units) => {
      const text = units.join('');
      const codes = Array.from(text, (character) => character.codePointAt(0) ?? 0);
      const right = codes.length >= 1 && codes.length <= 128 && !codes.some((code) => control(code) || lone(code));
      if (right) expect(parseUserId(text)).toBe(text);
      else expect(() => parseUserId(text)).toThrow(DomainError);
    }),
    { numRuns: 2_000 },
  );
});

it('does not normalise ids: two Unicode spellings are two users', () => {
  expect(parseUserId(MARK)).not.toBe(parseUserId(MARK.normalize('NFC')));
});

describe('toMillis', () => {
  it('accepts only whole milliseconds', () => {
    expect([toMillis(0), toMillis(-5), addMs(toMillis(5), 7)]).toEqual([0, -5, 12]);
    for (const value of [0.5, Number.NaN, Infinity, 2 ** 53]) expect(() => toMillis(value)).toThrow(RangeError);
    expect(() => toMillis(0.5)).toThrow('A time must be a whole number of milliseconds, not 0.5.');
  });
});

it('asSocketId keeps the text', () => expect(asSocketId('l')).toBe('l'));
