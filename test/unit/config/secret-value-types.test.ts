import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  apiKeyListType,
  bearerTokenType,
  hashApiKey,
  isShortKey,
  type SecretType,
  sharedSecretType,
} from '../../../src/config/secret-value-types.ts';

const KEY = 'k'.repeat(32);

/** @returns what is wrong. @throws when the text is accepted. */
const problemOf = <T>(type: SecretType<T>, text: string): string => {
  const parsed = type.parseText(text);
  if (parsed.ok) throw new Error('It was accepted.');
  expect(type.parseFile(Buffer.from(text.replace(/\r?\n$/, '$&\n')))).toEqual(parsed);
  return parsed.problem;
};

describe('a shared secret', () => {
  test('in text is its UTF-8 bytes, from a variable and from a file', () => {
    for (const text of [
      'a secret with blanks and schlüssel 🔑',
      'c2VjcmV0LXRoYXQtbG9va3MtbGlrZS1iYXNlNjQ=',
      '0badc0de',
    ]) {
      for (const parsed of [sharedSecretType.parseText(text), sharedSecretType.parseFile(Buffer.from(`${text}\r\n`))]) {
        expect(parsed.ok && parsed.value.export()).toEqual(Buffer.from(text));
      }
    }
  });

  test('after base64: is any bytes', () => {
    for (let length = 1; length < 100; length++) {
      const bytes = randomBytes(length);
      const parsed = sharedSecretType.parseText(`base64:${bytes.toString('base64')}`);
      expect(parsed.ok && parsed.value.export()).toEqual(bytes);
    }
  });

  test('of random bytes in a file is never accepted as another key', () => {
    for (let count = 0; count < 2_000; count++) {
      const bytes = randomBytes(1 + (count % 64));
      const parsed = sharedSecretType.parseFile(bytes);
      if (!parsed.ok) continue;
      // A line break at the end is not part of the key.
      const lineBreak = bytes.at(-1) !== 0x0a ? 0 : bytes.at(-2) === 0x0d ? 2 : 1;
      expect(parsed.value.export()).toEqual(bytes.subarray(0, bytes.length - lineBreak));
    }
  });

  test.each([
    ['base64:', 'has nothing after base64:'],
    ['base64:AAA', 'has Base64 without its padding, or with a part missing'],
    ['base64: AAAA', 'is not Base64 after base64:'],
    [`base64:${'A'.repeat(64)}\n${'A'.repeat(20)}==`, 'has several lines'],
    ['Base64:AAAA', 'starts with Base64:'],
    ['base64url:AAAA', 'starts with base64url:'],
    ['b64:AAAA', 'starts with b64:'],
    ['hex:00ff', 'starts with hex:'],
    ['base64 :AAAA', 'starts with base64 :'],
    ['-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----', 'is a PEM file'],
    ['-----BEGIN PUBLIC KEY-----\\nMCow', 'is a PEM file'],
    ['{"kty":"oct","k":"AAAA"}', 'is a JSON Web Key'],
    ['{\n  "keys": [{"kty":"RSA"}]\n}', 'is a JSON Web Key'],
    [`${KEY}\n\n`, 'ends with a line break'],
    [`${KEY}\t${KEY}`, 'contains the control character U+0009 (tab)'],
  ])('%j is rejected: it %s', (text, problem) => {
    expect(problemOf(sharedSecretType, text)).toBe(problem);
  });

  test('is short with 31 bytes, which need not be 31 characters', () => {
    const isShort = (text: string): boolean => {
      const parsed = sharedSecretType.parseText(text);
      if (!parsed.ok) throw new Error(parsed.problem);
      return isShortKey(parsed.value);
    };
    expect(['s'.repeat(31), 's'.repeat(32), 'é'.repeat(15), 'é'.repeat(16)].map(isShort)).toEqual([
      true,
      false,
      true,
      false,
    ]);
    const encoded = (length: number) => `base64:${Buffer.alloc(length).toString('base64')}`;
    expect([31, 32].map(encoded).map(isShort)).toEqual([true, false]);
  });
});

describe('API keys', () => {
  test.each([
    [KEY, 1],
    [`${KEY}1,${KEY}2`, 2],
    [` ${KEY}1 ,,\t${KEY}2, `, 2],
    [`${KEY}1\n${KEY}2\n`, 2],
    [`${KEY}1\r\n${KEY}2\r\n\r\n`, 2],
    [`\n${KEY}1\n\n${KEY}2,${KEY}1\n`, 2],
  ])('%j is %i keys', (text, count) => {
    const keys = count === 1 ? [KEY] : [`${KEY}1`, `${KEY}2`];
    expect(apiKeyListType.parseText(text)).toEqual({ ok: true, value: keys.map(hashApiKey) });
    expect(apiKeyListType.parseFile(Buffer.from(text))).toEqual({ ok: true, value: keys.map(hashApiKey) });
  });

  test.each([
    ['', 'is empty'],
    ['\n\n', 'contains no key'],
    [' , ', 'contains no key'],
    ['fifteen-letters', 'is shorter than 16 characters'],
    [`${KEY}\nfifteen-letters`, 'has a key (number 2) that is shorter than 16 characters'],
    ['k'.repeat(1_025), 'is longer than 1024 characters'],
    [`${KEY} ${KEY}`, 'contains white space'],
    [`Bearer ${KEY}`, 'contains white space'],
    [`${KEY}é`, 'contains a character that is not ASCII'],
    [`${KEY}\u00A0`, 'starts or ends with white space'],
    [`\uFEFF${KEY},${KEY}2`, 'has a key (number 1) that contains the invisible character U+FEFF'],
    [`${KEY}\uFFFD`, 'contains U+FFFD, which replaces bytes that are not UTF-8'],
    [`${KEY}\0${KEY}`, 'contains the control character U+0000 (NUL)'],
    [`${KEY}1\r${KEY}2`, 'has several lines'],
    [`"${KEY}"`, 'is enclosed in quotation marks'],
    [`["${KEY}"]`, 'looks like JSON'],
    [`{"a":"${KEY}"}`, 'looks like JSON'],
    [`base64:${KEY}`, 'starts with base64:, which only JWT and Tencent keys may do'],
    [`${KEY}\n#${KEY}`, 'has a key (number 2) that starts with #'],
    ['${PORCHLIGHT_API_KEYS}', 'is a reference that was not replaced'],
  ])('%j are rejected: the list %s', (text, problem) => {
    const parsed = apiKeyListType.parseText(text);
    expect(parsed.ok || parsed.problem).toBe(problem);
  });

  test('of 16 to 31 characters cause one warning, which contains no key', () => {
    const parsed = apiKeyListType.parseText(`sixteen-letters!,${KEY},${'k'.repeat(31)}`);
    expect(parsed).toMatchObject({ ok: true, warning: 'has a key of fewer than 32 characters; use a longer one' });
  });
});

describe('the metrics token', () => {
  test('is one line', () => {
    expect(bearerTokenType.parseFile(Buffer.from(`${KEY}\n`))).toEqual({ ok: true, value: hashApiKey(KEY) });
  });

  test.each([
    ['', 'is empty'],
    ['fifteen-letters', 'is shorter than 16 characters'],
    [`${KEY}\n${KEY}`, 'has several lines'],
    [`${KEY} ${KEY}`, 'contains white space'],
    [`${KEY}é`, 'contains a character that is not ASCII'],
    [` ${KEY}`, 'starts or ends with white space'],
    [`base64:${KEY}`, 'starts with base64:, which only JWT and Tencent keys may do'],
  ])('%j is rejected: it %s', (text, problem) => {
    expect(problemOf(bearerTokenType, text)).toBe(problem);
  });

  test('of 16 to 31 characters causes a warning', () => {
    expect(bearerTokenType.parseText('sixteen-letters!')).toMatchObject({
      ok: true,
      warning: 'has fewer than 32 characters; use a longer one',
    });
  });
});
