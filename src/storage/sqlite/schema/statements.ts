/**
 * Queries written with drizzle, against the tables it knows, and run by the driver itself: prepared
 * once, rows as arrays. Drizzle's own execution takes twice the time per row.
 */
import type Database from 'better-sqlite3';
import { is, Param, Placeholder, sql, type Column, type SQL } from 'drizzle-orm';
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
  const { sql: text, params } = query.toSQL();
  const found = params.map(nameOf);
  if (found.join() !== names.join()) {
    throw new Error(`The query asks for (${found.join()}) and would be given (${names.join()}): ${text}`);
  }
  return text;
};

const nameOf = (param: unknown): string => {
  const value: unknown = is(param, Param) ? param.value : param;
  if (is(value, Placeholder)) return value.name;
  throw new Error('A value is written into a prepared query: use a placeholder or a literal.');
};

/** The columns of a table that are named, in the order named. */
export const pick = <Table extends object, Name extends keyof Table>(
  table: Table,
  names: readonly Name[],
): Pick<Table, Name> => Object.fromEntries(names.map((name) => [name, table[name]])) as Pick<Table, Name>;

/** For what is to be inserted. */
export const placeholders = <Name extends string>(names: readonly Name[]): Record<Name, Placeholder<Name>> =>
  Object.fromEntries(names.map((name) => [name, sql.placeholder(name)])) as Record<Name, Placeholder<Name>>;

/** For what is there already, and is there for sure. */
export const given = <Name extends string>(names: readonly Name[]): Record<Name, SQL> =>
  Object.fromEntries(names.map((name) => [name, sql`${sql.placeholder(name)}`])) as Record<Name, SQL>;

/** For what is there already: the values that were to be inserted. */
export const excluded = <Name extends string>(
  table: Readonly<Record<Name, Column>>,
  names: readonly Name[],
): Record<Name, SQL> =>
  Object.fromEntries(names.map((name) => [name, sql.raw(`excluded."${table[name].name}"`)])) as Record<Name, SQL>;
