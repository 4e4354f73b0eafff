/**
 * Numbers and texts as few bytes, and back exactly as they were: small numbers and numbers near the
 * one before take one byte, texts one byte a character where they can, random ids in base64url less.
 */

/** How a text is kept: in the lowest two bits of its length. */
const LATIN1 = 0;
const UTF16 = 1;
/** What the text says in base64url. */
const BASE64URL = 2;

/** Texts up to here are written by a loop, which a call of Node's takes longer for; their head takes one byte. */
const SHORT = 31;

/** No number is written so: it says that eight bytes follow. */
const ESCAPE_FIRST = 0x80;
const ESCAPE_SECOND = 0x00;
/** Differences up to here are exact when they are doubled. */
const LARGEST_STEP = 2 ** 51;

/** The six bits that a character stands for, plus one; 0: it is none of base64url. */
const SEXTETS = (() => {
  const sextets = new Uint8Array(128);
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (let index = 0; index < letters.length; index++) sextets[letters.charCodeAt(index)] = index + 1;
  return sextets;
})();

export class ByteWriter {
  /** What is written; replaced by a larger one when it is full. */
  bytes: Buffer<ArrayBuffer>;
  /** How much is written. */
  at = 0;

  /** @param room what is likely to be enough. */
  constructor(room = 4_096) {
    this.bytes = Buffer.from(new ArrayBuffer(room));
  }

  /** What is written so far: in a buffer of its own, as long as nothing more is written. */
  written(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.bytes.buffer, 0, this.at);
  }

  byte(value: number): void {
    this.#room(1);
    this.bytes[this.at++] = value;
  }

  /** A whole number from 0 to 2^53 - 1. */
  count(value: number): void {
    this.#room(8);
    const { bytes } = this;
    let rest = value;
    while (rest >= 0x8000_0000) {
      bytes[this.at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 0x80) {
      bytes[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.at++] = rest;
  }

  /** Any number. @param near one that it is likely to be close to, which will be known when it is read. */
  number(value: number, near: number): void {
    const step = value - near;
    if (Number.isInteger(step) && Math.abs(step) < LARGEST_STEP && near + step === value && !Object.is(value, -0)) {
      this.count(step < 0 ? -2 * step - 1 : 2 * step);
      return;
    }
    this.#room(10);
    this.bytes[this.at++] = ESCAPE_FIRST;
    this.bytes[this.at++] = ESCAPE_SECOND;
    this.at = this.bytes.writeDoubleLE(value, this.at);
  }

  /** A text that is read more often than it is random. */
  text(value: string): void {
    const { length } = value;
    if (length <= SHORT && this.#shortLatin1(value)) return;
    const wide = isWide(value);
    const size = wide ? 2 * length : length;
    this.count(size * 4 + (wide ? UTF16 : LATIN1));
    this.#room(size);
    this.at += wide
      ? this.bytes.write(value, this.at, size, 'utf16le')
      : this.bytes.write(value, this.at, size, 'latin1');
  }

  /** A text that is random bytes in base64url more often than not. */
  code(value: string): void {
    if (!this.#base64url(value)) this.text(value);
  }

  /** Leaves a place for the length of what is written next. @returns where it is, for `close`. */
  open(): number {
    this.#room(1);
    return this.at++;
  }

  /** Puts the length of what was written since, as a count, into the place that `open` left. */
  close(opened: number): void {
    const start = opened + 1;
    const length = this.at - start;
    let size = 1;
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
    this.#room(size);
    if (size > 1) this.bytes.copyWithin(start + size - 1, start, this.at);
    this.at = opened;
    this.count(length);
    this.at += length;
  }

  /** @returns false, with nothing written, when it is not of characters of one byte. */
  #shortLatin1(value: string): boolean {
    const { length } = value;
    this.#room(1 + length);
    const { bytes } = this;
    let { at } = this;
    bytes[at++] = length * 4 + LATIN1;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0xff) return false;
      bytes[at++] = code;
    }
    this.at = at;
    return true;
  }

  /** @returns false, with nothing written, when it is not what Node would write for some bytes. */
  #base64url(value: string): boolean {
    const { length } = value;
    if (length % 4 === 1) return false;
    const before = this.at;
    const size = (length * 3) >> 2;
    this.count(size * 4 + BASE64URL);
    this.#room(size);
    const { bytes } = this;
    let { at } = this;
    let held = 0;
    let bits = 0;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      const sextet = code < 128 ? (SEXTETS[code] as number) : 0;
      if (sextet === 0) {
        this.at = before;
        return false;
      }
      held = ((held << 6) | (sextet - 1)) & 0xfff;
      bits += 6;
      if (bits < 8) continue;
      bits -= 8;
      bytes[at++] = held >> bits;
    }
    // The bits of the last character that belong to no byte must be 0, or the bytes do not say them.
    if ((held & ((1 << bits) - 1)) !== 0) {
      this.at = before;
      return false;
    }
    this.at = at;
    return true;
  }

  #room(bytes: number): void {
    if (this.at + bytes <= this.bytes.length) return;
    const larger = Buffer.from(new ArrayBuffer(2 * (this.at + bytes)));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }
}

export class ByteReader {
  bytes: Buffer = Buffer.alloc(0);
  /** The next byte to be read. */
  at = 0;

  skip(bytes: number): void {
    this.at += bytes;
  }

  byte(): number {
    return this.bytes[this.at++] as number;
  }

  count(): number {
    const { bytes } = this;
    let byte = bytes[this.at++] as number;
    let value = byte & 0x7f;
    let weight = 128;
    while (byte >= 0x80) {
      byte = bytes[this.at++] as number;
      value += (byte & 0x7f) * weight;
      weight *= 128;
    }
    return value;
  }

  number(near: number): number {
    if (this.bytes[this.at] === ESCAPE_FIRST && this.bytes[this.at + 1] === ESCAPE_SECOND) {
      this.at += 10;
      return this.bytes.readDoubleLE(this.at - 8);
    }
    const folded = this.count();
    return near + (folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2);
  }

  text(): string {
    const head = this.count();
    const start = this.at;
    this.at += Math.floor(head / 4);
    switch (head & 3) {
      case LATIN1:
        return this.bytes.toString('latin1', start, this.at);
      case UTF16:
        return this.bytes.toString('utf16le', start, this.at);
      default:
        return this.bytes.toString('base64url', start, this.at);
    }
  }

  /** Reads a text without making one: is it this one? Not for what was written as a code. */
  isText(value: string): boolean {
    const head = this.count();
    const wide = (head & 3) === UTF16;
    const { length } = value;
    if (head >> 2 !== (wide ? 2 * length : length)) return false;
    const { bytes, at } = this;
    if (wide) {
      for (let index = 0; index < length; index++) {
        if (bytes.readUInt16LE(at + 2 * index) !== value.charCodeAt(index)) return false;
      }
      return true;
    }
    for (let index = 0; index < length; index++) {
      if (bytes[at + index] !== value.charCodeAt(index)) return false;
    }
    return true;
  }
}

const isWide = (value: string): boolean => {
  for (let index = 0; index < value.length; index++) if (value.charCodeAt(index) > 0xff) return true;
  return false;
};
