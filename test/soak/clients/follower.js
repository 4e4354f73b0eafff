// Backends that follow the feed and resume where they were, however they lost it. The first one's is the one that
// the model is built from; the other followers must receive the same events.
import { clearTimeout } from 'node:timers';
import { Connection, ConnectionGone } from './connection.js';
import { EVENT_FIELDS } from '../../support/user-history.js';
import { hashOf } from '../random.js';
import { sleep } from '../time.js';
import { API_KEY } from './tokens.js';
import { RequestRefused } from '../world.js';

/** @typedef {import('../world.js').SoakWorld} World */
/** @typedef {import('../../support/user-history.js').Event} Event */

const FOLLOW = `subscription ($after: Cursor) { presenceEvents(after: $after) { ${EVENT_FIELDS} ipAddress } }`;

export class Follower {
  #world;
  #name;
  #onEvents;
  #overStream;
  #stalls;
  #random;
  /** @type {string} */
  cursor;
  /** Since when it receives events without a break; Infinity while it does not. */
  since = Infinity;
  /** By user: how many, and all of their cursors in order. @type {Map<string, { count: number, hash: number }>} */
  received = new Map();
  count = 0;
  /** @type {(() => void) | null} */
  #cutNow = null;
  /** @type {() => void} */
  #thawNow = () => undefined;
  #isStopped = false;

  /**
   * @param {World} world
   * @param {string} name
   * @param {string} cursor where it begins
   * @param {{ onEvents?: (events: readonly Event[]) => void, overStream?: boolean, stalls?: boolean }} [options]
   */
  constructor(world, name, cursor, { onEvents = () => undefined, overStream = false, stalls = false } = {}) {
    this.#world = world;
    this.#name = name;
    this.cursor = cursor;
    this.#onEvents = onEvents;
    this.#overStream = overStream;
    this.#stalls = stalls;
    this.#random = world.random(name);
  }

  /** It loses its connection, and must find its place again. */
  cut() {
    this.#cutNow?.();
  }

  /** Ends all stalls: the soak is about to compare what was received. */
  hurry() {
    this.#thawNow();
  }

  stop() {
    this.#isStopped = true;
    this.cut();
  }

  async run() {
    const { server, journal } = this.#world;
    while (!this.#isStopped) {
      const began = Date.now();
      try {
        await (this.#overStream ? this.#stream() : this.#socket());
      } catch (error) {
        this.since = Infinity;
        if (error instanceof ConnectionGone && error.code === 4411) journal.count('followers: closed with 4411');
        else if (error instanceof ConnectionGone && error.reason === CUT) journal.count('followers: cut');
        else if (error instanceof RequestRefused && this.#world.retryDelayMs(error) !== null)
          journal.count('followers: overloaded');
        else if (error instanceof ConnectionGone && error.code === 1006 && this.#overStream && this.#stalls)
          journal.count('followers: stream ended');
        else this.#world.reportError(error, this.#name, began, null);
      }
      await sleep(this.#random.between(20, 300));
      if (!server.isUp) await server.up();
    }
  }

  /** @returns {Promise<never>} */
  async #socket() {
    const connection = new Connection(this.#world.server.port);
    try {
      await connection.init(API_KEY);
      if (this.#isStopped) throw new ConnectionGone({ code: 1006, reason: CUT });
      return await new Promise((_resolve, reject) => {
        this.#cutNow = () => {
          reject(new ConnectionGone({ code: 1006, reason: CUT }));
          connection.socket.rst();
        };
        connection.subscribe(FOLLOW, { after: this.cursor }, this.#listener(reject));
        this.#stallNowAndThen(connection.socket);
        this.since = Date.now();
      });
    } finally {
      connection.socket.rst();
    }
  }

  /** @returns {Promise<never>} */
  async #stream() {
    /** @type {ReturnType<import('./http.js').HttpClient['stream']> | null} */
    let stream = null;
    try {
      return await new Promise((_resolve, reject) => {
        stream = this.#world.http.stream(API_KEY, FOLLOW, { after: this.cursor }, this.#listener(reject));
        this.#cutNow = () => {
          reject(new ConnectionGone({ code: 1006, reason: CUT }));
          stream?.cut();
        };
        this.since = Date.now();
      });
    } finally {
      /** @type {any} */ (stream)?.cut();
    }
  }

  /** Reads too slowly for a while. The server closes the socket with 4411, and the follower resumes. @param {import('./wire.js').SoakSocket} wire */
  #stallNowAndThen(wire) {
    if (!this.#stalls) return;
    const stall = setTimeout(
      () => {
        if (this.#world.changesStopped || wire.closed !== null) return;
        this.#world.journal.count('followers: stalled');
        wire.freeze();
        this.#thawNow = () => wire.thaw();
        void this.#world.pauses.pause(this.#random.between(5_000, 60_000)).then(() => wire.thaw());
      },
      this.#random.between(10_000, 60_000),
    );
    stall.unref();
    void wire.opened.then((status) => (status === 101 ? undefined : clearTimeout(stall)));
  }

  /** @param {(error: Error) => void} reject @returns {import('./connection.js').Listener} */
  #listener(reject) {
    let isOver = false;
    return {
      next: ({ data, errors }) => {
        // Events after the cut are received again.
        if (isOver) return;
        const [error] = errors ?? [];
        if (error !== undefined) {
          isOver = true;
          return reject(new RequestRefused(error.extensions ?? {}, error.message));
        }
        this.#addEvents(data.presenceEvents);
      },
      end: (error) => {
        isOver = true;
        reject(error ?? new ConnectionGone({ code: 1006, reason: 'The subscription has ended' }));
      },
    };
  }

  /** @param {readonly Event[]} events */
  #addEvents(events) {
    for (const { userId, cursor } of events) {
      const seen = this.received.get(userId) ?? { count: 0, hash: 0 };
      seen.count++;
      seen.hash = Math.imul(seen.hash ^ hashOf(cursor), 0x01000193);
      this.received.set(userId, seen);
      this.cursor = cursor;
      this.count++;
    }
    this.#onEvents(events);
  }
}

const CUT = 'cut by the soak';
