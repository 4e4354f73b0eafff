/** Frames of RFC 6455 for tests that send recorded messages over a connection. */
import type { RawConnection } from './raw-connection.ts';

const OPCODE = { CONTINUATION: 0, TEXT: 1, CLOSE: 8, PING: 9, PONG: 10 } as const;
const FIN = 0x80;
const MASKED = 0x80;
/** Clients must mask frames. The key may be any. */
const MASK = Buffer.from([0x12, 0x34, 0x56, 0x78]);

export interface ServerClose {
  readonly closeCode: number;
  readonly reason: string;
}

/** Encodes a text message. @param fragments one frame each. */
export const encodeMessage = (fragments: readonly string[]): Buffer =>
  Buffer.concat(
    fragments.map((fragment, index) =>
      encodeFrame(
        (index === fragments.length - 1 ? FIN : 0) | (index === 0 ? OPCODE.TEXT : OPCODE.CONTINUATION),
        Buffer.from(fragment, 'utf8'),
      ),
    ),
  );

/** @param payload in hexadecimal digits. */
export const encodePingFrame = (payload: string): Buffer => encodeFrame(FIN | OPCODE.PING, Buffer.from(payload, 'hex'));

const encodeFrame = (first: number, payload: Buffer): Buffer => {
  const masked = payload.map((byte, index) => byte ^ (MASK[index % MASK.length] ?? 0));
  const { length } = payload;
  const head = length < 126 ? [first, MASKED | length] : [first, MASKED | 126, (length >> 8) & 0xff, length & 0xff];
  return Buffer.concat([Buffer.from(head), MASK, masked]);
};

/** Reads the next text message of the server, which has one frame. @returns a close frame as `ServerClose`. */
export const readMessage = async (connection: RawConnection): Promise<string | ServerClose> => {
  const { opcode, payload } = await readFrame(connection);
  if (opcode === OPCODE.CLOSE) return { closeCode: payload.readUInt16BE(), reason: payload.toString('utf8', 2) };
  if (opcode !== OPCODE.TEXT) throw new Error(`Not a message, but a frame with opcode ${opcode}.`);
  return payload.toString('utf8');
};

/** @returns the payload of the next frame, in hexadecimal digits. @throws when it is not a pong. */
export const readPongFrame = async (connection: RawConnection): Promise<string> => {
  const { opcode, payload } = await readFrame(connection);
  if (opcode !== OPCODE.PONG) throw new Error(`Not a pong, but a frame with opcode ${opcode}.`);
  return payload.toString('hex');
};

/** Reads the next frame. Pings of the server are skipped. */
const readFrame = async (connection: RawConnection): Promise<{ readonly opcode: number; readonly payload: Buffer }> => {
  for (;;) {
    const head = await connection.readBytes(2);
    const opcode = head.readUInt8(0) & 0x0f;
    const shortLength = head.readUInt8(1);
    const length = shortLength === 126 ? (await connection.readBytes(2)).readUInt16BE() : shortLength;
    const payload = await connection.readBytes(length);
    if (opcode !== OPCODE.PING) return { opcode, payload };
  }
};
