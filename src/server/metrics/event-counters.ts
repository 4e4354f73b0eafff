/** What has happened to sessions since the start, counted as it is committed. */
import type { PresenceStore } from '../../app/ports/presence-store.ts';
import { EVENT_REASONS, PLATFORMS } from '../../core/enums.ts';
import { LabelledCounter } from './counters.ts';

export class SessionEventCounters {
  /** By reason, then by platform. */
  readonly eventsByReason: ReadonlyMap<string, LabelledCounter> = new Map(
    EVENT_REASONS.map((reason) => [reason, new LabelledCounter(PLATFORMS, null)]),
  );
  #statusChanges = 0;

  constructor(store: PresenceStore) {
    store.onCommit((changes) => {
      for (const { events, statusChange } of changes) {
        if (statusChange !== null) this.#statusChanges++;
        for (const { reason, platform } of events) this.eventsByReason.get(reason)?.increment(platform);
      }
    });
  }

  /** Changes of users' statuses and texts, which is what watchers are told. */
  get statusChanges(): number {
    return this.#statusChanges;
  }
}
