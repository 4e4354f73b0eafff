// HTTP/1.1 over a bare socket, one request at a time: prepared bytes out, the body of the answer in. A client library
// costs more than the servers that are measured.
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { failure } from '../measure.js';

/**
 * The bytes of a GraphQL request.
 * @param {string} token
 * @param {string} body
 */
export const graphqlRequest = (token, body) =>
  Buffer.from(
    `POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n` +
      `Authorization: Bearer ${token}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );

export class HttpConnection {
  #socket;
  /** @type {Buffer | null} */
  #rest = null;
  /** @type {(status: number, body: Buffer) => void} */
  onResponse = () => undefined;
  /** @type {(error: Error) => void} */
  onFailure = () => undefined;

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#readBytes(chunk));
    socket.on('error', (error) => this.onFailure(error));
    socket.on('close', () => this.onFailure(new Error('The server closed a connection.')));
  }

  /**
   * @param {number} port
   * @returns {Promise<HttpConnection>}
   */
  static open(port) {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new HttpConnection(socket));
      });
    });
  }

  /** @param {Buffer} bytes */
  send(bytes) {
    this.#socket.write(bytes);
  }

  /**
   * @param {Buffer} bytes
   * @returns {Promise<{ status: number, body: string }>}
   */
  ask(bytes) {
    return new Promise((resolve, reject) => {
      this.onResponse = (status, body) => resolve({ status, body: body.toString('utf8') });
      this.onFailure = reject;
      this.send(bytes);
    });
  }

  close() {
    this.onFailure = () => undefined;
    this.#socket.destroy();
  }

  /** @param {Buffer} chunk */
  #readBytes(chunk) {
    let data = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    while (data.length > 0) {
      const answer = readAnswer(data);
      if (answer === null) {
        this.#rest = data;
        return;
      }
      data = data.subarray(answer.end);
      this.onResponse(answer.status, answer.body);
    }
  }
}

/**
 * The first answer in these bytes; null when it is not complete.
 * @param {Buffer} data
 */
function readAnswer(data) {
  const headEnd = data.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const head = data.toString('latin1', 0, headEnd).toLowerCase();
  const status = Number(head.slice(9, 12));
  const at = head.indexOf('content-length: ');
  if (at < 0) return readChunks(data, status, headEnd + 4);
  const end = headEnd + 4 + Number.parseInt(head.slice(at + 16), 10);
  return data.length < end ? null : { status, body: data.subarray(headEnd + 4, end), end };
}

/**
 * @param {Buffer} data
 * @param {number} status
 * @param {number} from
 */
function readChunks(data, status, from) {
  const parts = [];
  for (let at = from; ;) {
    const line = data.indexOf('\r\n', at);
    if (line < 0) return null;
    const size = Number.parseInt(data.toString('latin1', at, line), 16);
    const end = line + 2 + size + 2;
    if (data.length < end) return null;
    if (size === 0) return { status, body: Buffer.concat(parts), end };
    parts.push(data.subarray(line + 2, line + 2 + size));
    at = end;
  }
}

/**
 * Load over keep-alive connections, each with one request under way. `next` gives the request for a connection, or
 * null when there are no more.
 * @param {number} port
 * @param {number} connections
 * @param {(connection: number) => Buffer | null} next
 * @param {(ms: number) => void} [took] called with the time each answer took.
 */
export async function httpLoad(port, connections, next, took) {
  const clients = await Promise.all(Array.from({ length: connections }, () => HttpConnection.open(port)));
  const { failed, fail } = failure();
  const load = {
    failed,
    done: 0,
    start() {
      running = true;
      for (const [index, client] of clients.entries()) {
        let sentAt = performance.now();
        const send = () => {
          const bytes = running ? next(index) : null;
          if (bytes === null) {
            if (--underWay === 0) idle();
            return;
          }
          sentAt = performance.now();
          client.send(bytes);
        };
        client.onFailure = fail;
        client.onResponse = (status, body) => {
          if (status !== 200 || body.includes('"errors"')) return fail(new Error(`${status}: ${body.toString()}`));
          load.done++;
          took?.(performance.now() - sentAt);
          send();
        };
        underWay++;
        send();
      }
    },
    /** @returns {Promise<void>} */
    stop() {
      running = false;
      return new Promise((resolve) => {
        idle = resolve;
        if (underWay === 0) resolve();
      });
    },
    close() {
      for (const client of clients) client.close();
    },
  };
  let running = false;
  let underWay = 0;
  /** @type {() => void} */
  let idle = () => undefined;
  return load;
}
