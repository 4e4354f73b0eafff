/**
 * Encodes numbers and texts in few bytes and decodes them exactly. Small numbers and numbers near a reference take
 * one byte. A text takes one byte per character if it is Latin-1, less if it is base64url.
 */

/** Text encodings, stored in the lowest two bits of the length prefix. */
const LATIN1 = 0;
const UTF16 = 1;
/** The bytes that the text represents in base64url. */
const BASE64URL = 2;

/**
 * Texts up to this length are written by a loop, which is faster than a call into Node. Their prefix takes one byte.
 */
const MAX_SHORT_TEXT = 31;

/** Escape sequence for a double of 8 bytes. No varint starts with these two bytes. */
const ESCAPE_FIRST = 0x80;
const ESCAPE_SECOND = 0x00;
/** Differences up to this size stay exact when they are doubled. */
const MAX_DELTA = 2 ** 51;

/** The 6-bit value of each base64url character plus one; 0 for any other character. */
const BASE64URL_SEXTETS = (() => {
  const sextets = new Uint8Array(128);
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (let index = 0; index < letters.length; index++) sextets[letters.charCodeAt(index)] = index + 1;
  return sextets;
})();

export class ByteWriter {
  /** The bytes written. Replaced by a larger buffer when it is full. */
  bytes: Buffer<ArrayBuffer>;
  /** Number of bytes written. */
  position = 0;

  /** @param initialCapacity expected size in bytes; the buffer grows if needed. */
  constructor(initialCapacity = 4_096) {
    this.bytes = Buffer.from(new ArrayBuffer(initialCapacity));
  }

  /** Returns a view of the bytes written so far. It is valid until more is written. */
  writtenBytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.bytes.buffer, 0, this.position);
  }

  writeByte(value: number): void {
    this.#ensureCapacity(1);
    this.bytes[this.position++] = value;
  }

  /** Writes a whole number from 0 to 2^53 - 1. */
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

  /**
   * Writes any number.
   * @param reference a number that `value` is probably close to. The reader must pass the same one.
   */
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

  /** Writes a text that is usually readable. */
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

  /** Writes a text that usually is random bytes in base64url. Other texts are written as by `writeText`. */
  writeBase64urlText(value: string): void {
    if (!this.#tryWriteBase64url(value)) this.writeText(value);
  }

  /**
   * Reserves a byte for the length of what is written next.
   * @returns the position for `writeLengthPrefix`.
   */
  reserveLengthPrefix(): number {
    this.#ensureCapacity(1);
    return this.position++;
  }

  /** Writes the length of what was written since `reserveLengthPrefix` into the reserved position. */
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

  /** @returns false, with nothing written, if a character does not fit into one byte. */
  #tryWriteShortLatin1(value: string): boolean {
    const { length } = value;
    this.#ensureCapacity(1 + length);
    const { bytes } = this;
    let { position } = this;
    bytes[position++] = length * 4 + LATIN1;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0xff) return false;
      bytes[position++] = code;
    }
    this.position = position;
    return true;
  }

  /** @returns false, with nothing written, if the text is not the exact base64url form of some bytes. */
  #tryWriteBase64url(value: string): boolean {
    const { length } = value;
    if (length % 4 === 1) return false;
    const before = this.position;
    const size = (length * 3) >> 2;
    this.writeVarint(size * 4 + BASE64URL);
    this.#ensureCapacity(size);
    const { bytes } = this;
    let { position } = this;
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
      bytes[position++] = pendingBits >> pendingBitCount;
    }
    // Unused bits of the last character must be 0. Otherwise decoding would not restore them.
    if ((pendingBits & ((1 << pendingBitCount) - 1)) !== 0) {
      this.position = before;
      return false;
    }
    this.position = position;
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
  /** Position of the next byte to read. */
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

  /**
   * Reads a text without creating a string and returns whether it equals `value`. Not for texts written by
   * `writeBase64urlText`.
   */
  matchesText(value: string): boolean {
    const head = this.readVarint();
    const wide = (head & 3) === UTF16;
    const { length } = value;
    if (head >> 2 !== (wide ? 2 * length : length)) return false;
    const { bytes, position } = this;
    if (wide) {
      for (let index = 0; index < length; index++) {
        if (bytes.readUInt16LE(position + 2 * index) !== value.charCodeAt(index)) return false;
      }
      return true;
    }
    for (let index = 0; index < length; index++) {
      if (bytes[position + index] !== value.charCodeAt(index)) return false;
    }
    return true;
  }
}

const needsUtf16 = (value: string): boolean => {
  for (let index = 0; index < value.length; index++) if (value.charCodeAt(index) > 0xff) return true;
  return false;
};
