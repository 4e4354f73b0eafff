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
const MAX_SHORT_TEXT = 31;

/** No number is written so: it says that eight bytes follow. */
const ESCAPE_FIRST = 0x80;
const ESCAPE_SECOND = 0x00;
/** Differences up to here are exact when they are doubled. */
const MAX_DELTA = 2 ** 51;

/** The six bits that a character stands for, plus one; 0: it is none of base64url. */
const BASE64URL_SEXTETS = (() => {
  const sextets = new Uint8Array(128);
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (let index = 0; index < letters.length; index++) sextets[letters.charCodeAt(index)] = index + 1;
  return sextets;
})();

export class ByteWriter {
  /** What is written; replaced by a larger one when it is full. */
  bytes: Buffer<ArrayBuffer>;
  /** How much is written. */
  position = 0;

  /** @param initialCapacity what is likely to be enough. */
  constructor(initialCapacity = 4_096) {
    this.bytes = Buffer.from(new ArrayBuffer(initialCapacity));
  }

  /** What is written so far: in a buffer of its own, as long as nothing more is written. */
  writtenBytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.bytes.buffer, 0, this.position);
  }

  writeByte(value: number): void {
    this.#ensureCapacity(1);
    this.bytes[this.position++] = value;
  }

  /** A whole number from 0 to 2^53 - 1. */
  writeVarint(value: number): void {
    this.#ensureCapacity(8);
    const { bytes } = this;
    let rest = value;
    while (rest >= 0x8000_0000) {
      bytes[this.position++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 0x80) {
      bytes[this.position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.position++] = rest;
  }

  /** Any number. @param reference one that it is likely to be close to, which will be known when it is read. */
  writeNumber(value: number, reference: number): void {
    const delta = value - reference;
    if (
      Number.isInteger(delta) &&
      Math.abs(delta) < MAX_DELTA &&
      reference + delta === value &&
      !Object.is(value, -0)
    ) {
      this.writeVarint(delta < 0 ? -2 * delta - 1 : 2 * delta);
      return;
    }
    this.#ensureCapacity(10);
    this.bytes[this.position++] = ESCAPE_FIRST;
    this.bytes[this.position++] = ESCAPE_SECOND;
    this.position = this.bytes.writeDoubleLE(value, this.position);
  }

  /** A text that is read more often than it is random. */
  writeText(value: string): void {
    const { length } = value;
    if (length <= MAX_SHORT_TEXT && this.#tryWriteShortLatin1(value)) return;
    const wide = needsUtf16(value);
    const size = wide ? 2 * length : length;
    this.writeVarint(size * 4 + (wide ? UTF16 : LATIN1));
    this.#ensureCapacity(size);
    this.position += wide
      ? this.bytes.write(value, this.position, size, 'utf16le')
      : this.bytes.write(value, this.position, size, 'latin1');
  }

  /** A text that is random bytes in base64url more often than not. */
  writeBase64urlText(value: string): void {
    if (!this.#tryWriteBase64url(value)) this.writeText(value);
  }

  /** Leaves a place for the length of what is written next. @returns where it is, for `close`. */
  reserveLengthPrefix(): number {
    this.#ensureCapacity(1);
    return this.position++;
  }

  /** Puts the length of what was written since, as a count, into the place that `open` left. */
  writeLengthPrefix(prefixPosition: number): void {
    const start = prefixPosition + 1;
    const length = this.position - start;
    let size = 1;
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
    this.#ensureCapacity(size);
    if (size > 1) this.bytes.copyWithin(start + size - 1, start, this.position);
    this.position = prefixPosition;
    this.writeVarint(length);
    this.position += length;
  }

  /** @returns false, with nothing written, when it is not of characters of one byte. */
  #tryWriteShortLatin1(value: string): boolean {
    const { length } = value;
    this.#ensureCapacity(1 + length);
    const { bytes } = this;
    let { position: at } = this;
    bytes[at++] = length * 4 + LATIN1;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0xff) return false;
      bytes[at++] = code;
    }
    this.position = at;
    return true;
  }

  /** @returns false, with nothing written, when it is not what Node would write for some bytes. */
  #tryWriteBase64url(value: string): boolean {
    const { length } = value;
    if (length % 4 === 1) return false;
    const before = this.position;
    const size = (length * 3) >> 2;
    this.writeVarint(size * 4 + BASE64URL);
    this.#ensureCapacity(size);
    const { bytes } = this;
    let { position: at } = this;
    let pendingBits = 0;
    let pendingBitCount = 0;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      const sextet = code < 128 ? (BASE64URL_SEXTETS[code] as number) : 0;
      if (sextet === 0) {
        this.position = before;
        return false;
      }
      pendingBits = ((pendingBits << 6) | (sextet - 1)) & 0xfff;
      pendingBitCount += 6;
      if (pendingBitCount < 8) continue;
      pendingBitCount -= 8;
      bytes[at++] = pendingBits >> pendingBitCount;
    }
    // The bits of the last character that belong to no byte must be 0, or the bytes do not say them.
    if ((pendingBits & ((1 << pendingBitCount) - 1)) !== 0) {
      this.position = before;
      return false;
    }
    this.position = at;
    return true;
  }

  #ensureCapacity(bytes: number): void {
    if (this.position + bytes <= this.bytes.length) return;
    const larger = Buffer.from(new ArrayBuffer(2 * (this.position + bytes)));
    this.bytes.copy(larger, 0, 0, this.position);
    this.bytes = larger;
  }
}

export class ByteReader {
  bytes: Buffer = Buffer.alloc(0);
  /** The next byte to be read. */
  position = 0;

  skipBytes(bytes: number): void {
    this.position += bytes;
  }

  readByte(): number {
    return this.bytes[this.position++] as number;
  }

  readVarint(): number {
    const { bytes } = this;
    let byte = bytes[this.position++] as number;
    let value = byte & 0x7f;
    let weight = 128;
    while (byte >= 0x80) {
      byte = bytes[this.position++] as number;
      value += (byte & 0x7f) * weight;
      weight *= 128;
    }
    return value;
  }

  readNumber(reference: number): number {
    if (this.bytes[this.position] === ESCAPE_FIRST && this.bytes[this.position + 1] === ESCAPE_SECOND) {
      this.position += 10;
      return this.bytes.readDoubleLE(this.position - 8);
    }
    const zigzag = this.readVarint();
    return reference + (zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2);
  }

  readText(): string {
    const head = this.readVarint();
    const start = this.position;
    this.position += Math.floor(head / 4);
    switch (head & 3) {
      case LATIN1:
        return this.bytes.toString('latin1', start, this.position);
      case UTF16:
        return this.bytes.toString('utf16le', start, this.position);
      default:
        return this.bytes.toString('base64url', start, this.position);
    }
  }

  /** Reads a text without making one: is it this one? Not for what was written as a code. */
  matchesText(value: string): boolean {
    const head = this.readVarint();
    const wide = (head & 3) === UTF16;
    const { length } = value;
    if (head >> 2 !== (wide ? 2 * length : length)) return false;
    const { bytes, position: at } = this;
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

const needsUtf16 = (value: string): boolean => {
  for (let index = 0; index < value.length; index++) if (value.charCodeAt(index) > 0xff) return true;
  return false;
};
