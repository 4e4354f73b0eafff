/** Encodes the frames that a server sends: unfragmented and unmasked (RFC 6455, section 5.2). */

const FIN = 0x80;
const TEXT = FIN | 0x1;
const PING = FIN | 0x9;
const PONG = FIN | 0xa;

/** An encoded frame, or the text of one that is not encoded yet. */
export type OutgoingMessage = Buffer | string;

export const encodeTextFrame = (text: string): Buffer => encodeFrames([text]);

/** A ping without a payload. */
export const PING_FRAME = Buffer.from([PING, 0]);

/** @param payload the payload of the ping, at most 125 bytes. */
export const encodePongFrame = (payload: Buffer): Buffer => {
  const bytes = Buffer.allocUnsafe(2 + payload.length);
  payload.copy(bytes, writeHeader(bytes, 0, PONG, payload.length));
  return bytes;
};

/** Encodes all messages into one buffer, in their order. A single encoded frame is returned without a copy. */
export const encodeFrames = (messages: readonly OutgoingMessage[]): Buffer => {
  const [only] = messages;
  if (messages.length === 1 && typeof only !== 'string' && only !== undefined) return only;
  let totalLength = 0;
  for (const message of messages) {
    if (typeof message === 'string') {
      const length = Buffer.byteLength(message, 'utf8');
      totalLength += headerLength(length) + length;
    } else totalLength += message.length;
  }
  const bytes = Buffer.allocUnsafe(totalLength);
  let offset = 0;
  for (const message of messages) {
    offset =
      typeof message === 'string' ? writeTextFrame(bytes, offset, message) : offset + message.copy(bytes, offset);
  }
  return bytes;
};

/** Writes a frame at `offset`. Returns the offset after it. */
const writeTextFrame = (bytes: Buffer, offset: number, text: string): number => {
  const length = Buffer.byteLength(text, 'utf8');
  const start = writeHeader(bytes, offset, TEXT, length);
  // Equal lengths mean ASCII, which latin1 writes faster.
  return start + (length === text.length ? bytes.write(text, start, 'latin1') : bytes.write(text, start, 'utf8'));
};

const headerLength = (payloadLength: number): number => (payloadLength < 126 ? 2 : payloadLength < 0x1_0000 ? 4 : 10);

/** Writes a frame header at `offset`. Returns the offset of the payload. */
const writeHeader = (bytes: Buffer, offset: number, opcode: number, length: number): number => {
  bytes[offset] = opcode;
  if (length < 126) {
    bytes[offset + 1] = length;
    return offset + 2;
  }
  if (length < 0x1_0000) {
    bytes[offset + 1] = 126;
    return bytes.writeUInt16BE(length, offset + 2);
  }
  bytes[offset + 1] = 127;
  bytes.writeUInt16BE(0, offset + 2);
  return bytes.writeUIntBE(length, offset + 4, 6);
};
