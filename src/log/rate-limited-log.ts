/** Keeps one fault that happens a thousand times a second from filling the disk with its lines. */

export interface FloodLimits {
  /** Lines of one text in one period. */
  readonly lines: number;
  readonly periodMs: number;
}

export const FLOOD_LIMITS: FloodLimits = { lines: 20, periodMs: 10_000 };

interface Period {
  readonly until: number;
  lines: number;
}

export class Floods {
  readonly #limits: FloodLimits;
  readonly #now: () => number;
  readonly #tell: (text: string, suppressed: number) => void;
  /** By text. The texts are ours: there are as many as there are places in the sources that log one. */
  readonly #periods = new Map<string, Period>();

  /**
   * @param tell hears at the end of a period how many lines of a text were left out in it.
   * @param now monotonic, in ms.
   */
  constructor(tell: (text: string, suppressed: number) => void, limits = FLOOD_LIMITS, now = () => performance.now()) {
    this.#tell = tell;
    this.#limits = limits;
    this.#now = now;
  }

  /** May one more line of this text be written? */
  mayPass(text: string): boolean {
    const now = this.#now();
    let period = this.#periods.get(text);
    if (period === undefined || now >= period.until) {
      this.#over(text, period);
      period = { until: now + this.#limits.periodMs, lines: 0 };
      this.#periods.set(text, period);
    }
    period.lines++;
    if (period.lines === this.#limits.lines + 1) this.#tellLater(text, period);
    return period.lines <= this.#limits.lines;
  }

  /** Says what was left out so far. */
  flush(): void {
    for (const [text, period] of this.#periods) this.#over(text, period);
  }

  #tellLater(text: string, period: Period): void {
    setTimeout(() => this.#over(text, period), period.until - this.#now()).unref();
  }

  #over(text: string, period: Period | undefined): void {
    // Another period has begun, and told of this one.
    if (period === undefined || this.#periods.get(text) !== period) return;
    this.#periods.delete(text);
    const suppressed = period.lines - this.#limits.lines;
    if (suppressed > 0) this.#tell(text, suppressed);
  }
}
