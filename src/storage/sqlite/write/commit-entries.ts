/** What goes into a commit, and the rows it becomes. */
import type { Outcome } from '../../../core/commands.ts';
import type { UserId } from '../../../core/ids.ts';
import { findSession, type UserRecord } from '../../../core/records.ts';
import type { Job } from './per-user-queue.ts';
import { emptyBatch, type Batch, type WebhookWrite } from './writer-messages.ts';
import { addDrop, addEnd, addEnded, addEvent, addSession, addStatus, addUser } from '../schema/rows.ts';

export type Entry =
  /** A change of one user, and the call that made it. */
  | { readonly kind: 'change'; readonly before: UserRecord; readonly outcome: Outcome; readonly job: Job }
  /** Users of whom only signs of life were heard since they were last written. */
  | { readonly kind: 'life'; readonly users: readonly UserRecord[]; readonly settle: Settle }
  | { readonly kind: 'meta'; readonly key: string; readonly value: string; readonly settle: Settle }
  | { readonly kind: 'webhooks'; readonly writes: readonly WebhookWrite[]; readonly settle: Settle };

interface Settle {
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/** @param isDirty is more of this user unwritten than what the change touched? */
export const batchOf = (entries: readonly Entry[], isDirty: (id: UserId) => boolean): Batch => {
  const batch = emptyBatch();
  for (const entry of entries) {
    if (entry.kind === 'meta') batch.meta.push(entry.key, entry.value);
    else if (entry.kind === 'life') addLife(batch, entry.users);
    else if (entry.kind === 'webhooks') batch.webhooks.push(...entry.writes);
    else {
      addChange(batch, entry.before, entry.outcome, isDirty(entry.before.id));
      for (const change of entry.outcome.changes) {
        const [first] = change.events;
        for (const event of change.events) addEvent(batch.events, event, event === first);
      }
    }
  }
  return batch;
};

const addChange = (batch: Batch, before: UserRecord, { user, ended }: Outcome, dirty: boolean): void => {
  if (dirty || !addStatus(batch.statuses, before, user)) addUser(batch.users, user);
  for (const session of user.sessions) {
    const old = dirty ? undefined : findSession(before, session.id);
    if (old === session) continue;
    if (old === undefined || !addDrop(batch.drops, user.id, old, session)) addSession(batch.sessions, user.id, session);
  }
  for (const end of ended) {
    if (!dirty && before.sessions.includes(end.session)) addEnd(batch.justEnded, user.id, end);
    else addEnded(batch.ended, user.id, end);
  }
};

const addLife = (batch: Batch, users: readonly UserRecord[]): void => {
  for (const user of users) {
    batch.touches.push(user.lastSeenAt, user.id);
    for (const session of user.sessions) addSession(batch.sessions, user.id, session);
  }
};
