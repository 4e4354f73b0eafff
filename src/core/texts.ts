/**
 * The rules for every text that a user, a device or a backend sends. A text is kept exactly as given or rejected; it is
 * never trimmed or normalised. A new kind of text is one more row of `TEXT_RULES`.
 *
 * - Control characters are C0 (U+0000 to U+001F), DEL (U+007F) and C1 (U+0080 to U+009F). PostgreSQL stores no U+0000,
 *   and terminals execute others.
 * - Line breaks are LF, CR and CR LF. NEL, VT and FF are control characters. U+2028 and U+2029 are not control
 *   characters, so every text may have them.
 * - A lone surrogate is a UTF-16 unit from U+D800 to U+DFFF without its other half. It has no form in UTF-8.
 */
import { badUserInputError } from './errors.ts';

export interface TextRule {
  /** What error messages call the text: the subject of a sentence. */
  readonly label: string;
  /** Unicode code points, not UTF-16 units. */
  readonly maxCodePoints: number;
  /** Whether an empty text is rejected. */
  readonly isRequired?: boolean;
  /** Whether line breaks and tabs are accepted. All other control characters never are. */
  readonly allowsLineBreaks?: boolean;
  /** Whether error messages must not show any character of the text. */
  readonly isSecret?: boolean;
}

export const MAX_ID_CODE_POINTS = 128;

const ID = { maxCodePoints: MAX_ID_CODE_POINTS, isRequired: true } as const;
const VERSION = { maxCodePoints: 128 } as const;

export const TEXT_RULES = {
  userId: { label: 'A user id', ...ID },
  deviceId: { label: 'A deviceId', ...ID },
  sessionId: { label: 'A session id', ...ID },
  webhookId: { label: 'A webhook’s id', ...ID },
  deliveryId: { label: 'A delivery’s id', ...ID },
  cursor: { label: 'A cursor', ...ID },
  appVersion: { label: 'appVersion', ...VERSION },
  osVersion: { label: 'osVersion', ...VERSION },
  customStatus: { label: 'The custom status', maxCodePoints: 256, allowsLineBreaks: true },
  webhookUrl: { label: 'url', maxCodePoints: 2_048, isSecret: true },
  webhookSecret: { label: 'secret', maxCodePoints: 128, isRequired: true, isSecret: true },
} as const satisfies Readonly<Record<string, TextRule>>;

export type TextKind = keyof typeof TEXT_RULES;

// With the flag `u`, a surrogate only matches if it is alone.
const FORBIDDEN = /[\p{Cc}\p{Cs}]/u;
const FORBIDDEN_BESIDE_LINE_BREAKS = /(?![\t\n\r])[\p{Cc}\p{Cs}]/u;
const ALL_FORBIDDEN_BESIDE_LINE_BREAKS = new RegExp(FORBIDDEN_BESIDE_LINE_BREAKS, 'gu');
const REPLACEMENT_CHARACTER = '\ufffd';

/**
 * Returns the text itself.
 * @throws BAD_USER_INPUT for a text that is too long, empty although it is required, or has a character that its rule
 * forbids.
 */
export const validateText = (kind: TextKind, text: string): string => {
  const rule: TextRule = TEXT_RULES[kind];
  const { label, maxCodePoints } = rule;
  if (text === '' && rule.isRequired) {
    throw badUserInputError(`${label} is empty. It must have 1 to ${maxCodePoints} characters.`);
  }
  if (isLongerThan(text, maxCodePoints))
    throw badUserInputError(`${label} is longer than ${maxCodePoints} characters.`);
  const forbidden = rule.allowsLineBreaks ? FORBIDDEN_BESIDE_LINE_BREAKS : FORBIDDEN;
  if (forbidden.test(text)) throw badUserInputError(describeForbidden(rule, forbidden.exec(text)?.[0] ?? ''));
  return text;
};

/** As `validateText`. Null and undefined are no text. */
export const validateOptionalText = (kind: TextKind, text: string | null | undefined): string | null =>
  text == null ? null : validateText(kind, text);

/**
 * As `validateOptionalText`, for a text whose empty form is no text: a text that is empty or white space alone gives
 * null. White space is what Unicode calls so, with line breaks, tabs and U+FEFF; a zero-width space is none.
 */
export const validateVisibleText = (kind: TextKind, text: string | null | undefined): string | null => {
  const valid = validateOptionalText(kind, text);
  return valid === null || valid.trim() === '' ? null : valid;
};

/**
 * Returns a stored text as it may leave the server. Earlier versions accepted control characters in custom statuses.
 * Each of them, and each lone surrogate, reads as U+FFFD. Line breaks and tabs stay.
 */
export const readStoredText = (text: string): string =>
  FORBIDDEN_BESIDE_LINE_BREAKS.test(text)
    ? text.replace(ALL_FORBIDDEN_BESIDE_LINE_BREAKS, REPLACEMENT_CHARACTER)
    : text;

const describeForbidden = ({ label, allowsLineBreaks, isSecret }: TextRule, character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  const codePoint = isSecret ? '' : ` (U+${code.toString(16).toUpperCase().padStart(4, '0')})`;
  if (code > 0xff) return `${label} has a lone surrogate${codePoint}, which is not valid Unicode.`;
  const exception = allowsLineBreaks ? ' Of those, only line breaks and tabs are allowed.' : '';
  return `${label} has a control character${codePoint}.${exception}`;
};

const isLongerThan = (text: string, codePoints: number): boolean => {
  if (text.length <= codePoints) return false;
  // A code point has at most two UTF-16 units, so a much longer text need not be counted.
  if (text.length > 2 * codePoints) return true;
  let count = 0;
  for (const _ of text) if (++count > codePoints) return true;
  return false;
};
