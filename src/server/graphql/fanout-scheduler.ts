/**
 * Delivers changes to watchers in rounds. A round delivers everything that happened before it, so a busy server sends
 * longer lists in fewer messages. Rounds are cut into slices, so that other work runs in between.
 */
import { performance } from 'node:perf_hooks';

export interface FanoutRecipient {
  /** Called once in the next round. */
  deliverPending(): void;
}

/** Results that the recipients of one round share. */
export interface RoundCache {
  /** Called at the end of the round. */
  clearRoundCache(): void;
}

/** A round yields to the event loop after this time. */
const MAX_SLICE_MS = 4;
/** Reading the clock costs about as much as some deliveries, so it is read once per batch. */
const RECIPIENTS_PER_CLOCK_READ = 8;

export class FanoutScheduler {
  #nextRecipients: FanoutRecipient[] = [];
  #currentRecipients: FanoutRecipient[] = [];
  /** How many of `#currentRecipients` are served. */
  #servedCount = 0;
  #roundMs = 0;
  #isRunning = false;
  #roundCaches: RoundCache[] = [];

  /** Adds a recipient to the next round, which starts in the next loop turn if the scheduler is idle. */
  scheduleDelivery(recipient: FanoutRecipient): void {
    this.#nextRecipients.push(recipient);
    this.#start();
  }

  /** Clears the cache at the end of the current round, or of the next one if none runs. */
  clearAfterRound(cache: RoundCache): void {
    this.#roundCaches.push(cache);
    this.#start();
  }

  #start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    setImmediate(this.#beginRound);
  }

  readonly #beginRound = (): void => {
    this.#currentRecipients = this.#nextRecipients;
    this.#nextRecipients = [];
    this.#servedCount = 0;
    this.#roundMs = 0;
    this.#runSlice();
  };

  readonly #runSlice = (): void => {
    const recipients = this.#currentRecipients;
    const startedAt = performance.now();
    let elapsedMs = 0;
    while (this.#servedCount < recipients.length && elapsedMs < MAX_SLICE_MS) {
      const batchEnd = Math.min(this.#servedCount + RECIPIENTS_PER_CLOCK_READ, recipients.length);
      while (this.#servedCount < batchEnd) recipients[this.#servedCount++]?.deliverPending();
      elapsedMs = performance.now() - startedAt;
    }
    this.#roundMs += elapsedMs;
    if (this.#servedCount < recipients.length) setImmediate(this.#runSlice);
    else this.#endRound();
  };

  #endRound(): void {
    this.#currentRecipients = [];
    const caches = this.#roundCaches;
    this.#roundCaches = [];
    for (const cache of caches) cache.clearRoundCache();
    if (this.#nextRecipients.length === 0) this.#isRunning = false;
    // Under constant changes, rounds take at most half of the time, and the lists grow during the pauses.
    else if (this.#roundMs >= 1) setTimeout(this.#beginRound, this.#roundMs);
    else setImmediate(this.#beginRound);
  }
}
