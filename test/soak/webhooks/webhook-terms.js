// What was agreed on for one webhook, and when: each change is in force at some moment between asking and answer.

/** Between an answer and what happens by it, and between the clocks of two processes. */
const SLACK_MS = 1_000;
const SKEW_MS = 12;

/** @typedef {import('../../support/user-history.js').Event} Event */
/** @typedef {{ reasons: readonly string[] | null, userStatusOnly: boolean }} Filter */
/**
 * In force at the earliest `from`, certainly from `sureFrom` to `sureUntil`, and at the latest `until`. Null: the answer
 * that said what it is was lost.
 * @typedef {{ secret: string | null, from: number, sureFrom: number, sureUntil: number, until: number }} Secret
 */

export class WebhookTerms {
  /** The latest moments that are certain to be before it was made, and after. */
  askedAt = Date.now();
  madeAt = Infinity;
  /** When its end was asked for, and certain. */
  endAskedAt = Infinity;
  endedAt = Infinity;
  /** When the last change was requested. */
  changedAt = 0;
  /** @type {{ filter: Filter, from: number, until: number }[]} */
  #filters = [];
  /** @type {Secret[]} */
  #secrets = [];
  /** When nothing may be sent. @type {{ from: number, until: number }[]} */
  #silences = [];

  /** @param {Filter} filter */
  constructor(filter) {
    this.#filters.push({ filter, from: 0, until: Infinity });
  }

  /** It is there. @param {string} secret */
  addSecret(secret) {
    this.madeAt = Date.now();
    this.#secrets.push({
      secret,
      from: this.askedAt,
      sureFrom: this.askedAt,
      sureUntil: Infinity,
      until: Infinity,
    });
  }

  /** The last one that was agreed on. */
  get filter() {
    return /** @type {{ filter: Filter }} */ (this.#filters.at(-1)).filter;
  }

  /** Is asked for. @param {Filter} filter @returns {() => void} to be called when it is answered */
  changeFilter(filter) {
    this.changedAt = Date.now();
    const changed = { filter, from: this.changedAt, until: Infinity };
    this.#filters.push(changed);
    return () => {
      for (const before of this.#filters)
        if (before !== changed) before.until = Math.min(before.until, Date.now() + SLACK_MS);
      this.changedAt = Date.now();
    };
  }

  /**
   * A new secret is asked for.
   * @param {string | null} secret null: the server makes it
   * @param {number} validMs how long the one before signs beside it
   * @returns {(made: string) => void} to be called when it is answered
   */
  changeSecret(secret, validMs) {
    const askedAt = (this.changedAt = Date.now());
    this.#secrets.forEach((before, index) => {
      const isLast = index === this.#secrets.length - 1;
      before.sureUntil = Math.min(before.sureUntil, isLast ? askedAt + validMs : askedAt);
    });
    /** @type {Secret} */
    const changed = { secret, from: askedAt, sureFrom: Infinity, sureUntil: Infinity, until: Infinity };
    this.#secrets.push(changed);
    return (made) => {
      const answeredAt = (this.changedAt = changed.sureFrom = Date.now());
      changed.secret = made;
      // One whose answer was lost may never have been: then the one before it is this one's predecessor.
      const last = this.#secrets.findLastIndex((before) => before !== changed && before.sureFrom !== Infinity);
      this.#secrets.forEach((before, index) => {
        if (before === changed) return;
        before.until = Math.min(before.until, answeredAt + (index < last ? 0 : validMs));
      });
    };
  }

  /** It was paused, or its receiver answered 410, and that was acknowledged. */
  pause() {
    this.#silences.push({ from: Date.now() + SLACK_MS, until: Infinity });
  }

  /** It is asked to go on. */
  resumes() {
    this.changedAt = Date.now();
    const last = this.#silences.at(-1);
    if (last !== undefined) last.until = Math.min(last.until, Date.now());
  }

  /** Whether an event that has just appeared in the feed must be delivered. @param {Event} event */
  mustDeliver(event) {
    const occurredAt = Date.parse(event.occurredAt);
    return (
      occurredAt > this.madeAt + SKEW_MS &&
      this.#between(occurredAt).every(({ filter }) => matchesFilter(filter, event))
    );
  }

  /** Whether it may be delivered now. @param {Event} event @param {number} at */
  mayDeliver(event, at) {
    const filters = this.#between(Date.parse(event.occurredAt)).filter(({ from }) => from <= at);
    return filters.some(({ filter }) => matchesFilter(filter, event));
  }

  /** @param {number} occurredAt */
  #between(occurredAt) {
    return this.#filters.filter(({ until }) => until >= occurredAt - SKEW_MS);
  }

  /** Nothing is sent that was begun in this second. @param {number} second */
  mustNotDeliver(second) {
    const isSilent = this.#silences.some(({ from, until }) => second > from && second + 1_000 < until);
    return isSilent || second > this.endedAt + SLACK_MS;
  }

  /**
   * Which secrets sign what is signed in this second.
   * @param {number} second in ms
   * @returns {{ must: string[], may: string[], not: string[], isUnsure: boolean }} isUnsure: there may be a secret whose answer was lost
   */
  secretsIn(second) {
    const may = this.#secrets.filter(({ from, until }) => from <= second + 1_000 && until + SLACK_MS >= second);
    const must = may.filter(
      ({ sureFrom, sureUntil }) => sureFrom + SLACK_MS <= second && sureUntil - SLACK_MS >= second + 1_000,
    );
    const not = this.#secrets.filter((secret) => !may.includes(secret)).slice(-3);
    const texts = (/** @type {Secret[]} */ secrets) => secrets.flatMap(({ secret }) => secret ?? []);
    return {
      must: texts(must),
      may: texts(may),
      not: texts(not),
      isUnsure: may.some(({ secret }) => secret === null),
    };
  }
}

/** @param {Filter} filter @param {Event} event */
export const matchesFilter = ({ reasons, userStatusOnly }, { reason, status, previousStatus }) =>
  (reasons === null || reasons.includes(reason)) && (!userStatusOnly || status !== previousStatus);
