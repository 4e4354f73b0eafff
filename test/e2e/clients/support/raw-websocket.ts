/** Frames of RFC 6455 for tests that send recorded messages over a connection. */
import type { RawConnection } from './raw-connection.ts';

const OPCODE = { CONTINUATION: 0, TEXT: 1, CLOSE: 8, PING: 9 } as const;
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

const encodeFrame = (first: number, payload: Buffer): Buffer => {
  const masked = payload.map((byte, index) => byte ^ (MASK[index % MASK.length] ?? 0));
  const { length } = payload;
  const head = length < 126 ? [first, MASKED | length] : [first, MASKED | 126, (length >> 8) & 0xff, length & 0xff];
  return Buffer.concat([Buffer.from(head), MASK, masked]);
};

/** Reads the next text message of the server, which has one frame. @returns a close frame as `ServerClose`. */
export const readMessage = async (connection: RawConnection): Promise<string | ServerClose> => {
  for (;;) {
    const head = await connection.readBytes(2);
    const opcode = head.readUInt8(0) & 0x0f;
    const shortLength = head.readUInt8(1);
    const length = shortLength === 126 ? (await connection.readBytes(2)).readUInt16BE() : shortLength;
    const payload = await connection.readBytes(length);
    if (opcode === OPCODE.PING) continue;
    if (opcode === OPCODE.CLOSE) return { closeCode: payload.readUInt16BE(), reason: payload.toString('utf8', 2) };
    return payload.toString('utf8');
  }
};
