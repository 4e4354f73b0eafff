/** The kinds of value of the options that are secrets. A problem or a warning never contains the secret. */
import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import {
  BASE64_PREFIX,
  decodeBase64,
  decodeSecretFile,
  findEncodingPrefix,
  findSecretTextProblem,
} from './secret-text.ts';
import { removeDuplicates, SECRET_MASK, type ValueType } from './value-types.ts';

export type SecretParseResult<T> =
  | { readonly ok: true; readonly value: T; readonly warning?: string }
  | { readonly ok: false; readonly problem: string; readonly expected: string };

/** A secret is the text of an environment variable, or the bytes of a file. */
export interface SecretType<T> extends ValueType<T> {
  parseText(text: string): SecretParseResult<T>;
  parseFile(bytes: Buffer): SecretParseResult<T>;
}

interface SecretTypeDefinition<T> {
  readonly label: string;
  /** Completes the sentence "NAME …, but must be …". */
  readonly expected: string;
  /** @throws SecretProblem */
  readonly parse: (text: string) => { readonly value: T; readonly warning?: string };
  readonly formatValue: (value: T) => ReturnType<ValueType<T>['formatValue']>;
}

/** Why a text is not a valid secret. The message completes the sentence "NAME …, but must be …". */
class SecretProblem extends Error {}

const defineSecretType = <T>({ label, expected, parse, formatValue }: SecretTypeDefinition<T>): SecretType<T> => {
  const parseText = (text: string): SecretParseResult<T> => {
    try {
      return { ok: true, ...parse(text) };
    } catch (error) {
      if (!(error instanceof SecretProblem)) throw error;
      return { ok: false, problem: error.message, expected };
    }
  };
  const parseFile = (bytes: Buffer): SecretParseResult<T> => {
    const decoded = decodeSecretFile(bytes);
    return decoded.ok ? parseText(decoded.text) : { ok: false, problem: decoded.problem, expected };
  };
  return { label, parseText, parseFile, formatValue };
};

const requireSecretText = (text: string): void => {
  const problem = findSecretTextProblem(text);
  if (problem !== null) throw new SecretProblem(problem);
};

/** Bytes. The size of an HMAC-SHA256, below which RFC 7518 forbids a key. */
export const MIN_KEY_BYTES = 32;

const decodeBinaryKey = (text: string): Buffer => {
  const decoded = decodeBase64(text.slice(BASE64_PREFIX.length));
  if (!decoded.ok) throw new SecretProblem(decoded.problem);
  return decoded.bytes;
};

const requireSharedSecret = (text: string): void => {
  // A public key as shared secret would let every person who has the public key sign tokens.
  if (/^-----BEGIN /.test(text)) throw new SecretProblem('is a PEM file');
  if (/^\s*\{.*"kty"/s.test(text)) throw new SecretProblem('is a JSON Web Key');
  requireSecretText(text);
  const prefix = findEncodingPrefix(text);
  if (prefix !== null && prefix !== BASE64_PREFIX) throw new SecretProblem(`starts with ${prefix}`);
};

/**
 * A shared secret for HMAC: the UTF-8 bytes of one line of text, or the bytes of `base64:…`. Its length is not checked
 * here, because an option decides about short keys (see `checkKeyLength`).
 */
export const sharedSecretType: SecretType<KeyObject> = defineSecretType({
  label: 'text',
  expected: 'one line of UTF-8 text, or base64: and the padded Base64 of a binary key',
  parse: (text) => {
    requireSharedSecret(text);
    const bytes = text.startsWith(BASE64_PREFIX) ? decodeBinaryKey(text) : Buffer.from(text, 'utf8');
    return { value: createSecretKey(bytes) };
  },
  formatValue: () => SECRET_MASK,
});

/** Whether the key is so short that it can be guessed from one token. */
export const isShortKey = (key: KeyObject): boolean => (key.symmetricKeySize ?? 0) < MIN_KEY_BYTES;

/** SHA-256 of an API key. A text counts as its UTF-8 bytes. Keys are stored and compared in this form. */
export const hashApiKey = (key: string | Buffer): Buffer => createHash('sha256').update(key).digest();

/** Characters of an API key and of the metrics token. */
const MIN_TOKEN_LENGTH = 16;
const ADVISED_TOKEN_LENGTH = 32;
/** A longer `Authorization` header could be refused by proxies. */
const MAX_TOKEN_LENGTH = 1_024;

const TOKEN_RULE = `${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH} visible ASCII characters`;

/** Checks a token that clients send as `Authorization: Bearer …`. Another text could never match. */
const requireBearerToken = (token: string): void => {
  requireSecretText(token);
  const prefix = findEncodingPrefix(token);
  if (prefix !== null) throw new SecretProblem(`starts with ${prefix}, which only JWT and Tencent keys may do`);
  if (/\s/.test(token)) throw new SecretProblem('contains white space');
  if (!/^[\x21-\x7e]+$/.test(token)) throw new SecretProblem('contains a character that is not ASCII');
  if (token.length < MIN_TOKEN_LENGTH) throw new SecretProblem(`is shorter than ${MIN_TOKEN_LENGTH} characters`);
  if (token.length > MAX_TOKEN_LENGTH) throw new SecretProblem(`is longer than ${MAX_TOKEN_LENGTH} characters`);
};

const parseApiKeys = (text: string): readonly string[] => {
  if (/^\s*[[{]/.test(text)) throw new SecretProblem('looks like JSON');
  // Only spaces and tabs are removed. Other white space, such as a byte order mark, is a problem of the key.
  const items = text.split(/,|\r?\n/).map((item) => item.replace(/^[ \t]+|[ \t]+$/g, ''));
  const keys = removeDuplicates(items.filter((item) => item !== ''));
  if (keys.length === 0) throw new SecretProblem(text === '' ? 'is empty' : 'contains no key');
  keys.forEach((key, index) => {
    try {
      // A line that starts with # is meant as a comment, which must not become a key.
      if (key.startsWith('#')) throw new SecretProblem('starts with #');
      requireBearerToken(key);
    } catch (error) {
      if (!(error instanceof SecretProblem) || keys.length === 1) throw error;
      throw new SecretProblem(`has a key (number ${index + 1}) that ${error.message}`);
    }
  });
  return keys;
};

/** API keys, separated by commas or line breaks, as SHA-256 digests. A key of fewer than 32 characters causes a warning. */
export const apiKeyListType: SecretType<readonly Buffer[]> = defineSecretType({
  label: 'keys',
  expected: `a list of keys of ${TOKEN_RULE}, separated by commas or line breaks`,
  parse: (text) => {
    const keys = parseApiKeys(text);
    const hasShortKey = keys.some((key) => key.length < ADVISED_TOKEN_LENGTH);
    return {
      value: keys.map(hashApiKey),
      ...(hasShortKey && { warning: `has a key of fewer than ${ADVISED_TOKEN_LENGTH} characters; use a longer one` }),
    };
  },
  formatValue: (value) => value.map(() => SECRET_MASK),
});

/**
 * A token that clients send as `Authorization: Bearer …`, as its SHA-256 digest. Fewer than 32 characters cause a
 * warning.
 */
export const bearerTokenType: SecretType<Buffer> = defineSecretType({
  label: 'token',
  expected: `a token of ${TOKEN_RULE}`,
  parse: (token) => {
    requireBearerToken(token);
    return {
      value: hashApiKey(token),
      ...(token.length < ADVISED_TOKEN_LENGTH && {
        warning: `has fewer than ${ADVISED_TOKEN_LENGTH} characters; use a longer one`,
      }),
    };
  },
  formatValue: () => SECRET_MASK,
});
