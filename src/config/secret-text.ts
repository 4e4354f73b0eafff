/**
 * Decodes secrets, and finds texts that are probably not what the person who set them meant. A secret that is read
 * differently here than by a backend would fail silently, or would be a key that others can guess.
 */
import { isUtf8 } from 'node:buffer';

export type SecretTextResult =
  | { readonly ok: true; readonly text: string }
  /** `problem` completes the sentence "NAME …, but must be …". It contains no part of the secret. */
  | { readonly ok: false; readonly problem: string };

const BYTE_ORDER_MARKS: readonly (readonly [problem: string, bytes: Buffer])[] = [
  ['starts with a byte order mark', Buffer.from([0xef, 0xbb, 0xbf])],
  // A binary key may start so by chance.
  ['is not UTF-8 (it starts with a byte order mark of UTF-16)', Buffer.from([0xff, 0xfe])],
  ['is not UTF-8 (it starts with a byte order mark of UTF-16)', Buffer.from([0xfe, 0xff])],
];

/** Decodes the bytes of a file without loss. One line break at the end (LF or CRLF) is removed, because editors add it. */
export const decodeSecretFile = (bytes: Buffer): SecretTextResult => {
  for (const [problem, mark] of BYTE_ORDER_MARKS) {
    if (mark.equals(bytes.subarray(0, mark.length))) return { ok: false, problem };
  }
  if (!isUtf8(bytes)) return { ok: false, problem: 'is not UTF-8' };
  return { ok: true, text: bytes.toString('utf8').replace(/\r?\n$/, '') };
};

/** Names of the control characters that occur most often. */
const CONTROL_NAMES: Readonly<Record<string, string>> = { '\0': 'NUL', '\t': 'tab', '\u001b': 'escape' };

const formatCodePoint = (character: string): string => {
  const hex = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  const name = CONTROL_NAMES[character];
  return name === undefined ? `U+${hex}` : `U+${hex} (${name})`;
};

/**
 * Finds what makes one secret, a single line, unusable.
 * @returns what completes the sentence "NAME …, but must be …", or null. It contains no part of the secret, except a
 *   control character or an invisible one.
 */
export const findSecretTextProblem = (text: string): string | null => {
  if (text === '') return 'is empty';
  if (text.trim() === '') return 'contains only white space';
  if (/[\r\n]\s*$/.test(text)) return 'ends with a line break';
  if (/[\r\n]/.test(text)) return 'has several lines';
  // Node decodes an environment variable that is not UTF-8 in this way.
  if (text.includes('\uFFFD')) return 'contains U+FFFD, which replaces bytes that are not UTF-8';
  const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.exec(text)?.[0];
  if (hidden !== undefined) {
    const kind = /\p{Cc}/u.test(hidden) ? 'control' : 'invisible';
    return `contains the ${kind} character ${formatCodePoint(hidden)}`;
  }
  if (text !== text.trim()) return 'starts or ends with white space';
  if (/^(["'`]).*\1$/.test(text)) return 'is enclosed in quotation marks';
  return findTemplateProblem(text);
};

/** Finds text that a shell, an orchestrator or a person should have replaced. Such a text is not secret. */
const findTemplateProblem = (text: string): string | null => {
  if (/^(\$\{.*\}|\$\(.*\)|\$[A-Z_][A-Z0-9_]*|\{\{.*\}\}|%\w+%)$/.test(text))
    return 'is a reference that was not replaced';
  if (/^<[^<>]*>$/.test(text)) return 'is a placeholder';
  if (/^(export\s+)?PORCHLIGHT_[A-Z_]+=/.test(text)) return 'contains the name of a variable';
  return null;
};

/** The prefix of a binary key. */
export const BASE64_PREFIX = 'base64:';

/** Finds a prefix that names an encoding, in any case. `base64:` itself is one of them. @returns null without one. */
export const findEncodingPrefix = (text: string): string | null =>
  /^(base64|base64url|b64|hex)\s*:/i.exec(text)?.[0] ?? null;

export type Base64Result =
  | { readonly ok: true; readonly bytes: Buffer }
  /** `problem` completes the sentence "NAME …, but must be …". */
  | { readonly ok: false; readonly problem: string };

/** Decodes Base64 of RFC 4648, section 4: the standard alphabet, padded, with zero bits at the end. */
export const decodeBase64 = (base64: string): Base64Result => {
  if (base64 === '') return { ok: false, problem: 'has nothing after base64:' };
  if (/^[\w-]+=*$/.test(base64) && /[-_]/.test(base64)) {
    return { ok: false, problem: 'has - or _ after base64:, which are the alphabet of base64url' };
  }
  if (!/^[A-Za-z0-9+/]+=*$/.test(base64)) return { ok: false, problem: 'is not Base64 after base64:' };
  if (base64.length % 4 !== 0) return { ok: false, problem: 'has Base64 without its padding, or with a part missing' };
  const bytes = Buffer.from(base64, 'base64');
  // A decoder ignores surplus bits, so two texts would be the same key.
  if (bytes.toString('base64') !== base64) return { ok: false, problem: 'has Base64 with surplus bits or padding' };
  return { ok: true, bytes };
};
