// When something was wrong with the server or the machine that excuses what is late. Nothing else is ever excused.

/** What a disturbance may leave behind it, for a moment. */
const AFTERMATH_MS = 2_000;

/** @typedef {{ kind: string, from: number, to: number }} Disturbance */

export class Disturbances {
  /** @type {Disturbance[]} */
  all = [];

  /** @param {string} kind @returns {() => void} to be called when it is over */
  begin(kind, from = Date.now()) {
    const disturbance = { kind, from, to: Infinity };
    this.all.push(disturbance);
    return () => {
      if (disturbance.to === Infinity) disturbance.to = Date.now();
    };
  }

  /** One that is over. @param {string} kind @param {number} from @param {number} to */
  add(kind, from, to) {
    const last = this.all.at(-1);
    if (last !== undefined && last.kind === kind && from - last.to < 300) last.to = Math.max(last.to, to);
    else this.all.push({ kind, from, to });
  }

  /** When the last one was over, with what it left; Infinity while there is one. */
  calmSince() {
    let last = 0;
    for (let index = this.all.length - 1, seen = 0; index >= 0 && seen < 50; index--, seen++) {
      last = Math.max(last, /** @type {Disturbance} */ (this.all[index]).to);
    }
    return last + AFTERMATH_MS;
  }

  /**
   * Was there one, at any time between?
   * @param {number} from
   * @param {number} to
   * @param {(kind: string) => boolean} [counts]
   */
  between(from, to, counts = () => true) {
    for (let index = this.all.length - 1; index >= 0; index--) {
      const one = /** @type {Disturbance} */ (this.all[index]);
      if (counts(one.kind) && one.from <= to && one.to + AFTERMATH_MS >= from) return true;
      if (this.all.length - index > 400) break;
    }
    return false;
  }

  /** How long there was none, in ms, until now since `since`. */
  calmFor() {
    return Date.now() - this.calmSince();
  }

  /** Each kind: how often, and how long in all, in ms. */
  summary() {
    /** @type {Record<string, { times: number, ms: number }>} */
    const kinds = {};
    for (const { kind, from, to } of this.all) {
      const entry = (kinds[kind] ??= { times: 0, ms: 0 });
      entry.times++;
      entry.ms += Math.round(Math.min(to, Date.now()) - from);
    }
    return kinds;
  }
}
