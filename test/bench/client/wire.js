// A bare connection that reads whole messages, without a copy where possible: the base of every protocol of the bench.
import { Buffer } from 'node:buffer';

export class BenchSocket {
  #socket;
  /** @type {Buffer | null} */
  #rest = null;
  /**
   * Called with every message: the buffer, and its start and end there. They are valid only during the call.
   * @type {(bytes: Buffer, start: number, end: number) => void}
   */
  onMessage = () => undefined;
  /** Called when everything that arrived in one read has been passed on. */
  onPause = () => undefined;
  /** @type {(error: Error) => void} */
  onFailure = () => undefined;

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.readBytes(chunk));
    socket.on('error', (error) => this.onFailure(error));
    socket.on('close', () => this.onFailure(new Error('The server closed a socket.')));
  }

  /** @param {Buffer} frames */
  send(frames) {
    this.#socket.write(frames);
  }

  /**
   * The next message.
   * @returns {Promise<string>}
   */
  next() {
    return new Promise((resolve, reject) => {
      this.onFailure = reject;
      this.onMessage = (bytes, start, end) => {
        this.onMessage = () => undefined;
        resolve(bytes.toString('utf8', start, end));
      };
    });
  }

  close() {
    this.onFailure = () => undefined;
    this.#socket.destroy();
  }

  /** @param {Buffer} chunk */
  readBytes(chunk) {
    const data = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    let at = 0;
    while (at < data.length) {
      const end = this.frame(data, at);
      if (end < 0) break;
      at = end;
    }
    if (at < data.length) this.#rest = data.subarray(at);
    this.onPause();
  }

  /**
   * Reads the frame that begins at `at`, and passes it on: here all bytes of one read are one frame.
   * @param {Buffer} data
   * @param {number} at
   * @returns {number} its end, -1 when it is not complete.
   */
  frame(data, at) {
    this.onMessage(data, at, data.length);
    return data.length;
  }
}
