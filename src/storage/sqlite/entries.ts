/** What goes into a commit, and the rows it becomes. */
import type { Outcome } from '../../core/command.ts';
import type { UserId } from '../../core/ids.ts';
import type { UserRecord } from '../../core/record.ts';
import type { Job } from './lanes.ts';
import { emptyBatch, type Batch } from './protocol.ts';
import { addEnded, addEvent, addSession, addUser } from './rows.ts';

export type Entry =
  /** A change of one user, and the call that made it. */
  | { readonly kind: 'change'; readonly before: UserRecord; readonly outcome: Outcome; readonly job: Job }
  /** Users of whom only signs of life were heard since they were last written. */
  | { readonly kind: 'life'; readonly users: readonly UserRecord[]; readonly settle: Settle }
  | { readonly kind: 'meta'; readonly key: string; readonly value: string; readonly settle: Settle };

interface Settle {
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/**
 * @param lastSeq the seq of the last event that is committed; the batch's own follow it without a hole.
 * @param isDirty is more of this user unwritten than what the change touched?
 */
export const batchOf = (entries: readonly Entry[], lastSeq: number, isDirty: (id: UserId) => boolean): Batch => {
  const batch = emptyBatch();
  let seq = lastSeq;
  for (const entry of entries) {
    if (entry.kind === 'meta') batch.meta.push(entry.key, entry.value);
    else if (entry.kind === 'life') addLife(batch, entry.users);
    else {
      addChange(batch, entry.before, entry.outcome, isDirty(entry.before.id));
      for (const change of entry.outcome.changes) {
        const changeSeq = seq + 1;
        for (const event of change.events) addEvent(batch.events, ++seq, changeSeq, event);
      }
    }
  }
  return batch;
};

const addChange = (batch: Batch, before: UserRecord, { user, ended }: Outcome, dirty: boolean): void => {
  addUser(batch.users, user);
  for (const session of user.sessions) {
    if (dirty || !before.sessions.includes(session)) addSession(batch.sessions, user.id, session);
  }
  for (const session of ended) addEnded(batch.ended, user.id, session);
};

const addLife = (batch: Batch, users: readonly UserRecord[]): void => {
  for (const user of users) {
    batch.touches.push(user.lastSeenAt, user.id);
    for (const session of user.sessions) addSession(batch.sessions, user.id, session);
  }
};
