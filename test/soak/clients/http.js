// GraphQL over HTTP with kept connections, and over Server-Sent Events.
import { Agent, request } from 'node:http';
import { ANSWERED_WITHIN_MS, ConnectionGone, NoAnswer } from './connection.js';

/** @typedef {import('./connection.js').Answer} Answer */

export class HttpClient {
  #agent = new Agent({ keepAlive: true, maxSockets: 40, timeout: ANSWERED_WITHIN_MS });
  #port;

  /** @param {() => number} port */
  constructor(port) {
    this.#port = port;
  }

  /** Ends all kept connections. */
  close() {
    this.#agent.destroy();
  }

  /**
   * @throws Gone, Unanswered
   * @param {string | null} token
   * @param {string} query
   * @param {object} [variables]
   * @returns {Promise<Answer>}
   */
  async request(token, query, variables) {
    const { status, text } = await this.send('/graphql', { token, body: JSON.stringify({ query, variables }) });
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`No GraphQL answer but ${status} ${text.slice(0, 300)}`);
    }
  }

  /**
   * @param {string} path
   * @param {{ token?: string | null, body?: string, localAddress?: string, headers?: Record<string, string> }} options
   * @returns {Promise<{ status: number, text: string }>}
   */
  send(path, { token = null, body, localAddress, headers = {} }) {
    const attempt = () =>
      new Promise((/** @type {(value: { status: number, text: string }) => void} */ resolve, reject) => {
        const sending = request(
          {
            port: this.#port(),
            host: '127.0.0.1',
            path,
            method: body === undefined ? 'GET' : 'POST',
            ...(localAddress === undefined ? { agent: this.#agent } : { localAddress, agent: false }),
            headers: {
              ...(body === undefined ? {} : { 'content-type': 'application/json' }),
              ...(token === null ? {} : { authorization: `Bearer ${token}` }),
              ...headers,
            },
          },
          (response) => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', (chunk) => (text += chunk));
            response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
            response.on('error', (error) => reject(new ConnectionGone({ code: 1006, reason: error.message })));
          },
        );
        sending.on('timeout', () => sending.destroy(new NoAnswer('No answer came.')));
        sending.on('error', (error) =>
          reject(error instanceof NoAnswer ? error : new Reset(error.message, sending.reusedSocket)),
        );
        sending.end(body);
      });
    return attempt().catch((error) => {
      // The server has just closed a kept connection. Every client retries over a new one.
      if (error instanceof Reset && error.isReused) return attempt();
      throw error;
    });
  }

  /**
   * A subscription over Server-Sent Events.
   * @param {string} token
   * @param {string} query
   * @param {object} variables
   * @param {import('./connection.js').Listener} listener
   */
  stream(token, query, variables, listener) {
    const sending = request(
      {
        port: this.#port(),
        host: '127.0.0.1',
        path: '/graphql',
        method: 'POST',
        agent: false,
        headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      },
      (response) => {
        let rest = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          const parts = (rest + chunk).split('\n\n');
          rest = parts.pop() ?? '';
          for (const part of parts) {
            const data = /^data: (.+)$/m.exec(part)?.[1];
            if (/^event: next$/m.test(part) && data !== undefined) listener.next(JSON.parse(data));
          }
        });
        response.on('error', () => undefined);
        response.on('close', () => listener.end(new ConnectionGone({ code: 1006, reason: 'The stream has ended' })));
      },
    );
    sending.on('error', (error) => listener.end(new ConnectionGone({ code: 1006, reason: error.message })));
    sending.end(JSON.stringify({ query, variables }));
    return {
      cut: () => sending.destroy(),
      pause: () => sending.socket?.pause(),
      resume: () => sending.socket?.resume(),
    };
  }
}

class Reset extends ConnectionGone {
  /** @param {string} reason @param {boolean} isReused */
  constructor(reason, isReused) {
    super({ code: 1006, reason });
    this.isReused = isReused;
  }
}
