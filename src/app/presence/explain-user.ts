/** Why a user is shown as she is: the record, what comes of it, and what led to it, as of one instant. */
import { because } from '../../core/explain-text.ts';
import { explain, type Explanation } from '../../core/explain-status.ts';
import type { UserId } from '../../core/ids.ts';
import type { LoggedEvent, PresenceStore } from '../ports/presence-store.ts';

export const EXPLAINED_EVENTS = 10;

export interface Explained extends Explanation {
  readonly because: string;
  /** Her latest events, the newest first. */
  readonly events: readonly LoggedEvent[];
}

/** Asking is no sign of life and changes nothing. */
export const explainUser = async (store: PresenceStore, id: UserId): Promise<Explained> => {
  // Record and log are read one after the other; she may have changed in between. Not if the log ended with the
  // same event before and after: each round that is lost took a change of this very user.
  let events = await store.log.latest(id, EXPLAINED_EVENTS);
  for (;;) {
    const [user] = await store.read([id]);
    const now = store.now();
    const policy = store.policy();
    const after = await store.log.latest(id, EXPLAINED_EVENTS);
    if (user === undefined) throw new Error('The store answered for no user.');
    if (after[0]?.cursor === events[0]?.cursor) {
      const explanation = explain(user, policy, now, store.sleeps());
      return { ...explanation, because: because(explanation), events };
    }
    events = after;
  }
};
