/**
 * Queries written with drizzle, against the tables it knows, and run by the driver itself: prepared
 * once, rows as arrays. Drizzle's own execution takes twice the time per row.
 */
import type Database from 'better-sqlite3';
import { is, Param, Placeholder } from 'drizzle-orm';
import type { Row, Value } from './rows.ts';

interface Query {
  toSQL(): { sql: string; params: unknown[] };
}

/** @param names the placeholders in the order in which values will be given; any other order is a fault. */
export const prepareWrite = (
  connection: Database.Database,
  query: Query,
  names: readonly string[],
): Database.Statement<Value[]> => connection.prepare<Value[]>(checked(query, names));

/** As `prepareWrite`, for queries: rows come as arrays, in the order of the columns selected. */
export const prepareRead = (
  connection: Database.Database,
  query: Query,
  names: readonly string[],
): Database.Statement<Value[], Row> => connection.prepare<Value[], Row>(checked(query, names)).raw();

const checked = (query: Query, names: readonly string[]): string => {
  const { sql, params } = query.toSQL();
  const found = params.map(nameOf);
  if (found.join() !== names.join()) {
    throw new Error(`The query asks for (${found.join()}) and would be given (${names.join()}): ${sql}`);
  }
  return sql;
};

const nameOf = (param: unknown): string => {
  const value: unknown = is(param, Param) ? param.value : param;
  if (is(value, Placeholder)) return value.name;
  throw new Error('A value is written into a prepared query: use a placeholder or a literal.');
};
