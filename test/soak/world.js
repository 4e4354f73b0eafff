// What all parts of a soak share: the server, what is known of it, and its violations.
import { ConnectionGone, NoAnswer } from './clients/connection.js';
import { Disturbances } from './faults/disturbances.js';
import { HttpClient } from './clients/http.js';
import { Journal } from './judge/journal.js';
import { Judge } from './judge/judge.js';
import { Metrics } from './judge/metrics.js';
import { FeedModel } from './judge/feed-model.js';
import { Policies, POLICY_FIELDS, policyOf } from './judge/policies.js';
import { Random } from './random.js';
import { Pauses, sleep } from './time.js';
import { ProcessVitals } from './judge/process-vitals.js';
import { API_KEY } from './clients/tokens.js';

/** @typedef {import('./judge/client-session.js').ClientSession} Known */
/** @typedef {import('./clients/connection.js').Answer} Answer */
/** @typedef {import('./clients/connection.js').Extensions} Extensions */

/** An answer that is an error. */
export class RequestRefused extends Error {
  /** @param {Extensions} extensions @param {string} message */
  constructor(extensions, message) {
    super(`${extensions.code}: ${message}`);
    this.extensions = extensions;
    this.code = extensions.code ?? '(no code)';
  }
}

/** @param {Answer} answer */
export function dataOf({ data, errors }) {
  const [error] = errors ?? [];
  if (error !== undefined) throw new RequestRefused(error.extensions ?? {}, error.message);
  return data;
}

export class SoakWorld {
  journal = new Journal();
  disturbances = new Disturbances();
  policies = new Policies();
  model = new FeedModel(this.journal);
  /** Every session whose client is one of ours, for as long as it may matter. @type {Map<string, Known>} */
  sessions = new Map();
  pauses = new Pauses();
  /** @type {Promise<void>} */
  #policyTurn = Promise.resolve();
  /** When a backend last revoked a user's tokens, at the latest. @type {Map<string, number>} */
  revokedAt = new Map();
  /** The webhooks' secrets: none may appear in a log. @type {Set<string>} */
  secrets = new Set();
  metrics;
  /** All changes have stopped. */
  changesStopped = false;
  /** All clients are leaving. */
  isOver = false;
  http;
  judge;

  /**
   * @param {import('./faults/server.js').SoakServer} server
   * @param {{ seed: number, users: number, minutes: number }} settings
   */
  constructor(server, settings) {
    this.server = server;
    this.settings = settings;
    this.http = new HttpClient(() => server.port);
    this.vitals = new ProcessVitals(this);
    this.judge = new Judge(this);
    this.metrics = new Metrics(this, API_KEY);
    /** Users with devices. */
    this.population = Array.from({ length: settings.users }, (_, index) => userIdOf(index));
    /** Users who come when all others have gone. */
    this.stayers = Array.from({ length: 30 }, (_, index) => `last ${index}`);
    this.userIds = [...this.population, ...this.stayers];
  }

  /** The same choices for the same part of the same soak. @param {string} part */
  random(part) {
    return new Random(`${this.settings.seed} ${part}`);
  }

  /**
   * Sends an operation as a backend, and repeats it when the answer says so.
   * @param {string} query
   * @param {object} [variables]
   * @throws Refused, Gone, Unanswered
   */
  async backend(query, variables) {
    for (let tries = 1; ; tries++) {
      try {
        return dataOf(await this.http.request(API_KEY, query, variables));
      } catch (error) {
        const again = error instanceof RequestRefused && tries < 30 ? this.retryDelayMs(error) : null;
        if (again === null) throw error;
        await sleep(again);
      }
    }
  }

  /**
   * Changes the policy, or reads it. One call after another, so that the policy in force is known.
   * @param {object | null} input
   */
  policy(input) {
    const done = this.#policyTurn.then(() => this.#changePolicy(input));
    this.#policyTurn = done.catch(() => undefined);
    return done;
  }

  /** @param {object | null} input */
  async #changePolicy(input) {
    const { policies } = this;
    const from = Date.now();
    if (input === null) {
      const { policy } = await this.backend(`{ policy { ${POLICY_FIELDS} } }`);
      // What was asked for before that and not answered may have been in force since.
      policies.certain(policyOf(policy), policies.unsureSince ?? from);
      return;
    }
    policies.unsureSince ??= from;
    const { updatePolicy } = await this.backend(
      `mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { ${POLICY_FIELDS} } } }`,
      { input },
    );
    policies.certain(policyOf(updatePolicy.policy), policies.unsureSince);
  }

  /** Queries statuses as a backend, which sees more than viewers do. @param {readonly string[]} ids */
  async statuses(ids) {
    const { userStatuses } = await this.backend(
      `query ($ids: [ID!]!) { userStatuses(userIds: $ids) {
        userId status version customStatus sessions { id status attached } } }`,
      { ids },
    );
    for (const { userId, ...observed } of userStatuses) this.model.checkObservation(userId, observed, 'a query');
    return userStatuses;
  }

  /**
   * Whatever went wrong with the way to the server: is that a fault of the server?
   * @param {unknown} error
   * @param {string} who
   * @param {number} since when it was begun
   * @param {string | null} userId
   */
  reportError(error, who, since, userId) {
    if (this.isOver) return;
    const isExcused = this.disturbances.between(since - 500, Date.now(), (kind) => kind !== 'slowDisk');
    if (error instanceof RequestRefused && this.retryDelayMs(error) !== null) return;
    if (error instanceof ConnectionGone) {
      if (error.isOverload) return this.journal.count('OVERLOADED received');
      if (error.code === 1012 && isExcused) return;
      if (error.code === 1006 && isExcused) return;
      // The time limit for a request's head runs on while the process is paused. The client retries.
      if (error.code === 408 && this.disturbances.between(since, Date.now(), (kind) => kind === 'sleep')) return;
      // It takes no more sockets, because it is about to end.
      if (error.code === 503 && isExcused) return;
      // What cannot be written cannot be promised.
      if (error.isInternalError && this.disturbances.between(since, Date.now(), cannotWrite)) return;
      this.journal.violate('lost', `${who}: ${error.message}`, userId);
    } else if (error instanceof NoAnswer) {
      if (!isExcused)
        this.journal.violate('unanswered', `${who}: no answer since ${new Date(since).toISOString()}`, userId);
    } else this.journal.violate('fault', `${who}: ${error instanceof Error ? error.stack : error}`, userId);
  }

  /**
   * An error that says to come back later. @returns in how many ms; null when it is another one
   * @param {RequestRefused} refused
   */
  retryDelayMs({ code, extensions }) {
    if (code !== 'OVERLOADED') return null;
    this.journal.count('OVERLOADED received');
    if (typeof extensions.retryAfterMs !== 'number') this.journal.violate('error', 'OVERLOADED without retryAfterMs');
    return Math.max(50, Number(extensions.retryAfterMs ?? 0));
  }
}

/** Disturbances in which the server must fail those who want something written. @param {string} kind */
export const cannotWrite = (kind) => kind === 'fullDisk' || kind === 'writerLock';

/** Ids of all kinds: they are kept exactly, whatever they are made of. @param {number} index */
export function userIdOf(index) {
  const odd = [
    'ü',
    'ﬀ',
    '𝒳',
    '👩‍👩‍👧',
    '\u202e',
    'e\u0301',
    '\ud7ff',
    '__proto__',
    'constructor',
    ' ',
    '%00',
    '"',
    '\\',
    '<b>',
    "'; --",
  ];
  return index % 10 === 0 ? `${odd[(index / 10) % odd.length]}${index}` : `user-${index}`;
}
