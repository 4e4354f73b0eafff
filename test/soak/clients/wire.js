// A WebSocket over a bare socket, so that a client can also do what no good one does: fall silent, read a byte a
// second, leave without a word, send garbage.
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { clearInterval } from 'node:timers';

const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 };
const NO_CLOSE_FRAME = 1006;

/** @typedef {{ code: number, reason: string }} Closed */
/** @typedef {{ localAddress?: string, headers?: Record<string, string>, path?: string }} WireOptions */

/**
 * One frame, masked as a client must, with a mask of zeros: the server's work is the same.
 * @param {number} opcode
 * @param {Buffer} payload
 */
export function frame(opcode, payload, isLast = true) {
  const { length } = payload;
  const extended = length > 0xffff ? 8 : length > 125 ? 2 : 0;
  const bytes = Buffer.alloc(2 + extended + 4 + length);
  bytes[0] = (isLast ? 0x80 : 0) | opcode;
  bytes[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) bytes.writeUInt16BE(length, 2);
  if (extended === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  payload.copy(bytes, 2 + extended + 4);
  return bytes;
}

/** @param {string} text */
export const textFrame = (text) => frame(OPCODE.text, Buffer.from(text));
const PING = frame(OPCODE.ping, Buffer.alloc(0));

export class SoakSocket {
  /** @type {(text: string) => void} */
  onText = () => undefined;
  onPong = () => undefined;
  /** @type {(closed: Closed) => void} */
  onClosed = () => undefined;
  /** The status of the answer to the upgrade. @type {Promise<number>} */
  opened;
  /** @type {Closed | null} */
  closed = null;
  #tcp;
  /** @type {Buffer | null} */
  #rest = null;
  /** @type {(status: number) => void} */
  #open = () => undefined;
  #isOpen = false;
  /** @type {Closed | null} */
  #said = null;
  /** @type {NodeJS.Timeout | null} */
  #dripping = null;

  /**
   * @param {number} port
   * @param {WireOptions} [options]
   */
  constructor(port, { localAddress, headers = {}, path = '/graphql' } = {}) {
    this.opened = new Promise((resolve) => (this.#open = resolve));
    this.#tcp = connect({ port, host: '127.0.0.1', ...(localAddress === undefined ? {} : { localAddress }) });
    this.#tcp.setNoDelay(true);
    const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#tcp.on('connect', () =>
      this.#tcp.write(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n' +
          `Sec-WebSocket-Protocol: graphql-transport-ws\r\n${more.join('')}\r\n`,
      ),
    );
    this.#tcp.on('data', (data) => this.#readBytes(data));
    // Whatever it was, 'close' comes after it.
    this.#tcp.on('error', () => undefined);
    this.#tcp.on('close', () => {
      if (this.#dripping !== null) clearInterval(this.#dripping);
      this.#open(0);
      this.closed ??= this.#said ?? { code: NO_CLOSE_FRAME, reason: '' };
      this.onClosed(this.closed);
    });
  }

  /** @param {Buffer} bytes */
  write(bytes) {
    if (!this.#tcp.destroyed) this.#tcp.write(bytes);
  }

  /** @param {string} text */
  send(text) {
    this.write(textFrame(text));
  }

  ping() {
    this.write(PING);
  }

  /** A good-bye; the server answers and closes. */
  close(code = 1000, reason = '') {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    this.write(frame(OPCODE.close, payload));
  }

  /** No close frame. */
  fin() {
    this.#tcp.end();
  }

  /** As when the process was killed. */
  rst() {
    this.#tcp.resetAndDestroy();
  }

  /** Stops reading, as if the network were gone without a FIN or RST. */
  freeze() {
    this.#tcp.pause();
  }

  /** Reads a byte a second. */
  drip() {
    this.freeze();
    this.#dripping ??= setInterval(() => void this.#tcp.read(1), 1_000);
  }

  /** Reads as fast as it can, again. */
  thaw() {
    if (this.#dripping !== null) clearInterval(this.#dripping);
    this.#dripping = null;
    this.#tcp.resume();
  }

  /** @param {Buffer} data */
  #readBytes(data) {
    let bytes = this.#rest === null ? data : Buffer.concat([this.#rest, data]);
    this.#rest = null;
    if (!this.#isOpen) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return void (this.#rest = bytes);
      const status = Number(bytes.toString('latin1', 9, 12));
      this.#open(status);
      if (status !== 101) return void this.#tcp.destroy();
      this.#isOpen = true;
      bytes = bytes.subarray(end + 4);
    }
    let at = 0;
    for (let next = this.#frame(bytes, at); next > 0; next = this.#frame(bytes, at)) at = next;
    if (at < bytes.length) this.#rest = bytes.subarray(at);
  }

  /** Servers do not mask, and ours does not split. @param {Buffer} data @param {number} at @returns {number} 0: not whole yet */
  #frame(data, at) {
    if (data.length < at + 2) return 0;
    const opcode = /** @type {number} */ (data[at]) & 0x0f;
    let length = /** @type {number} */ (data[at + 1]);
    let start = at + 2;
    if (length === 126) {
      if (data.length < at + 4) return 0;
      length = data.readUInt16BE(at + 2);
      start = at + 4;
    } else if (length === 127) {
      if (data.length < at + 10) return 0;
      length = Number(data.readBigUInt64BE(at + 2));
      start = at + 10;
    }
    const end = start + length;
    if (data.length < end) return 0;
    if (opcode === OPCODE.text) this.onText(data.toString('utf8', start, end));
    else if (opcode === OPCODE.ping) this.write(frame(OPCODE.pong, data.subarray(start, end)));
    else if (opcode === OPCODE.pong) this.onPong();
    else if (opcode === OPCODE.close) {
      this.#said ??=
        length < 2
          ? { code: 1005, reason: '' }
          : { code: data.readUInt16BE(start), reason: data.toString('utf8', start + 2, end) };
      this.write(frame(OPCODE.close, data.subarray(start, Math.min(end, start + 2))));
      this.#tcp.end();
    }
    return end;
  }
}
