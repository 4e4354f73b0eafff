/** Reads from the event log the events of one shard that a webhook wants, without those of isolated users. */
import type { EventLogScanResult, LoggedEvent } from '../../app/ports/presence-store.ts';
import { DomainError } from '../../core/errors.ts';
import type { Cursor, UserId } from '../../core/ids.ts';
import type { PresenceEvent } from '../../core/records.ts';
import { matchesEventFilter, computeShard, type Shard, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { LeaseSession } from './lease-session.ts';
import type { ScannedPart, ShardProgress } from './shard-progress.ts';

/** Events in one delivery. It may have more, because events of one change stay together. */
export const MAX_BATCH_EVENTS = 100;
/** Scans for one batch. If few events are wanted, the batch is sent incomplete after these. */
const MAX_SCANS_PER_BATCH = 10;

const NO_USERS: ReadonlySet<UserId> = new Set();

/** Everything up to `scannedThrough` was read. */
export interface ShardEvents extends ScannedPart {
  /** The version of the webhook whose filter was applied. */
  readonly webhook: WebhookRecord;
  readonly events: readonly LoggedEvent[];
  /** Nothing followed when the log was read. */
  readonly isEndOfLog: boolean;
}

export class ShardLogReader {
  readonly #session: LeaseSession;
  readonly #shard: Shard;
  readonly #progress: ShardProgress;

  constructor(session: LeaseSession, shard: Shard, progress: ShardProgress) {
    this.#session = session;
    this.#shard = shard;
    this.#progress = progress;
  }

  /**
   * Reads after the position of the shard. Skips isolated users, who cannot rejoin until the result is committed or
   * replaced.
   * @param waitingUsers skipped likewise.
   * @returns null: retention removed events after the position. @throws LeaseEndedError
   */
  async readEvents(webhook: WebhookRecord, waitingUsers: ReadonlySet<UserId> = NO_USERS): Promise<ShardEvents | null> {
    const events: LoggedEvent[] = [];
    let { position } = this.#progress;
    for (let scans = 1; ; scans++) {
      const result = await this.#scanLog(webhook, position, MAX_BATCH_EVENTS - events.length);
      if (result === null) return null;
      const { scannedThrough } = result;
      position = scannedThrough;
      events.push(...result.events);
      if (!result.hasMore || events.length >= MAX_BATCH_EVENTS || scans >= MAX_SCANS_PER_BATCH) {
        return { webhook, scannedThrough, isEndOfLog: !result.hasMore, ...this.#separateSkipped(events, waitingUsers) };
      }
    }
  }

  #separateSkipped(
    all: readonly LoggedEvent[],
    waitingUsers: ReadonlySet<UserId>,
  ): Pick<ShardEvents, 'events' | 'skipped'> {
    const skipped = new Map<UserId, Cursor>();
    const isSkipped = (userId: UserId): boolean =>
      waitingUsers.has(userId) || this.#progress.findIsolatedUser(userId) !== undefined;
    const events = all.filter(({ userId, cursor }) => {
      if (!isSkipped(userId)) return true;
      skipped.set(userId, cursor);
      return false;
    });
    this.#progress.holdSkips(skipped);
    return { events, skipped };
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
