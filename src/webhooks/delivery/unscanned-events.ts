/** Counts the wanted events that were committed since a worker last read the log. */
import type { Millis } from '../../core/ids.ts';
import type { PresenceEvent } from '../../core/records.ts';
import { matchesEventFilter, type WebhookRecord } from '../../core/webhooks/webhook.ts';

export class UnscannedEvents {
  /** Not counted beyond the threshold. */
  #count = 0;
  #oldestOccurredAt: Millis | null = null;
  #threshold = 1;
  #isScanRequested = false;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Enough events were counted. */
  get isThresholdReached(): boolean {
    return this.#count >= this.#threshold;
  }

  /** The log must be read even without new events. */
  get isScanRequested(): boolean {
    return this.#isScanRequested;
  }

  /** When the first of the counted events occurred; null: none was counted. */
  get oldestOccurredAt(): Millis | null {
    return this.#oldestOccurredAt;
  }

  /** @param threshold the number of events to wait for. */
  setThreshold(threshold: number): void {
    this.#threshold = threshold;
  }

  requestScan(): void {
    this.#isScanRequested = true;
  }

  /** Starts at zero; to be called before the log is read. */
  resetCount(threshold: number): void {
    this.#count = 0;
    this.#oldestOccurredAt = null;
    this.#threshold = threshold;
    this.#isScanRequested = false;
  }

  /** @returns whether a waiting worker must check again: these are the first events, or the threshold is reached. */
  countWantedEvents(webhook: WebhookRecord, events: readonly PresenceEvent[]): boolean {
    const before = this.#count;
    for (const event of events) {
      if (!matchesEventFilter(webhook, event)) continue;
      this.#count++;
      this.#oldestOccurredAt ??= event.occurredAt;
    }
    return this.#count > before && (before === 0 || this.isThresholdReached);
  }
}
