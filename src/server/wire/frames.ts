/** Frames as a server sends them: whole messages, never masked (RFC 6455, 5.2). */

const LAST = 0x80;
const TEXT = LAST | 0x1;
const PING = LAST | 0x9;
const PONG = LAST | 0xa;

/** One message, already a frame, or a text that has yet to become one. */
export type OutgoingMessage = Buffer | string;

export const encodeTextFrame = (text: string): Buffer => encodeFrames([text]);

/** A ping of ours, which says nothing. */
export const PING_FRAME = Buffer.from([PING, 0]);

/** @param payload what came with the ping: at most 125 bytes. */
export const encodePongFrame = (payload: Buffer): Buffer => {
  const bytes = Buffer.allocUnsafe(2 + payload.length);
  payload.copy(bytes, putHeader(bytes, 0, PONG, payload.length));
  return bytes;
};

/** All of them, one after another, as they go over the wire. */
export const encodeFrames = (parts: readonly OutgoingMessage[]): Buffer => {
  const [only] = parts;
  if (parts.length === 1 && typeof only !== 'string' && only !== undefined) return only;
  let room = 0;
  for (const part of parts) {
    if (typeof part === 'string') {
      const length = Buffer.byteLength(part, 'utf8');
      room += headerBytes(length) + length;
    } else room += part.length;
  }
  const bytes = Buffer.allocUnsafe(room);
  let at = 0;
  for (const part of parts) at = typeof part === 'string' ? putText(bytes, at, part) : at + part.copy(bytes, at);
  return bytes;
};

const putText = (bytes: Buffer, at: number, text: string): number => {
  const length = Buffer.byteLength(text, 'utf8');
  const start = putHeader(bytes, at, TEXT, length);
  // Of letters that take a byte each, no more has to be found out.
  return start + (length === text.length ? bytes.write(text, start, 'latin1') : bytes.write(text, start, 'utf8'));
};

const headerBytes = (length: number): number => (length < 126 ? 2 : length < 0x1_0000 ? 4 : 10);

/** @returns where the payload begins. */
const putHeader = (bytes: Buffer, at: number, opcode: number, length: number): number => {
  bytes[at] = opcode;
  if (length < 126) {
    bytes[at + 1] = length;
    return at + 2;
  }
  if (length < 0x1_0000) {
    bytes[at + 1] = 126;
    return bytes.writeUInt16BE(length, at + 2);
  }
  bytes[at + 1] = 127;
  bytes.writeUInt16BE(0, at + 2);
  return bytes.writeUIntBE(length, at + 4, 6);
};
