// What was done, how often, and what was wrong: enough of it to find out why.

/** Violations of one kind that are reported in full. Further ones are only counted. */
const MAX_REPORTED_PER_KIND = 10;
const REMEMBERED = 40;

/** @typedef {{ kind: string, at: string, minute: number, words: string, userId: string | null, actions: string[], events: unknown[] }} Violation */

export class Journal {
  /** @type {Violation[]} */
  violations = [];
  /** @type {Map<string, number>} */
  violationCounts = new Map();
  /** @type {Map<string, number>} */
  counts = new Map();
  /** What was done to the server as a whole. @type {{ at: string, what: string }[]} */
  faults = [];
  /** @type {Map<string, string[]>} */
  #actions = new Map();
  #began = Date.now();
  /** @type {(userId: string) => unknown[]} */
  eventsOf = () => [];
  /** @type {(violation: Violation) => void} */
  onViolation = () => undefined;

  /** @param {string} name */
  count(name, by = 1) {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  /** Records what a client did. @param {string} userId @param {string} what */
  act(userId, what) {
    let actions = this.#actions.get(userId);
    if (actions === undefined) this.#actions.set(userId, (actions = []));
    actions.push(`${new Date().toISOString().slice(11, 23)} ${what}`);
    if (actions.length > REMEMBERED) actions.splice(0, REMEMBERED / 2);
  }

  /** @param {string} what */
  fault(what) {
    this.faults.push({ at: new Date().toISOString(), what });
  }

  /**
   * An invariant does not hold.
   * @param {string} kind
   * @param {string} words
   * @param {string | null} [userId]
   */
  violate(kind, words, userId = null) {
    const count = (this.violationCounts.get(kind) ?? 0) + 1;
    this.violationCounts.set(kind, count);
    if (count > MAX_REPORTED_PER_KIND) return;
    const violation = {
      kind,
      at: new Date().toISOString(),
      minute: Math.floor((Date.now() - this.#began) / 60_000),
      words,
      userId,
      actions: [...(this.#actions.get(userId ?? '') ?? [])],
      events: userId === null ? [] : this.eventsOf(userId),
    };
    this.violations.push(violation);
    this.onViolation(violation);
  }

  get violated() {
    let sum = 0;
    for (const count of this.violationCounts.values()) sum += count;
    return sum;
  }
}

/** Milliseconds, in whole ones; all of them are kept. */
export class Histogram {
  /** @type {Map<number, number>} */
  #counts = new Map();
  count = 0;

  /** @param {number} ms */
  add(ms) {
    const whole = Math.round(ms);
    this.#counts.set(whole, (this.#counts.get(whole) ?? 0) + 1);
    this.count++;
  }

  summary() {
    const sorted = [...this.#counts].sort(([one], [other]) => one - other);
    const at = (/** @type {number} */ share) => {
      let seen = 0;
      for (const [ms, count] of sorted) if ((seen += count) >= share * this.count) return ms;
      return null;
    };
    return {
      count: this.count,
      min: sorted[0]?.[0] ?? null,
      p50: at(0.5),
      p99: at(0.99),
      max: sorted.at(-1)?.[0] ?? null,
    };
  }
}
