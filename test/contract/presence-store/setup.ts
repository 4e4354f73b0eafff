/** What the sections of the presence store's contract share. */
import type { PresenceStore } from '../../../src/app/ports/presence-store.ts';
import type { Policy } from '../../../src/core/policy.ts';
import { user } from '../commands.ts';
import type { VirtualClock } from '../virtual-clock.ts';

export interface PresenceStoreTestOptions {
  readonly clock: VirtualClock;
  readonly policySeed: Policy;
  readonly eventRetentionMs: number;
}

export interface PresenceStoreUnderTest {
  readonly store: PresenceStore;
  /** Removes everything that is older than the retention by now. */
  readonly removeExpiredData: () => Promise<void>;
}

/** Creates a new, empty store with a clock of its own. It is closed after the test. */
export type CreateStore = (
  options?: Partial<Omit<PresenceStoreTestOptions, 'clock'>>,
) => Promise<PresenceStoreUnderTest & { readonly clock: VirtualClock }>;

export const SECOND = 1_000;
export const DAY = 86_400_000;
/** A deadline may be detected this much later. */
export const TIMER_RESOLUTION_MS = 200;

export const ALICE = user('alice');
export const BOB = user('bob');
export const CAROL = user('carol');
