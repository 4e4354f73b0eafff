/** Which texts are accepted, word for word, and how texts of earlier versions read. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import {
  readStoredText,
  TEXT_RULES,
  validateOptionalText,
  validateText,
  validateVisibleText,
  type TextKind,
  type TextRule,
} from '../../../src/core/texts.ts';

const ASTRAL = '𝒳';
const KINDS = Object.keys(TEXT_RULES) as TextKind[];
const ruleOf = (kind: TextKind): TextRule => TEXT_RULES[kind];

const rejectionOf = (kind: TextKind, text: string): string => {
  try {
    validateText(kind, text);
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError);
    expect(error).toMatchObject({ details: { code: 'BAD_USER_INPUT' } });
    return error instanceof Error ? error.message : String(error);
  }
  return 'accepted';
};

describe.each(KINDS)('a text of the kind %s', (kind) => {
  const { label, maxCodePoints, isRequired = false, isSecret = false } = ruleOf(kind);

  it.each([
    ['one letter', 'a'],
    ['spaces around and within', ' a  b '],
    ['letters up to the maximum', 'a'.repeat(maxCodePoints)],
    ['astral code points up to the maximum', ASTRAL.repeat(maxCodePoints)],
    ['letters and one astral code point', 'a'.repeat(maxCodePoints - 1) + ASTRAL],
    ['the code points beside the control characters', '\u0020\u007e\u00a0'],
    ['line and paragraph separators', 'a\u2028b\u2029c'],
    ['a joiner, a byte order mark and noncharacters', '\u200d\ufeff\uffff\u{10ffff}'],
  ])('is kept exactly: %s', (_, text) => expect(validateText(kind, text)).toBe(text));

  it.each([
    ['letters', 'a'.repeat(maxCodePoints + 1)],
    ['astral code points', ASTRAL.repeat(maxCodePoints + 1)],
    ['letters and one astral code point', 'a'.repeat(maxCodePoints) + ASTRAL],
    ['a megabyte', 'a'.repeat(1_000_000)],
  ])('is rejected above its maximum: %s', (_, text) =>
    expect(rejectionOf(kind, text)).toBe(`${label} is longer than ${maxCodePoints} characters.`),
  );

  it('accepts an empty text unless it is required', () => {
    const expected = isRequired ? `${label} is empty. It must have 1 to ${maxCodePoints} characters.` : 'accepted';
    expect(rejectionOf(kind, '')).toBe(expected);
  });

  it('rejects every control character, except line breaks and tabs where they are allowed', () => {
    const allowed = ruleOf(kind).allowsLineBreaks === true ? ['\t', '\n', '\r'] : [];
    for (let code = 0; code <= 0x110; code++) {
      const character = String.fromCharCode(code);
      const isControl = code < 0x20 || (code >= 0x7f && code <= 0x9f);
      const message = rejectionOf(kind, `a${character}b`);
      if (!isControl || allowed.includes(character)) expect([code, message]).toEqual([code, 'accepted']);
      else expect(message).toContain(`${label} has a control character`);
      if (isControl && !isSecret && message !== 'accepted') {
        expect(message).toContain(`(U+${code.toString(16).toUpperCase().padStart(4, '0')})`);
      }
    }
  });

  it('rejects every lone surrogate', () => {
    for (const surrogate of ['\ud800', '\udbff', '\udc00', '\udfff', '\udcb3\ud835', '\ud83d\ud83d']) {
      for (const text of [surrogate, `a${surrogate}`, `${surrogate}b`]) {
        expect(rejectionOf(kind, text)).toMatch(/ has a lone surrogate.*, which is not valid Unicode\.$/);
      }
    }
  });

  it('is never shown in an error if it is a secret', () => {
    if (isSecret) expect(rejectionOf(kind, 'hush\u001b')).toBe(`${label} has a control character.`);
  });
});

it('names the exceptions in the error about a text that may have line breaks', () => {
  expect(rejectionOf('customStatus', 'a\u0000b')).toBe(
    'The custom status has a control character (U+0000). Of those, only line breaks and tabs are allowed.',
  );
});

describe('validateOptionalText', () => {
  it('gives null for no text and keeps an empty one', () => {
    expect([null, undefined, '', 'x'].map((text) => validateOptionalText('osVersion', text))).toEqual([
      null,
      null,
      '',
      'x',
    ]);
  });
});

describe('validateVisibleText', () => {
  it.each([null, undefined, '', ' ', '\t\r\n', '\u00a0\u3000\u2028\u2029\ufeff', ' '.repeat(256)])(
    'gives null for %j, because nothing of it is visible',
    (text) => expect(validateVisibleText('customStatus', text)).toBeNull(),
  );

  it.each([' a ', '\na', 'one\ntwo\r\n\tthree', '\u200b', '\u00ad', '.'])('keeps %j exactly', (text) =>
    expect(validateVisibleText('customStatus', text)).toBe(text),
  );

  it('rejects a text that is white space alone and breaks a rule', () => {
    for (const text of [' '.repeat(257), ' \u0000', '\u0085', '\u000b', '\u000c']) {
      expect(() => validateVisibleText('customStatus', text)).toThrow(DomainError);
    }
  });
});

describe('a stored text', () => {
  it.each([
    ['a\u0000b', 'a\ufffdb'],
    ['\u0085\u007f\u001b[31m\u009f', '\ufffd\ufffd\ufffd[31m\ufffd'],
    ['\ud800', '\ufffd'],
    ['a\udfff\ud800b', 'a\ufffd\ufffdb'],
    ['\ud800\ud83d\ude00\u0000', '\ufffd\u{1f600}\ufffd'],
  ])('%j reads as %j', (stored, read) => expect(readStoredText(stored)).toBe(read));

  it.each(['', 'at lunch', 'one\ntwo\r\n\tthree', '\u{1f600} \u65e5\u672c', '\u2028\u2029\ufeff\ufffd'])(
    '%j reads as itself',
    (text) => expect(readStoredText(text)).toBe(text),
  );

  it('reads as a text that the rule of custom statuses accepts, of the same length', () => {
    const unit = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('a', ASTRAL, '\u00e9', '\n', '\t', '\r') },
      { weight: 1, arbitrary: fc.nat(0xffff).map((code) => String.fromCharCode(code)) },
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 100 }), (units) => {
        const stored = units.join('');
        const read = readStoredText(stored);
        expect(validateText('customStatus', read)).toBe(read);
        expect(read).toHaveLength(stored.length);
        if (rejectionOf('customStatus', stored) === 'accepted') expect(read).toBe(stored);
        else expect(read).not.toBe(stored);
      }),
      { numRuns: 2_000 },
    );
  });
});
