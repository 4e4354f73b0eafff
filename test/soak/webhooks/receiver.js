// Whom webhooks are posted to: one who answers as receivers should, or fails as they do.
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';
import { Pauses } from '../time.js';

/** An address that no client uses as its source: otherwise the port could be taken while the receiver is down. */
export const ADDRESS = '127.0.0.7';
/** The server's patience with a receiver. */
export const PATIENCE_MS = 3_000;
/** A receiver that answers later than this cannot know whether the sender still waited. */
const SURE_WITHIN_MS = 2_000;
const SLOW_MS = 1_200;
/** The server leaves a connection open for longer than that if it has seen the answer. */
const KEPT_MS = 3_500;
const MAX_BODY_READ = 4_096;

/**
 * taken: answered 2xx, in time. refused: certainly not. unsure: the answer may have got lost.
 * @typedef {'taken' | 'refused' | 'unsure'} Outcome
 */
/**
 * A request that came as a whole. `settledAt`: when it was answered or lost, Infinity until then. `notBefore`: when the
 * same may come again, by what it was answered.
 * @typedef {{ path: string, headers: import('node:http').IncomingHttpHeaders, body: string, at: number,
 *   outcome: Outcome | null, settledAt: number, notBefore: number }} Arrival
 */
/** @typedef {keyof typeof MANNERS | 'flaky'} Manner */
/** @typedef {{ arrival: Arrival, response: import('node:http').ServerResponse, random: import('../random.js').Random, receiver: SoakReceiver }} Turn */

export class SoakReceiver {
  /** No other receiver listens there. */
  port = 0;
  /** @type {Manner} */
  manner = 'good';
  /** @type {(arrival: Arrival) => void} */
  onArrival = () => undefined;
  /** Called when it is settled what became of it. @type {(arrival: Arrival) => void} */
  onSettled = () => undefined;
  /** @type {Map<string, number>} */
  manners = new Map();
  pauses = new Pauses();
  #random;
  #server = createServer();
  /** The last request of each connection. @type {WeakMap<object, Arrival>} */
  #lasts = new WeakMap();

  /** @param {import('../random.js').Random} random */
  constructor(random) {
    this.#random = random;
  }

  /** Comes (back), at the port where it was. @returns {Promise<void>} */
  open() {
    const server = createServer((request, response) => this.#serve(request, response));
    server.on('connection', (socket) => socket.once('close', () => this.#disconnected(this.#lasts.get(socket))));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.port, ADDRESS, () => {
        this.port = /** @type {import('node:net').AddressInfo} */ (server.address()).port;
        resolve();
      });
    });
  }

  /** Ends all connections and stops listening, as a killed process does. @returns {Promise<void>} */
  close() {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  /** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
  #serve(request, response) {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const manner = this.manner === 'flaky' ? this.#random.weighted(FLAKY) : this.manner;
    this.manners.set(manner, (this.manners.get(manner) ?? 0) + 1);
    if (manner === 'cut' && this.#random.chance(0.3)) return void request.socket.resetAndDestroy();
    /** @type {Buffer[]} */
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      /** @type {Arrival} */
      const arrival = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        at: Date.now(),
        outcome: null,
        settledAt: Infinity,
        notBefore: 0,
      };
      this.#lasts.set(request.socket, arrival);
      response.on('close', () => this.#closed(arrival, response));
      this.onArrival(arrival);
      MANNERS[manner]({ arrival, response, random: this.#random, receiver: this });
    });
  }

  /** @param {Arrival} arrival @param {Outcome} outcome as long as the answer gets away */
  settle(arrival, outcome) {
    // Its connection was lost before it had an answer.
    if (arrival.outcome !== null) return;
    arrival.settledAt = Date.now();
    arrival.outcome = outcome === 'taken' && arrival.settledAt - arrival.at > SURE_WITHIN_MS ? 'unsure' : outcome;
    this.onSettled(arrival);
  }

  /** @param {Arrival} arrival @param {import('node:http').ServerResponse} response */
  #closed(arrival, response) {
    if (arrival.outcome === null) this.settle(arrival, 'refused');
    else if (arrival.outcome === 'taken' && !response.writableFinished) arrival.outcome = 'unsure';
  }

  /**
   * A sender that waited for a core may have timed out before it read an answer that was in time.
   * @param {Arrival | undefined} last
   */
  #disconnected(last) {
    if (last === undefined || Date.now() > last.settledAt + KEPT_MS) return;
    if (last.outcome === 'taken') last.outcome = 'unsure';
    last.notBefore = 0;
  }
}

/** @type {Record<Exclude<Manner, 'flaky'>, number>} */
const FLAKY = { good: 12, slow: 2, refuse: 3, busy: 1, hang: 1, cut: 3, half: 1, redirect: 1, gone: 0 };

/** @param {Turn} turn */
function good({ arrival, response, random, receiver }) {
  const status = random.pick([200, 201, 202, 204]);
  response.writeHead(status);
  // Now and then more than any sender reads.
  const body = status === 204 ? '' : 'x'.repeat(random.chance(0.02) ? 4 * MAX_BODY_READ : random.int(200));
  response.end(body);
  receiver.settle(arrival, body.length > MAX_BODY_READ ? 'unsure' : 'taken');
}

const MANNERS = {
  good,

  /** @param {Turn} turn */
  slow(turn) {
    void turn.receiver.pauses.pause(turn.random.between(100, SLOW_MS)).then(() => good(turn));
  },

  /** @param {Turn} turn */
  refuse({ arrival, response, random, receiver }) {
    response.writeHead(random.pick([500, 500, 502, 400, 401, 404, 429])).end('no');
    receiver.settle(arrival, 'refused');
  },

  /** @param {Turn} turn */
  busy({ arrival, response, random, receiver }) {
    const at = Date.now() + random.pick([1_000, 2_000]);
    const date = new Date(at).toUTCString();
    const isDate = random.chance(0.3);
    // A date is of a whole second, which may be over.
    arrival.notBefore = isDate ? Date.parse(date) : at;
    const value = isDate ? date : String(Math.round((at - Date.now()) / 1_000));
    response.writeHead(random.pick([503, 429]), { 'retry-after': value }).end();
    receiver.settle(arrival, 'refused');
  },

  /** Answers nothing until the sender times out. */
  hang() {},

  /** @param {Turn} turn */
  cut({ response }) {
    response.socket?.resetAndDestroy();
  },

  /** Cuts the answer, in its body or in its head. @param {Turn} turn */
  half({ arrival, response, random, receiver }) {
    if (random.chance(0.5)) {
      receiver.settle(arrival, 'unsure');
      response.writeHead(200, { 'content-length': '1000' });
      response.write('half of', () => response.socket?.destroy());
    } else response.socket?.end('HTTP/1.1 20');
  },

  /** No sender may follow it. @param {Turn} turn */
  redirect({ arrival, response, random, receiver }) {
    response.writeHead(random.pick([301, 302, 307, 308]), { location: REDIRECTED }).end();
    receiver.settle(arrival, 'refused');
  },

  /** @param {Turn} turn */
  gone({ arrival, response, receiver }) {
    response.writeHead(410).end();
    receiver.settle(arrival, 'refused');
  },
};

export const REDIRECTED = '/redirected';
