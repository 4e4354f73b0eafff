// MQTT's packets, and a connection that reads them.
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { BenchSocket } from '../wire.js';

export const PACKET = {
  connect: 0x10,
  connack: 0x20,
  publishRetained: 0x31,
  subscribe: 0x82,
  suback: 0x90,
  pingreq: 0xc0,
};

/** @param {number} value */
export const uint16 = (value) => Buffer.from([value >> 8, value & 0xff]);

/** @param {string} value */
export const text = (value) => Buffer.concat([uint16(Buffer.byteLength(value)), Buffer.from(value)]);

/**
 * @param {number} type
 * @param {readonly Buffer[]} parts
 */
export function packet(type, ...parts) {
  const body = Buffer.concat(parts);
  const length = [];
  for (let rest = body.length; length.length === 0 || rest > 0; rest >>= 7) {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
  }
  return Buffer.concat([Buffer.from([type, ...length]), body]);
}

export class MqttSocket extends BenchSocket {
  /** @returns {Promise<MqttSocket>} */
  static open(/** @type {number} */ port) {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new MqttSocket(socket));
      });
    });
  }

  /**
   * Sends a question and waits for the packet that answers it; what else comes meanwhile is passed over.
   * @param {Buffer} question
   * @param {number} answer
   * @param {string} good what follows the packet's length, in hexadecimal digits
   * @returns {Promise<void>}
   */
  ask(question, answer, good) {
    return new Promise((resolve, reject) => {
      this.onFailure = reject;
      this.onMessage = (/** @type {Buffer} */ bytes, /** @type {number} */ start, /** @type {number} */ end) => {
        if (bytes[start] !== answer) return;
        this.onMessage = () => undefined;
        const said = bytes.toString('hex', start + 2, end);
        if (said === good) resolve();
        else reject(new Error(`Refused: ${said}`));
      };
      this.send(question);
    });
  }

  /**
   * @override
   * @param {Buffer} data
   * @param {number} at
   */
  frame(data, at) {
    let length = 0;
    let start = at + 1;
    for (let shift = 0; ; shift += 7) {
      const byte = data[start++];
      if (byte === undefined) return -1;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const end = start + length;
    if (data.length < end) return -1;
    this.onMessage(data, at, end);
    return end;
  }
}
