/** Reads and decodes the complete body of a request. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';

/**
 * Whether a `Content-Encoding` header names a compression. Compressed bodies are rejected: a small one could unpack to
 * any size.
 */
export const isCompressedEncoding = (contentEncoding: string | null | undefined): boolean =>
  !/^(identity)?$/i.test(contentEncoding ?? '');

/**
 * @returns null when the client disconnected before its last byte.
 * @throws RangeError as soon as the body is longer than `maxBytes`. The rest is read and discarded.
 */
export const readBody = (request: IncomingMessage, maxBytes = Infinity): Promise<Buffer | null> =>
  new Promise((resolve, reject) => {
    // A request that was destroyed earlier, for example during authentication, emits no more events.
    if (request.destroyed) resolve(null);
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBytes) chunks.push(chunk);
      else reject(new RangeError(`The body is longer than ${maxBytes} bytes.`));
    });
    request.once('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    request.once('close', () => resolve(null));
  });

/**
 * Decodes a body without its byte order mark, which .NET's writers add. Returns null for bytes that are not UTF-8:
 * replacement characters could turn one user id into another.
 */
export const decodeUtf8 = (body: Buffer): string | null => {
  if (!isUtf8(body)) return null;
  const hasMark = BYTE_ORDER_MARK.every((byte, index) => body[index] === byte);
  return body.toString('utf8', hasMark ? BYTE_ORDER_MARK.length : 0);
};

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
