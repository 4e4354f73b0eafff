/** Rows of sessions for reading a great many: every cell that crosses from SQLite costs. */
import { SESSION_COLUMNS, type Row, type Value } from './rows.ts';

/** What many sessions have in common. */
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

/** The columns that are a session's own, and behind them, as one text of JSON that many share, the others. */
export const NARROW_SESSION = {
  own: SESSION_COLUMNS.filter((name): name is OwnColumn => !(COMMON_COLUMNS as readonly string[]).includes(name)),
  common: COMMON_COLUMNS,
} as const;

/** Makes of each narrow row one of `SESSION_COLUMNS`, which holds until the next one is made. */
export const widening = (): ((narrow: Row) => Row) => {
  const { own, common } = NARROW_SESSION;
  const ownAt = own.map((name) => SESSION_COLUMNS.indexOf(name));
  const commonAt = common.map((name) => SESSION_COLUMNS.indexOf(name));
  const wide: Value[] = SESSION_COLUMNS.map(() => null);
  let latest: Value | undefined;
  const known = new Map<Value | undefined, Row>();
  return (narrow) => {
    for (let index = 0; index < ownAt.length; index++) wide[ownAt[index] as number] = narrow[index] as Value;
    const text = narrow[ownAt.length];
    if (text !== latest) {
      const values = known.get(text) ?? (JSON.parse(text as string) as Row);
      known.set(text, values);
      commonAt.forEach((at, index) => (wide[at] = values[index] as Value));
      latest = text;
    }
    return wide;
  };
};
