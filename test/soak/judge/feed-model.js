// The state of all users according to the feed, and every status that any client received, compared with it.
import { UserHistory } from '../../support/user-history.js';
import { hashOf } from '../random.js';

const KEPT_EVENTS = 40;

/** @typedef {import('../../support/user-history.js').Event} Event */
/** @typedef {{ version: number, status: string, customStatus: string | null }} Observation */
/** @typedef {{ observed: Observation, by: string, at: number }} EarlyObservation */
/** @typedef {{ reason: string, kickedBy: string | null, occurredAt: number, userId: string }} End */

export class User {
  life = new UserHistory();
  /** @type {Event[]} */
  events = [];
  /** By version, the newest ones. @type {Map<number, Observation>} */
  versions = new Map();
  /** Observations of versions that the feed has not reached yet. @type {EarlyObservation[]} */
  ahead = [];
  count = 0;
  /** Of all cursors in their order. */
  hash = 0;
}

export class FeedModel {
  /** @type {Map<string, User>} */
  users = new Map();
  /** By session. @type {Map<string, End>} */
  ended = new Map();
  /** What was acknowledged and must be in the feed: by session, its reasons. @type {Map<string, { userId: string, since: number, fits: (event: Event) => boolean, words: string }[]>} */
  #expected = new Map();
  /** Of those who are owed an answer or have to catch up. @type {Set<string>} */
  #ahead = new Set();
  #journal;
  events = 0;
  /** Since the last time it was taken away. @type {Map<string, number>} */
  reasons = new Map();
  /** Called with each change, before and after it. @type {(user: User, change: readonly Event[]) => void} */
  before = () => undefined;
  /** @type {(user: User, change: readonly Event[]) => void} */
  after = () => undefined;

  /** @param {import('./journal.js').Journal} journal */
  constructor(journal) {
    this.#journal = journal;
    journal.eventsOf = (userId) => this.users.get(userId)?.events.slice(-KEPT_EVENTS) ?? [];
  }

  /** @param {string} userId */
  user(userId) {
    let user = this.users.get(userId);
    if (user === undefined) this.users.set(userId, (user = new User()));
    return user;
  }

  /** A list of the feed. @param {readonly Event[]} events */
  addEvents(events) {
    for (let start = 0; start < events.length;) {
      const { changeId } = /** @type {Event} */ (events[start]);
      let end = start + 1;
      while (events[end]?.changeId === changeId) end++;
      this.#addChange(events.slice(start, end));
      start = end;
    }
  }

  /** @param {readonly Event[]} change */
  #addChange(change) {
    const { userId } = /** @type {Event} */ (change[0]);
    const user = this.user(userId);
    this.before(user, change);
    for (const fault of user.life.checkChange(change, (sessionId) => this.ended.has(sessionId))) {
      this.#journal.violate('feed', `${fault}; ${JSON.stringify(change)}`, userId);
    }
    for (const event of change) {
      if (event.userId !== userId)
        this.#journal.violate('feed', `two users in one change: ${JSON.stringify(change)}`, userId);
      this.events++;
      user.count++;
      user.hash = Math.imul(user.hash ^ hashOf(event.cursor), 0x01000193);
      this.reasons.set(event.reason, (this.reasons.get(event.reason) ?? 0) + 1);
      user.events.push(event);
      if (event.sessionStatus === 'OFFLINE') {
        const { reason, kickedBy } = event;
        this.ended.set(event.sessionId, { reason, kickedBy, occurredAt: Date.parse(event.occurredAt), userId });
      }
      this.#settleExpectations(event);
    }
    if (user.events.length > 2 * KEPT_EVENTS) user.events.splice(0, KEPT_EVENTS);
    const { version, status, customStatus } = user.life;
    user.versions.set(version, { version, status, customStatus });
    if (user.versions.size > 2 * KEPT_EVENTS)
      for (const old of [...user.versions.keys()].slice(0, KEPT_EVENTS)) user.versions.delete(old);
    this.after(user, change);
    if (user.ahead.length > 0) this.#compareWaitingObservations(userId, user);
  }

  /**
   * A client received this status of a user, from any source: the feed must have the same for that version.
   * @param {string} userId
   * @param {Observation} observed
   * @param {string} by
   */
  checkObservation(userId, observed, by) {
    const user = this.user(userId);
    if (observed.version > user.life.version) {
      user.ahead.push({ observed, by, at: Date.now() });
      this.#ahead.add(userId);
      return;
    }
    this.#compareWithFeed(userId, user, observed, by);
  }

  /** @param {string} userId @param {User} user @param {Observation} observed @param {string} by */
  #compareWithFeed(userId, user, observed, by) {
    const known =
      observed.version === 0
        ? { version: 0, status: 'OFFLINE', customStatus: null }
        : user.versions.get(observed.version);
    if (known === undefined) {
      if (observed.version > Math.min(...user.versions.keys()))
        this.#journal.violate('observed', `${by}: version ${observed.version} is not in the feed`, userId);
      return;
    }
    if (known.status !== observed.status || known.customStatus !== observed.customStatus) {
      this.#journal.violate(
        'observed',
        `${by}: ${JSON.stringify(observed)}, but the feed says ${JSON.stringify(known)}`,
        userId,
      );
    }
  }

  /** @param {string} userId @param {User} user */
  #compareWaitingObservations(userId, user) {
    const { ahead } = user;
    user.ahead = [];
    for (const early of ahead) {
      if (early.observed.version > user.life.version) user.ahead.push(early);
      else this.#compareWithFeed(userId, user, early.observed, early.by);
    }
    if (user.ahead.length === 0) this.#ahead.delete(userId);
  }

  /**
   * It was acknowledged that something has happened to a session, so the feed will say it, or has.
   * @param {string} userId
   * @param {string} sessionId
   * @param {string} words
   * @param {(event: Event) => boolean} fits
   */
  expectEvent(userId, sessionId, words, fits) {
    if (this.user(userId).events.some((event) => event.sessionId === sessionId && fits(event))) return;
    const outstanding = this.#expected.get(sessionId) ?? [];
    outstanding.push({ userId, since: Date.now(), fits, words });
    this.#expected.set(sessionId, outstanding);
  }

  /**
   * It was acknowledged that a session has ended so.
   * @param {string} userId
   * @param {string} sessionId
   * @param {string} reason
   * @param {{ kickedBy?: string | null, by: string }} also
   */
  expectSessionEnd(userId, sessionId, reason, { kickedBy, by }) {
    const end = this.ended.get(sessionId);
    const isSo = (/** @type {{ reason: string, kickedBy: string | null }} */ said) =>
      said.reason === reason && (kickedBy === undefined || said.kickedBy === kickedBy);
    const words = `${by}: ${sessionId} ended by ${reason}${kickedBy == null ? '' : ` of ${kickedBy}`}`;
    if (end === undefined) {
      this.expectEvent(userId, sessionId, words, (event) => event.sessionStatus === 'OFFLINE' && isSo(event));
    } else if (!isSo(end)) {
      this.#journal.violate('ended', `${words}, but the feed says ${JSON.stringify(end)}`, userId);
    }
  }

  /** @param {Event} event */
  #settleExpectations(event) {
    const owed = this.#expected.get(event.sessionId);
    if (owed === undefined) return;
    const left = owed.filter(({ fits }) => !fits(event));
    if (event.sessionStatus === 'OFFLINE') {
      // Nothing more will come of it.
      this.#expected.delete(event.sessionId);
      for (const { words, userId } of left)
        this.#journal.violate('acknowledged', `not in the feed: ${words}; it ended by ${event.reason}`, userId);
    } else if (left.length === 0) this.#expected.delete(event.sessionId);
    else this.#expected.set(event.sessionId, left);
  }

  /** What the feed has left out for longer than it may. @param {number} before */
  reportOverdue(before) {
    for (const [sessionId, owed] of this.#expected) {
      const late = owed.filter(({ since }) => since < before);
      if (late.length === 0) continue;
      for (const { words, userId } of late) this.#journal.violate('acknowledged', `not in the feed: ${words}`, userId);
      const left = owed.filter(({ since }) => since >= before);
      if (left.length === 0) this.#expected.delete(sessionId);
      else this.#expected.set(sessionId, left);
    }
    for (const userId of this.#ahead) {
      const user = this.user(userId);
      const late = user.ahead.filter(({ at }) => at < before);
      for (const { observed, by } of late)
        this.#journal.violate('observed', `${by}: ${JSON.stringify(observed)} is not in the feed`, userId);
      user.ahead = user.ahead.filter(({ at }) => at >= before);
      if (user.ahead.length === 0) this.#ahead.delete(userId);
    }
  }

  get outstanding() {
    return this.#expected.size + this.#ahead.size;
  }
}
