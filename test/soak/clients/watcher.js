// Watchers: friends' apps that watch many users. Some of them read one byte a second, or nothing at all.
import { Connection, ConnectionGone } from './connection.js';
import { API_KEY, userToken } from './tokens.js';
import { RequestRefused } from '../world.js';

/** @typedef {import('../world.js').SoakWorld} World */
/** @typedef {'fast' | 'drip' | 'deaf' | 'stream' | 'many'} Kind */

const WATCH = `subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) {
  userId status version previousStatus customStatus reason } }`;
/** The server drops who does not answer its pings; one who says something is there. */
const SAYS_SOMETHING_EVERY_MS = 20_000;

export class Watcher {
  #world;
  #random;
  #index;
  #kind;
  /** The last status received of each user in this subscription. @type {Map<string, { version: number, status: string, customStatus: string | null }>} */
  last = new Map();
  /** @type {readonly string[]} */
  ids = [];
  /** @type {Connection | null} */
  #connection = null;
  /** @type {ReturnType<import('./http.js').HttpClient['stream']> | null} */
  #stream = null;
  isFollowing = false;

  /** @param {World} world @param {number} index @param {Kind} kind */
  constructor(world, index, kind) {
    this.#world = world;
    this.#index = index;
    this.#kind = kind;
    this.#random = world.random(`watcher ${index}`);
  }

  get name() {
    return `watcher ${this.#index} (${this.#kind})`;
  }

  /** Slow ones read on as fast as they can, from now on. */
  hurry() {
    this.#connection?.socket.thaw();
    this.#stream?.resume();
  }

  stop() {
    this.#connection?.socket.rst();
    this.#stream?.cut();
  }

  async run() {
    const { pauses, server } = this.#world;
    await pauses.pause(this.#random.between(0, 4_000));
    while (!this.#world.isOver) {
      const since = Date.now();
      try {
        await (this.#kind === 'stream' ? this.#overStream() : this.#overSocket());
      } catch (error) {
        if (!(error instanceof RequestRefused && this.#world.retryDelayMs(error) !== null)) this.#failed(error, since);
      }
      this.isFollowing = false;
      await pauses.pause(this.#random.between(50, 1_000));
      if (!server.isUp) await server.up();
    }
  }

  /** @param {unknown} error @param {number} since */
  #failed(error, since) {
    const { journal } = this.#world;
    if (error instanceof ConnectionGone && error.isOverload) return journal.count('OVERLOADED received');
    // The server may drop a client that reads nothing.
    if (error instanceof ConnectionGone && this.#kind === 'deaf') return journal.count('deaf watchers cut off');
    this.#world.reportError(error, this.name, since, null);
  }

  #begin() {
    const { userIds } = this.#world;
    const count = this.#kind === 'many' ? 500 : this.#random.between(5, 60);
    this.ids = this.#random.some(userIds, Math.min(count, userIds.length));
    this.last.clear();
  }

  /** @returns {Promise<never>} rejects when it is over */
  async #overSocket() {
    const { server } = this.#world;
    this.#begin();
    const connection = new Connection(server.port);
    this.#connection = connection;
    try {
      return await this.#watch(connection);
    } finally {
      // One of its subscriptions was answered OVERLOADED, so it connects again later.
      connection.socket.rst();
    }
  }

  /** @param {Connection} connection @returns {Promise<never>} rejects when it is over */
  async #watch(connection) {
    const { pauses, changesStopped: isQuiet } = this.#world;
    // Half of them are friends, half are backends.
    await connection.init(this.#index % 2 === 0 ? userToken(`friend ${this.#index}`, { watch: '*' }) : API_KEY);
    /** @type {Promise<never>} */
    const over = new Promise((_resolve, reject) => {
      const subscriptions = this.#kind === 'many' ? 5 : 1;
      const each = Math.ceil(this.ids.length / subscriptions);
      for (let index = 0; index < subscriptions; index++) {
        const ids = this.ids.slice(index * each, (index + 1) * each);
        connection.subscribe(WATCH, { ids }, this.#listener(reject));
      }
    });
    void this.#keepAlive(connection);
    if (!isQuiet && (this.#kind === 'drip' || this.#kind === 'deaf')) {
      over.catch(() => undefined);
      await Promise.race([over, pauses.pause(this.#random.between(1_000, 3_000))]);
      if (this.#world.changesStopped) return over;
      if (this.#kind === 'drip') connection.socket.drip();
      else connection.socket.freeze();
      // Then it reads all of it at once, and the last word is right.
      await Promise.race([over, pauses.pause(this.#random.between(20_000, 600_000))]);
      connection.socket.thaw();
    }
    return over;
  }

  /** @param {Connection} connection */
  async #keepAlive(connection) {
    while (connection.closed === null && !this.#world.isOver) {
      if (this.#kind !== 'deaf') connection.socket.send('{"type":"ping"}');
      await this.#world.pauses.pause(SAYS_SOMETHING_EVERY_MS);
      if (this.#world.changesStopped) return;
    }
  }

  /** @returns {Promise<never>} */
  async #overStream() {
    this.#begin();
    try {
      return await new Promise((_resolve, reject) => {
        this.#stream = this.#world.http.stream(
          userToken(`friend ${this.#index}`, { watch: '*' }),
          WATCH,
          { ids: this.ids },
          this.#listener(reject),
        );
      });
    } finally {
      this.#stream?.cut();
    }
  }

  /** @param {(error: Error) => void} reject @returns {import('./connection.js').Listener} */
  #listener(reject) {
    return {
      next: ({ data, errors }) => {
        const [error] = errors ?? [];
        if (error !== undefined) return reject(new RequestRefused(error.extensions ?? {}, error.message));
        this.isFollowing = true;
        for (const change of data.statusChanges) this.#checkChange(change);
      },
      end: (error) => reject(error ?? new ConnectionGone({ code: 1006, reason: 'The subscription has ended' })),
    };
  }

  /** @param {{ userId: string, status: string, version: number, previousStatus: string | null, customStatus: string | null }} change */
  #checkChange({ userId, previousStatus, status, version, customStatus }) {
    const { journal, model } = this.#world;
    journal.count('watchers: changes received');
    const before = this.last.get(userId);
    const observed = { version, status, customStatus };
    const words = () =>
      `${this.name} had ${JSON.stringify(before)}, received ${JSON.stringify({ ...observed, previousStatus })}`;
    if (before === undefined) {
      if (previousStatus !== null) journal.violate('watcher', `a first message is no change: ${words()}`, userId);
    } else {
      if (version <= before.version) journal.violate('watcher', `a change twice, or an older one: ${words()}`, userId);
      if (previousStatus !== before.status)
        journal.violate('watcher', `previousStatus is not the last status received: ${words()}`, userId);
    }
    this.last.set(userId, observed);
    model.checkObservation(userId, observed, this.name);
  }
}
