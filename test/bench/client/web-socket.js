// A WebSocket over a bare socket: prepared frames out, frames in without a copy. With a client library a thousand of
// them would be the bottleneck.
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { setImmediate } from 'node:timers';
import { BenchSocket } from './wire.js';

/** @param {string} path */
const upgrade = (path) =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n';
const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 };

/**
 * One frame, masked as a client must, with a mask of zeros: the server's work is the same.
 * @param {string} text
 */
export const textFrame = (text) => frame(OPCODE.text, Buffer.from(text));

/**
 * @param {number} opcode
 * @param {Buffer} payload
 */
function frame(opcode, payload) {
  const { length } = payload;
  if (length > 0xffff) throw new Error('No client of the bench sends as much.');
  const extended = length > 125 ? 2 : 0;
  const bytes = Buffer.alloc(2 + extended + 4 + length);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (extended === 0 ? length : 126);
  if (extended > 0) bytes.writeUInt16BE(length, 2);
  payload.copy(bytes, 2 + extended + 4);
  return bytes;
}

export class RawSocket extends BenchSocket {
  /**
   * @param {number} port
   * @returns {Promise<RawSocket>}
   */
  static open(port, path = '/graphql') {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(upgrade(path)));
      socket.setNoDelay(true);
      socket.once('error', reject);
      socket.once('data', (head) => {
        const end = head.indexOf('\r\n\r\n');
        if (end < 0 || !head.toString('latin1').startsWith('HTTP/1.1 101')) {
          socket.destroy();
          reject(new Error(`No upgrade: ${head.toString('latin1')}`));
          return;
        }
        socket.off('error', reject);
        const opened = new RawSocket(socket);
        // What the server sends at once is passed on when a listener is set.
        if (head.length > end + 4) setImmediate(() => opened.readBytes(head.subarray(end + 4)));
        resolve(opened);
      });
    });
  }

  /**
   * Servers do not mask, and ours do not split.
   * @override
   * @param {Buffer} data
   * @param {number} at
   */
  frame(data, at) {
    if (data.length < at + 2) return -1;
    const opcode = /** @type {number} */ (data[at]) & 0x0f;
    let length = /** @type {number} */ (data[at + 1]);
    let start = at + 2;
    if (length === 126) {
      if (data.length < at + 4) return -1;
      length = data.readUInt16BE(at + 2);
      start = at + 4;
    } else if (length === 127) {
      if (data.length < at + 10) return -1;
      length = Number(data.readBigUInt64BE(at + 2));
      start = at + 10;
    }
    const end = start + length;
    if (data.length < end) return -1;
    if (opcode === OPCODE.text) this.onMessage(data, start, end);
    else if (opcode === OPCODE.ping) this.send(frame(OPCODE.pong, data.subarray(start, end)));
    else if (opcode === OPCODE.close) {
      this.onFailure(
        new Error(`The server closed a socket: ${data.readUInt16BE(start)} ${data.toString('utf8', start + 2, end)}`),
      );
    }
    return end;
  }
}

/**
 * A socket on which the protocol has been opened.
 * @param {number} port
 * @param {string} token
 */
export async function openProtocol(port, token) {
  const socket = await RawSocket.open(port);
  socket.send(textFrame(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } })));
  const answer = await socket.next();
  if (!answer.includes('connection_ack')) throw new Error(`Not acknowledged: ${answer}`);
  return socket;
}

/**
 * Opens many, some at a time: a server's backlog is finite.
 * @template T
 * @param {number} count
 * @param {(index: number) => Promise<T>} open
 * @returns {Promise<T[]>}
 */
export async function openMany(count, open, atOnce = 50) {
  /** @type {T[]} */
  const opened = new Array(count);
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(atOnce, count) }, async () => {
      for (let index = next++; index < count; index = next++) opened[index] = await open(index);
    }),
  );
  return opened;
}
