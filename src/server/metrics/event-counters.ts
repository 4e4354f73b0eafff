/** Counts session events and status changes since startup, as they are committed. */
import type { PresenceStore } from '../../app/ports/presence-store.ts';
import { EVENT_REASONS, PLATFORMS } from '../../core/enums.ts';
import { LabelledCounter } from './counters.ts';

export class SessionEventCounters {
  /** Events by reason, then by platform. */
  readonly eventsByReason: ReadonlyMap<string, LabelledCounter> = new Map(
    EVENT_REASONS.map((reason) => [reason, new LabelledCounter(PLATFORMS, null)]),
  );
  #statusChanges = 0;

  /** Counts the commits of `store` from now on. */
  constructor(store: PresenceStore) {
    store.onCommit((changes) => {
      for (const { events, statusChange } of changes) {
        if (statusChange !== null) this.#statusChanges++;
        for (const { reason, platform } of events) this.eventsByReason.get(reason)?.increment(platform);
      }
    });
  }

  /** Changes of users' statuses and custom statuses: what watchers receive. */
  get statusChanges(): number {
    return this.#statusChanges;
  }
}
