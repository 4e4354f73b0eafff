/** The body of a request, as whoever wants it whole reads it. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';

/** By its header `Content-Encoding`: what is small until it is unpacked is taken nowhere. */
export const isCompressed = (contentEncoding: string | null | undefined): boolean =>
  !/^(identity)?$/i.test(contentEncoding ?? '');

/**
 * @returns null when the client is gone before its last byte.
 * @throws RangeError as soon as it is longer than `maxBytes`; the rest is read and forgotten.
 */
export const bodyOf = (request: IncomingMessage, maxBytes = Infinity): Promise<Buffer | null> =>
  new Promise((resolve, reject) => {
    // Gone while it was asked who she is: nothing more is heard of it.
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
 * Null: it is not UTF-8. Read as text all the same, it would name another user than the one who was meant. A byte order
 * mark, which .NET's writers put before what they write, is no part of it.
 */
export const textOf = (body: Buffer): string | null => {
  if (!isUtf8(body)) return null;
  return body.toString('utf8', MARK.every((byte, at) => body[at] === byte) ? MARK.length : 0);
};

const MARK = [0xef, 0xbb, 0xbf];
