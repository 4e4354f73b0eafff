/** A compact form of session rows for bulk reads, because each cell read from SQLite costs time. */
import { SESSION_COLUMNS, type SqlRow, type SqlValue } from './rows.ts';

/** Columns whose values many sessions share. */
const COMMON_COLUMNS = [
  'platform',
  'status',
  'appState',
  'heartbeatIntervalMs',
  'heartbeatTimeoutMs',
  'backgroundTimeoutMs',
  'disconnectGraceMs',
] as const;

type SessionColumn = (typeof SESSION_COLUMNS)[number];
type OwnColumn = Exclude<SessionColumn, (typeof COMMON_COLUMNS)[number]>;

/** The individual columns of a session, followed by the common ones as one JSON text. Equal texts are parsed once. */
export const COMPACT_SESSION_COLUMNS = {
  own: SESSION_COLUMNS.filter((name): name is OwnColumn => !(COMMON_COLUMNS as readonly string[]).includes(name)),
  common: COMMON_COLUMNS,
} as const;

/**
 * Returns a function that expands a compact row to a row of `SESSION_COLUMNS`. The result is valid until the next
 * call.
 */
export const createRowExpander = (): ((compactRow: SqlRow) => SqlRow) => {
  const { own, common } = COMPACT_SESSION_COLUMNS;
  const ownIndexes = own.map((name) => SESSION_COLUMNS.indexOf(name));
  const commonIndexes = common.map((name) => SESSION_COLUMNS.indexOf(name));
  const fullRow: SqlValue[] = SESSION_COLUMNS.map(() => null);
  let latestText: SqlValue | undefined;
  const parsedCommon = new Map<SqlValue | undefined, SqlRow>();
  return (narrow) => {
    for (let index = 0; index < ownIndexes.length; index++)
      fullRow[ownIndexes[index] as number] = narrow[index] as SqlValue;
    const text = narrow[ownIndexes.length];
    if (text !== latestText) {
      const values = parsedCommon.get(text) ?? (JSON.parse(text as string) as SqlRow);
      parsedCommon.set(text, values);
      commonIndexes.forEach((at, index) => (fullRow[at] = values[index] as SqlValue));
      latestText = text;
    }
    return fullRow;
  };
};
