/**
 * When those who have something to be told are told: in rounds. All that happens before a round is in the
 * lists of that round, so the busier the server, the longer the lists and the fewer the messages. However
 * many there are to be told, everything else gets its turn in between.
 */
import { performance } from 'node:perf_hooks';

/** Told in the next round. */
export interface FanoutRecipient {
  deliverPending(): void;
}

/** Keeps what it has made for the others of a round. */
export interface RoundCache {
  clearRoundCache(): void;
}

/** After so long, in ms, a round lets the rest of the server have a turn of the event loop. */
const SLICE_MS = 4;
/** Reading the clock costs as much as some of them. */
const PER_LOOK = 8;

export class FanoutScheduler {
  #next: FanoutRecipient[] = [];
  #now: FanoutRecipient[] = [];
  /** How many of `#now` were told. */
  #at = 0;
  #tookMs = 0;
  #running = false;
  #kept: RoundCache[] = [];

  /** It is told once in the next round, or at once if none has been for a while. */
  scheduleDelivery(told: FanoutRecipient): void {
    this.#next.push(told);
    this.#start();
  }

  /** It keeps something that the next end of a round is to take from it. */
  clearAfterRound(kept: RoundCache): void {
    this.#kept.push(kept);
    this.#start();
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    setImmediate(this.#begin);
  }

  readonly #begin = (): void => {
    this.#now = this.#next;
    this.#next = [];
    this.#at = 0;
    this.#tookMs = 0;
    this.#slice();
  };

  readonly #slice = (): void => {
    const now = this.#now;
    const began = performance.now();
    let tookMs = 0;
    while (this.#at < now.length && tookMs < SLICE_MS) {
      const until = Math.min(this.#at + PER_LOOK, now.length);
      while (this.#at < until) now[this.#at++]?.deliverPending();
      tookMs = performance.now() - began;
    }
    this.#tookMs += tookMs;
    if (this.#at < now.length) setImmediate(this.#slice);
    else this.#end();
  };

  #end(): void {
    this.#now = [];
    const kept = this.#kept;
    this.#kept = [];
    for (const one of kept) one.clearRoundCache();
    if (this.#next.length === 0) this.#running = false;
    // There was news all the while: half of the time is for everything else, and lists get longer meanwhile.
    else if (this.#tookMs >= 1) setTimeout(this.#begin, this.#tookMs);
    else setImmediate(this.#begin);
  }
}
