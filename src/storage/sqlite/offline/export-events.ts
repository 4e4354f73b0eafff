/** Reads the whole log, or one user's part of it, from one consistent state of the database, without a server. */
import type { LoggedEvent } from '../../../app/ports/presence-store.ts';
import type { Cursor, UserId } from '../../../core/ids.ts';
import { CursorCodec, foreignCursorError } from '../schema/cursors.ts';
import { cursorExpiredError } from '../read/event-log.ts';
import { DatabaseFileError } from '../file/errors.ts';
import { LOG_ID_KEY } from '../schema/meta-keys.ts';
import { readSchemaState } from '../schema/migrations.ts';
import { DatabaseReader } from '../read/reader.ts';
import { eventFromRow } from '../schema/rows.ts';
import { openSnapshot } from './snapshot.ts';

export interface EventExport {
  /** The positions where reading starts and ends. */
  readonly from: Cursor;
  readonly through: Cursor;
  /** In order of the log. `progress` is the part of the log read so far, from 0 to 1. Can be iterated once. */
  readonly events: Iterable<{ readonly event: LoggedEvent; readonly progress: number }>;
  close(): void;
}

/**
 * @param after null: start at the oldest event kept.
 * @throws DatabaseFileError; BAD_USER_INPUT or CURSOR_EXPIRED for an unusable cursor.
 */
export const openEventExport = (path: string, after: Cursor | null, userId: UserId | undefined): EventExport => {
  const snapshot = openSnapshot(path);
  try {
    if (readSchemaState(snapshot) !== 'CURRENT') {
      throw new DatabaseFileError(
        'NEWER_SCHEMA',
        `${path} was created by another version of Porchlight.\nUse that version, or start a server of this version once to migrate it.`,
      );
    }
    const reader = new DatabaseReader(path, snapshot);
    const logId = reader.readMeta(LOG_ID_KEY);
    if (logId === null)
      throw new DatabaseFileError(
        'CORRUPT',
        `${path} does not contain the id of its event log. Run "porchlight doctor" for details.`,
      );
    const cursors = new CursorCodec(logId);
    const purgedThrough = reader.readPurgedThrough();
    const last = reader.readLastSeq();
    const from = after === null ? purgedThrough : cursors.decodeCursor(after);
    if (from > last) throw foreignCursorError();
    if (from < purgedThrough) throw cursorExpiredError();
    return {
      from: cursors.encodeCursor(from),
      through: cursors.encodeCursor(last),
      events: iterateEvents(reader, cursors, from, last, userId),
      close: () => reader.close(),
    };
  } catch (error) {
    snapshot.close();
    throw error;
  }
};

function* iterateEvents(
  reader: DatabaseReader,
  cursors: CursorCodec,
  from: number,
  last: number,
  userId: UserId | undefined,
): EventExport['events'] {
  for (const row of reader.iterateEvents(from, last, userId)) {
    const [seq, changeSeq] = row as [number, number];
    const event = {
      ...eventFromRow(row),
      cursor: cursors.encodeCursor(seq),
      changeId: cursors.encodeChangeId(changeSeq),
    };
    yield { event, progress: (seq - from) / (last - from) };
  }
}
