// graphql-transport-ws over a wire: operations, subscriptions, and both kinds of pings.
import { clearTimeout } from 'node:timers';
import { SoakSocket } from './wire.js';

/** The answer to anything, in a server that is not disturbed, comes long before. */
export const ANSWERED_WITHIN_MS = 40_000;

/** @typedef {{ code?: string, reason?: string, kickedBy?: string, endedAt?: string, retryAfterMs?: number }} Extensions */
/** @typedef {{ data?: any, errors?: { message: string, extensions?: Extensions }[] }} Answer */

/** The other end is gone, or there is none. */
export class ConnectionGone extends Error {
  /** @param {import('./wire.js').Closed} closed */
  constructor({ code, reason }) {
    super(`Closed with ${code} ${reason}`);
    this.code = code;
    this.reason = reason;
  }

  /** The server failed. It has the code of an overload, so that clients come back. */
  get isInternalError() {
    return this.code === 1013 && this.reason === 'Internal server error';
  }

  get isOverload() {
    return this.code === 1013 && !this.isInternalError;
  }
}

export class NoAnswer extends Error {}

/** @typedef {{ next: (answer: Answer) => void, end: (error: Error | null) => void }} Listener */

export class Connection {
  /** @type {(closed: import('./wire.js').Closed) => void} */
  onClosed = () => {};
  #wire;
  #id = 0;
  /** @type {Map<string, Listener>} */
  #listeners = new Map();
  /** @type {{ resolve: () => void, reject: (error: Error) => void }[]} */
  #pongs = [];
  /** @type {{ resolve: () => void, reject: (error: Error) => void } | null} */
  #ack = null;

  /**
   * @param {number} port
   * @param {import('./wire.js').WireOptions} [options]
   */
  constructor(port, options) {
    this.#wire = new SoakSocket(port, options);
    this.#wire.onText = (text) => this.#handleMessage(text);
    this.#wire.onPong = () => void this.#pongs.shift()?.resolve();
    this.#wire.onClosed = (closed) => {
      const gone = new ConnectionGone(closed);
      this.#ack?.reject(gone);
      for (const pong of this.#pongs.splice(0)) pong.reject(gone);
      const listeners = [...this.#listeners.values()];
      this.#listeners.clear();
      for (const listener of listeners) listener.end(gone);
      this.onClosed(closed);
    };
  }

  get socket() {
    return this.#wire;
  }

  get closed() {
    return this.#wire.closed;
  }

  /**
   * Resolves when the server knows who it is. @throws Gone
   * @param {string | null} token
   * @param {(at: number) => void} [onSent] called when the request is written: connecting may take time before
   */
  async init(token, onSent = () => undefined) {
    const status = await this.#wire.opened;
    if (status !== 101) throw new ConnectionGone({ code: status === 0 ? 1006 : status, reason: 'No upgrade' });
    onSent(Date.now());
    await this.#bounded((resolve, reject) => {
      this.#ack = { resolve: () => resolve(undefined), reject };
      const payload = token === null ? {} : { payload: { authorization: `Bearer ${token}` } };
      this.#wire.send(JSON.stringify({ type: 'connection_init', ...payload }));
    });
  }

  /**
   * @param {string} query
   * @param {object} [variables]
   * @returns {Promise<Answer>}
   */
  request(query, variables) {
    return this.#bounded((resolve, reject) => {
      /** @type {Answer | null} */
      let answer = null;
      this.subscribe(query, variables, {
        next: (said) => (answer = said),
        end: (error) => (answer === null ? reject(error ?? new Error('No answer')) : resolve(answer)),
      });
    });
  }

  /**
   * @param {string} query
   * @param {object | undefined} variables
   * @param {Listener} listener
   * @returns {() => void} completes it
   */
  subscribe(query, variables, listener) {
    if (this.closed !== null) {
      listener.end(new ConnectionGone(this.closed));
      return () => undefined;
    }
    const id = String(++this.#id);
    this.#listeners.set(id, listener);
    this.#wire.send(JSON.stringify({ id, type: 'subscribe', payload: { query, variables } }));
    return () => {
      if (this.#listeners.delete(id)) this.#wire.send(JSON.stringify({ id, type: 'complete' }));
    };
  }

  /** A ping of the WebSocket, or of the protocol. Resolves with its pong. @param {boolean} ofProtocol */
  ping(ofProtocol) {
    if (this.closed !== null) return Promise.reject(new ConnectionGone(this.closed));
    return this.#bounded((resolve, reject) => {
      this.#pongs.push({ resolve: () => resolve(undefined), reject });
      if (ofProtocol) this.#wire.send('{"type":"ping"}');
      else this.#wire.ping();
    });
  }

  /**
   * @template T
   * @param {(resolve: (value: any) => void, reject: (error: Error) => void) => void} start
   * @returns {Promise<T>}
   */
  #bounded(start) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new NoAnswer('No answer came.')), ANSWERED_WITHIN_MS);
      const done = (/** @type {(value: any) => void} */ settle) => (/** @type {any} */ value) => {
        clearTimeout(late);
        settle(value);
      };
      start(done(resolve), done(reject));
    });
  }

  /** @param {string} text */
  #handleMessage(text) {
    const message = JSON.parse(text);
    const listener = this.#listeners.get(message.id);
    switch (message.type) {
      case 'connection_ack':
        return this.#ack?.resolve();
      case 'pong':
        return this.#pongs.shift()?.resolve();
      case 'next':
        return listener?.next(message.payload);
      case 'error':
        this.#listeners.delete(message.id);
        listener?.next({ errors: message.payload });
        return listener?.end(null);
      case 'complete':
        this.#listeners.delete(message.id);
        return listener?.end(null);
    }
  }
}
