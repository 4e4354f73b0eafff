/** The entries of a commit, and the rows they become. */
import type { CommandOutcome } from '../../../core/commands.ts';
import type { UserId } from '../../../core/ids.ts';
import { findSession, type UserRecord } from '../../../core/records.ts';
import type { UpdateJob } from './per-user-queue.ts';
import { createEmptyBatch, type CommitBatch, type WebhookWrite } from './writer-messages.ts';
import {
  pushDisconnectRow,
  pushSessionEndRow,
  pushEndedSessionRow,
  pushEventRow,
  pushSessionRow,
  pushStatusRow,
  pushUserRow,
} from '../schema/rows.ts';

export type CommitEntry =
  /** A change of one user, and the job that made it. */
  | { readonly kind: 'change'; readonly before: UserRecord; readonly outcome: CommandOutcome; readonly job: UpdateJob }
  /** Users with activity and no other change since they were last written. */
  | { readonly kind: 'lastSeen'; readonly users: readonly UserRecord[]; readonly callbacks: CommitCallbacks }
  | { readonly kind: 'meta'; readonly key: string; readonly value: string; readonly callbacks: CommitCallbacks }
  | { readonly kind: 'webhooks'; readonly writes: readonly WebhookWrite[]; readonly callbacks: CommitCallbacks };

export interface CommitCallbacks {
  readonly onCommitted: () => void;
  readonly onFailed: (error: Error) => void;
}

/** @param isDirty returns whether the user has unwritten data in addition to the change. */
export const buildBatch = (entries: readonly CommitEntry[], isDirty: (id: UserId) => boolean): CommitBatch => {
  const batch = createEmptyBatch();
  for (const entry of entries) {
    if (entry.kind === 'meta') batch.meta.push(entry.key, entry.value);
    else if (entry.kind === 'lastSeen') pushLastSeen(batch, entry.users);
    else if (entry.kind === 'webhooks') batch.webhooks.push(...entry.writes);
    else {
      pushChange(batch, entry.before, entry.outcome, isDirty(entry.before.id));
      for (const change of entry.outcome.changes) {
        const [first] = change.events;
        for (const event of change.events) pushEventRow(batch.events, event, event === first);
      }
    }
  }
  return batch;
};

const pushChange = (
  batch: CommitBatch,
  before: UserRecord,
  { user, endedSessions }: CommandOutcome,
  isDirty: boolean,
): void => {
  if (isDirty || !pushStatusRow(batch.statuses, before, user)) pushUserRow(batch.users, user);
  for (const session of user.sessions) {
    const previous = isDirty ? undefined : findSession(before, session.id);
    if (previous === session) continue;
    if (previous === undefined || !pushDisconnectRow(batch.disconnects, user.id, previous, session))
      pushSessionRow(batch.sessions, user.id, session);
  }
  for (const end of endedSessions) {
    if (!isDirty && before.sessions.includes(end.session)) pushSessionEndRow(batch.sessionEnds, user.id, end);
    else pushEndedSessionRow(batch.endedSessions, user.id, end);
  }
};

const pushLastSeen = (batch: CommitBatch, users: readonly UserRecord[]): void => {
  for (const user of users) {
    batch.lastSeen.push(user.lastSeenAt, user.id);
    for (const session of user.sessions) pushSessionRow(batch.sessions, user.id, session);
  }
};
