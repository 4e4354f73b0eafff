/**
 * Queries written with drizzle, against the tables it knows, and run by the driver itself: prepared
 * once, rows as arrays. Drizzle's own execution takes twice the time per row.
 */
import type Database from 'better-sqlite3';
import { is, Param, Placeholder, sql, type Column, type SQL } from 'drizzle-orm';
import type { SqlRow, SqlValue } from './rows.ts';

interface CompilableQuery {
  toSQL(): { sql: string; params: unknown[] };
}

/** @param names the placeholders in the order in which values will be given; any other order is a fault. */
export const prepareWrite = (
  connection: Database.Database,
  query: CompilableQuery,
  names: readonly string[],
): Database.Statement<SqlValue[]> => connection.prepare<SqlValue[]>(compileQuery(query, names));

/** As `prepareWrite`, for queries: rows come as arrays, in the order of the columns selected. */
export const prepareRead = (
  connection: Database.Database,
  query: CompilableQuery,
  names: readonly string[],
): Database.Statement<SqlValue[], SqlRow> => connection.prepare<SqlValue[], SqlRow>(compileQuery(query, names)).raw();

const compileQuery = (query: CompilableQuery, names: readonly string[]): string => {
  const { sql: text, params } = query.toSQL();
  const actualNames = params.map(placeholderName);
  if (actualNames.join() !== names.join()) {
    throw new Error(`The query asks for (${actualNames.join()}) and would be given (${names.join()}): ${text}`);
  }
  return text;
};

const placeholderName = (param: unknown): string => {
  const value: unknown = is(param, Param) ? param.value : param;
  if (is(value, Placeholder)) return value.name;
  throw new Error('A value is written into a prepared query: use a placeholder or a literal.');
};

/** The columns of a table that are named, in the order named. */
export const pickColumns = <Table extends object, Name extends keyof Table>(
  table: Table,
  names: readonly Name[],
): Pick<Table, Name> => Object.fromEntries(names.map((name) => [name, table[name]])) as Pick<Table, Name>;

/** For what is to be inserted. */
export const insertPlaceholders = <Name extends string>(names: readonly Name[]): Record<Name, Placeholder<Name>> =>
  Object.fromEntries(names.map((name) => [name, sql.placeholder(name)])) as Record<Name, Placeholder<Name>>;

/** For what is there already, and is there for sure. */
export const updatePlaceholders = <Name extends string>(names: readonly Name[]): Record<Name, SQL> =>
  Object.fromEntries(names.map((name) => [name, sql`${sql.placeholder(name)}`])) as Record<Name, SQL>;

/** For what is there already: the values that were to be inserted. */
export const excludedValues = <Name extends string>(
  table: Readonly<Record<Name, Column>>,
  names: readonly Name[],
): Record<Name, SQL> =>
  Object.fromEntries(names.map((name) => [name, sql.raw(`excluded."${table[name].name}"`)])) as Record<Name, SQL>;
