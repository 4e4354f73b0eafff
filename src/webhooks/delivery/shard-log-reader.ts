/** Reads from the event log the events of one shard that a webhook wants. */
import type { EventLogScanResult, LoggedEvent } from '../../app/ports/presence-store.ts';
import { DomainError } from '../../core/errors.ts';
import type { Cursor } from '../../core/ids.ts';
import type { PresenceEvent } from '../../core/records.ts';
import { matchesEventFilter, computeShard, type Shard, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { LeaseSession } from './lease-session.ts';

/** Events in one delivery. It may have more, because events of one change stay together. */
export const MAX_BATCH_EVENTS = 100;
/** Scans for one batch. If few events are wanted, the batch is sent incomplete after these. */
const MAX_SCANS_PER_BATCH = 10;

export interface ShardEvents {
  /** The version of the webhook whose filter was applied. */
  readonly webhook: WebhookRecord;
  readonly events: readonly LoggedEvent[];
  /** Everything up to here was read. */
  readonly scannedThrough: Cursor;
  /** Nothing followed when the log was read. */
  readonly isEndOfLog: boolean;
}

export class ShardLogReader {
  readonly #session: LeaseSession;
  readonly #shard: Shard;

  constructor(session: LeaseSession, shard: Shard) {
    this.#session = session;
    this.#shard = shard;
  }

  /** @param after null: from the oldest event. @returns null: retention removed events after `after`. @throws LeaseEndedError */
  async readEvents(webhook: WebhookRecord, after: Cursor | null): Promise<ShardEvents | null> {
    const events: LoggedEvent[] = [];
    let position = after;
    for (let scans = 1; ; scans++) {
      const result = await this.#scanLog(webhook, position, MAX_BATCH_EVENTS - events.length);
      if (result === null) return null;
      const { scannedThrough } = result;
      position = scannedThrough;
      events.push(...result.events);
      if (!result.hasMore || events.length >= MAX_BATCH_EVENTS || scans >= MAX_SCANS_PER_BATCH) {
        return { webhook, events, scannedThrough, isEndOfLog: !result.hasMore };
      }
    }
  }

  #scanLog(webhook: WebhookRecord, after: Cursor | null, limit: number): Promise<EventLogScanResult | null> {
    const { eventLog, scanBudget } = this.#session.deps;
    const matchesEvent = (event: PresenceEvent): boolean =>
      matchesEventFilter(webhook, event) && computeShard(event.userId) === this.#shard;
    return this.#session.retryStoreCall(
      'The event log could not be read for a webhook; the server retries.',
      async () => {
        try {
          return await scanBudget.runWithinBudget(() => eventLog.scanEvents({ after, limit, matchesEvent }));
        } catch (error) {
          if (error instanceof DomainError && error.details.code === 'CURSOR_EXPIRED') return null;
          throw error;
        }
      },
    );
  }
}
