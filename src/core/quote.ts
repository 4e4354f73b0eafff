/** Text from outside within a line that people read. */

// Controls, lone surrogates, what turns the direction of the text or cannot be seen, and other ends of lines.
const NOT_PLAIN = /[\p{Cc}\p{Cs}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** In double quotes; whatever could move the cursor, turn the line around or hide is written as `\u{…}`. */
export const quoteText = (text: string): string =>
  `"${text
    .replace(/[\\"]/g, (mark) => `\\${mark}`)
    .replace(NOT_PLAIN, (mark) => `\\u{${(mark.codePointAt(0) ?? 0).toString(16)}}`)}"`;
