/** The whole log, or one user's part of it, as of one instant: for those who read it without a server. */
import type { LoggedEvent } from '../../../app/ports/presence-store.ts';
import type { Cursor, UserId } from '../../../core/ids.ts';
import { Cursors, notOurs } from '../schema/cursors.ts';
import { expired } from '../read/event-log.ts';
import { StorageError } from '../file/errors.ts';
import { LOG_ID } from '../schema/meta-keys.ts';
import { schemaOf } from '../schema/migrations.ts';
import { Reader } from '../read/reader.ts';
import { eventFrom } from '../schema/rows.ts';
import { openSnapshot } from './snapshot.ts';

export interface StoredEvents {
  /** Where reading starts and ends, both of which stay as they are. */
  readonly from: Cursor;
  readonly through: Cursor;
  /** In the order of the log, with how far the log is read by then, from 0 to 1. To be gone through once. */
  readonly events: Iterable<{ readonly event: LoggedEvent; readonly done: number }>;
  close(): void;
}

/**
 * @param after null: from the oldest event kept.
 * @throws StorageError; BAD_USER_INPUT or CURSOR_EXPIRED for a cursor that does not do.
 */
export const storedEvents = (path: string, after: Cursor | null, userId: UserId | undefined): StoredEvents => {
  const snapshot = openSnapshot(path);
  try {
    if (schemaOf(snapshot) !== 'CURRENT') {
      throw new StorageError(
        'NEWER_SCHEMA',
        `${path} was made by another version of Porchlight.\nUse that version, or start this one's server on it once.`,
      );
    }
    const reader = new Reader(path, snapshot);
    const logId = reader.meta(LOG_ID);
    if (logId === null) throw new StorageError('CORRUPT', `${path} has lost the id of its log: see porchlight doctor.`);
    const cursors = new Cursors(logId);
    const purgedThrough = reader.purgedThrough();
    const last = reader.lastSeq();
    const from = after === null ? purgedThrough : cursors.seqOf(after);
    if (from > last) throw notOurs();
    if (from < purgedThrough) throw expired();
    return {
      from: cursors.at(from),
      through: cursors.at(last),
      events: placed(reader, cursors, from, last, userId),
      close: () => reader.close(),
    };
  } catch (error) {
    snapshot.close();
    throw error;
  }
};

function* placed(
  reader: Reader,
  cursors: Cursors,
  from: number,
  last: number,
  userId: UserId | undefined,
): StoredEvents['events'] {
  for (const row of reader.events(from, last, userId)) {
    const [seq, changeSeq] = row as [number, number];
    const event = { ...eventFrom(row), cursor: cursors.at(seq), changeId: cursors.changeId(changeSeq) };
    yield { event, done: (seq - from) / (last - from) };
  }
}
