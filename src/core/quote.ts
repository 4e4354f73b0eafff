/** Quotes text from outside for a line that people read. */

// Control characters, lone surrogates, invisible and direction-changing characters, and line separators.
const UNSAFE_CHARACTERS = /[\p{Cc}\p{Cs}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Encloses the text in double quotes. Escapes quotes and backslashes, and writes unsafe characters as `\u{…}`. */
export const quoteText = (text: string): string =>
  `"${text
    .replace(/[\\"]/g, (character) => `\\${character}`)
    .replace(UNSAFE_CHARACTERS, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)}"`;
