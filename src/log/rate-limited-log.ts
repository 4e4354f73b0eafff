/** Limits how often the same text is logged, so that an error that occurs often does not fill the disk. */

export interface LogRateLimits {
  /** Lines with the same text per period. */
  readonly lines: number;
  readonly periodMs: number;
}

export const DEFAULT_LOG_RATE_LIMITS: LogRateLimits = { lines: 20, periodMs: 10_000 };

interface Period {
  readonly endsAt: number;
  lines: number;
}

export class LogRateLimiter {
  readonly #limits: LogRateLimits;
  readonly #now: () => number;
  readonly #logSummary: (text: string, suppressed: number) => void;
  /** By text. Texts are constants of the source code, so the number of periods is bounded. */
  readonly #periods = new Map<string, Period>();

  /**
   * @param logSummary is called at the end of a period with the number of suppressed lines, if there are any.
   * @param now monotonic time in milliseconds.
   */
  constructor(
    logSummary: (text: string, suppressed: number) => void,
    limits = DEFAULT_LOG_RATE_LIMITS,
    now = () => performance.now(),
  ) {
    this.#logSummary = logSummary;
    this.#limits = limits;
    this.#now = now;
  }

  /** Counts a line with this text. @returns false when the line must not be written. */
  tryAcquire(text: string): boolean {
    const now = this.#now();
    let period = this.#periods.get(text);
    if (period === undefined || now >= period.endsAt) {
      this.#endPeriod(text, period);
      period = { endsAt: now + this.#limits.periodMs, lines: 0 };
      this.#periods.set(text, period);
    }
    period.lines++;
    if (period.lines === this.#limits.lines + 1) this.#scheduleEnd(text, period);
    return period.lines <= this.#limits.lines;
  }

  /** Ends all periods now, and logs their summaries. */
  flushSummaries(): void {
    for (const [text, period] of this.#periods) this.#endPeriod(text, period);
  }

  #scheduleEnd(text: string, period: Period): void {
    setTimeout(() => this.#endPeriod(text, period), period.endsAt - this.#now()).unref();
  }

  #endPeriod(text: string, period: Period | undefined): void {
    // A period that is no longer in the map has already been summarised.
    if (period === undefined || this.#periods.get(text) !== period) return;
    this.#periods.delete(text);
    const suppressed = period.lines - this.#limits.lines;
    if (suppressed > 0) this.#logSummary(text, suppressed);
  }
}
