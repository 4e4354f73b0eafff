/** Explains a user's status with the record, predictions and latest events, all of the same instant. */
import { explainStatus, type StatusExplanation } from '../../core/explain-status.ts';
import { formatExplanation } from '../../core/explain-text.ts';
import type { UserId } from '../../core/ids.ts';
import type { LoggedEvent, PresenceStore } from '../ports/presence-store.ts';

export const MAX_EXPLAINED_EVENTS = 10;

export interface UserExplanation extends StatusExplanation {
  /** The explanation as text. */
  readonly because: string;
  /** The latest events of the user, the newest first; at most `MAX_EXPLAINED_EVENTS`. */
  readonly events: readonly LoggedEvent[];
}

/** Does not count as activity and changes nothing. */
export const explainUser = async (store: PresenceStore, id: UserId): Promise<UserExplanation> => {
  // Record and log are read one after the other, so the user may change in between. They agree if the user's latest
  // event is the same before and after. Every repetition was caused by a change of this user.
  let events = await store.eventLog.readLatestEventsOfUser(id, MAX_EXPLAINED_EVENTS);
  for (;;) {
    const [user] = await store.readUsers([id]);
    const now = store.now();
    const policy = store.getPolicy();
    const eventsAfter = await store.eventLog.readLatestEventsOfUser(id, MAX_EXPLAINED_EVENTS);
    if (user === undefined) throw new Error('The store returned no record for the user.');
    if (eventsAfter[0]?.cursor === events[0]?.cursor) {
      const explanation = explainStatus(user, policy, now, store.getProcessPauses());
      return { ...explanation, because: formatExplanation(explanation), events };
    }
    events = eventsAfter;
  }
};
