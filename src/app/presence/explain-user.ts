/** Why a user is shown as she is: the record, what comes of it, and what led to it, as of one instant. */
import { formatExplanation } from '../../core/explain-text.ts';
import { explainStatus, type StatusExplanation } from '../../core/explain-status.ts';
import type { UserId } from '../../core/ids.ts';
import type { LoggedEvent, PresenceStore } from '../ports/presence-store.ts';

export const MAX_EXPLAINED_EVENTS = 10;

export interface UserExplanation extends StatusExplanation {
  readonly because: string;
  /** Her latest events, the newest first. */
  readonly events: readonly LoggedEvent[];
}

/** Asking is no sign of life and changes nothing. */
export const explainUser = async (store: PresenceStore, id: UserId): Promise<UserExplanation> => {
  // Record and log are read one after the other; she may have changed in between. Not if the log ended with the
  // same event before and after: each round that is lost took a change of this very user.
  let events = await store.eventLog.readLatestEvents(id, MAX_EXPLAINED_EVENTS);
  for (;;) {
    const [user] = await store.readUsers([id]);
    const now = store.now();
    const policy = store.getPolicy();
    const after = await store.eventLog.readLatestEvents(id, MAX_EXPLAINED_EVENTS);
    if (user === undefined) throw new Error('The store answered for no user.');
    if (after[0]?.cursor === events[0]?.cursor) {
      const explanation = explainStatus(user, policy, now, store.getProcessPauses());
      return { ...explanation, because: formatExplanation(explanation), events };
    }
    events = after;
  }
};
