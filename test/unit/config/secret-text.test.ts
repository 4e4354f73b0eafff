import { describe, expect, test } from 'vitest';
import { decodeBase64, decodeSecretFile, findSecretTextProblem } from '../../../src/config/secret-text.ts';

describe('the bytes of a secret file', () => {
  test.each([
    ['s3cret', 's3cret'],
    ['s3cret\n', 's3cret'],
    ['s3cret\r\n', 's3cret'],
    ['s3cret\n\n', 's3cret\n'],
    ['s3cret\r\n\r\n', 's3cret\r\n'],
    ['s3cret\r', 's3cret\r'],
    ['\n', ''],
    ['', ''],
    [' s3cret ', ' s3cret '],
    ['schlüssel 🔑\n', 'schlüssel 🔑'],
  ])('%j is the text %j: at most one line break at the end is removed', (content, text) => {
    expect(decodeSecretFile(Buffer.from(content))).toEqual({ ok: true, text });
  });

  test.each([
    ['64 bytes from 0xC0', Buffer.from(Array.from({ length: 64 }, (_, index) => 0xc0 + index)), 'is not UTF-8'],
    ['Latin-1', Buffer.from('schlüssel', 'latin1'), 'is not UTF-8'],
    ['an overlong form', Buffer.from([0x41, 0xc0, 0x80]), 'is not UTF-8'],
    ['a surrogate', Buffer.from([0x41, 0xed, 0xa0, 0x80]), 'is not UTF-8'],
    ['a truncated character', Buffer.from([0x41, 0xe2, 0x82]), 'is not UTF-8'],
    ['UTF-8 with a byte order mark', Buffer.from('\uFEFFs3cret'), 'starts with a byte order mark'],
    [
      'UTF-16 (little endian)',
      Buffer.from('\uFEFFs3cret', 'utf16le'),
      'is not UTF-8 (it starts with a byte order mark of UTF-16)',
    ],
    [
      'UTF-16 (big endian)',
      Buffer.from('\uFEFFs3cret', 'utf16le').swap16(),
      'is not UTF-8 (it starts with a byte order mark of UTF-16)',
    ],
  ])('are rejected when they are %s', (_, bytes, problem) => {
    expect(decodeSecretFile(bytes)).toEqual({ ok: false, problem });
  });

  test('that are valid UTF-8 are decoded without loss', () => {
    const text = Array.from({ length: 0x2000 }, (_, at) => String.fromCodePoint(0x21 + at)).join('');
    const decoded = decodeSecretFile(Buffer.from(text));
    expect(decoded.ok && Buffer.from(decoded.text)).toEqual(Buffer.from(text));
  });
});

describe('the text of a secret', () => {
  test.each([
    'correct horse battery staple',
    'schlüssel 🔑',
    'a"b',
    '"',
    "it's",
    '$ecret',
    'pa$WORD',
    '<a',
    'a=b,c',
    'not-PORCHLIGHT_JWT_SECRET=x',
  ])('%j has no problem', (text) => {
    expect(findSecretTextProblem(text)).toBeNull();
  });

  test.each([
    ['', 'is empty'],
    [' \t ', 'contains only white space'],
    ['\uFEFF', 'contains only white space'],
    ['s3cret\n', 'ends with a line break'],
    ['s3cret\r', 'ends with a line break'],
    ['s3cret\r\n \n', 'ends with a line break'],
    ['one\ntwo', 'has several lines'],
    ['one\r\ntwo', 'has several lines'],
    ['\none', 'has several lines'],
    ['s3\uFFFDcret', 'contains U+FFFD, which replaces bytes that are not UTF-8'],
    ['s3\0cret', 'contains the control character U+0000 (NUL)'],
    ['s3\tcret', 'contains the control character U+0009 (tab)'],
    ['s3\u001b[0mcret', 'contains the control character U+001B (escape)'],
    ['s3\u007Fcret', 'contains the control character U+007F'],
    ['s3\u0085cret', 'contains the control character U+0085'],
    ['\uFEFFs3cret', 'contains the invisible character U+FEFF'],
    ['s3\u200Bcret', 'contains the invisible character U+200B'],
    ['s3\u202Ecret', 'contains the invisible character U+202E'],
    ['s3\u2028cret', 'contains the invisible character U+2028'],
    ['s3\u{E0041}cret', 'contains the invisible character U+E0041'],
    ['s3\uD800cret', 'contains the invisible character U+D800'],
    [' s3cret', 'starts or ends with white space'],
    ['s3cret ', 'starts or ends with white space'],
    ['s3cret\u00A0', 'starts or ends with white space'],
    ['"s3cret"', 'is enclosed in quotation marks'],
    ["'s3cret'", 'is enclosed in quotation marks'],
    ['`cat secret`', 'is enclosed in quotation marks'],
    ['${JWT_SECRET}', 'is a reference that was not replaced'],
    ['${JWT_SECRET:-default}', 'is a reference that was not replaced'],
    ['$(cat /run/secrets/jwt)', 'is a reference that was not replaced'],
    ['$JWT_SECRET', 'is a reference that was not replaced'],
    ['{{ .Values.jwtSecret }}', 'is a reference that was not replaced'],
    ['%JWT_SECRET%', 'is a reference that was not replaced'],
    ['<your secret>', 'is a placeholder'],
    ['PORCHLIGHT_JWT_SECRET=s3cret', 'contains the name of a variable'],
    ['export PORCHLIGHT_JWT_SECRET=s3cret', 'contains the name of a variable'],
  ])('%j has a problem: it %s', (text, problem) => {
    expect(findSecretTextProblem(text)).toBe(problem);
  });
});

describe('Base64', () => {
  test('of any number of bytes is decoded', () => {
    for (let length = 1; length <= 100; length++) {
      const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 37 + length) % 256));
      expect(decodeBase64(bytes.toString('base64'))).toEqual({ ok: true, bytes });
    }
  });

  test.each([
    ['', 'has nothing after base64:'],
    ['-_-_', 'has - or _ after base64:, which are the alphabet of base64url'],
    ['AA-_AA==', 'has - or _ after base64:, which are the alphabet of base64url'],
    ['AAA', 'has Base64 without its padding, or with a part missing'],
    ['AA=', 'has Base64 without its padding, or with a part missing'],
    ['A===', 'has Base64 with surplus bits or padding'],
    ['AAAA====', 'has Base64 with surplus bits or padding'],
    ['AB==', 'has Base64 with surplus bits or padding'],
    ['AAB=', 'has Base64 with surplus bits or padding'],
    ['AA==AA==', 'is not Base64 after base64:'],
    ['AA AA', 'is not Base64 after base64:'],
    [' AAAA', 'is not Base64 after base64:'],
    ['AAA*', 'is not Base64 after base64:'],
    ['====', 'is not Base64 after base64:'],
    ['AAAé', 'is not Base64 after base64:'],
  ])('%j is rejected: it %s', (text, problem) => {
    expect(decodeBase64(text)).toEqual({ ok: false, problem });
  });
});
