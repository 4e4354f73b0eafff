/**
 * Prepares queries written with drizzle and runs them with the driver itself, with rows as arrays. The execution of
 * drizzle takes twice as long per row.
 */
import type Database from 'better-sqlite3';
import { is, Param, Placeholder, sql, type Column, type SQL } from 'drizzle-orm';
import type { SqlRow, SqlValue } from './rows.ts';

interface CompilableQuery {
  toSQL(): { sql: string; params: unknown[] };
}

/** @param names the placeholders in the order in which values are passed. Any other order throws an Error. */
export const prepareWrite = (
  connection: Database.Database,
  query: CompilableQuery,
  names: readonly string[],
): Database.Statement<SqlValue[]> => connection.prepare<SqlValue[]>(compileQuery(query, names));

/** Like `prepareWrite`, for queries. Rows are arrays in the order of the selected columns. */
export const prepareRead = (
  connection: Database.Database,
  query: CompilableQuery,
  names: readonly string[],
): Database.Statement<SqlValue[], SqlRow> => connection.prepare<SqlValue[], SqlRow>(compileQuery(query, names)).raw();

const compileQuery = (query: CompilableQuery, names: readonly string[]): string => {
  const { sql: text, params } = query.toSQL();
  const actualNames = params.map(placeholderName);
  if (actualNames.join() !== names.join()) {
    throw new Error(
      `The query has the placeholders (${actualNames.join()}), but values are passed for (${names.join()}): ${text}`,
    );
  }
  return text;
};

const placeholderName = (param: unknown): string => {
  const value: unknown = is(param, Param) ? param.value : param;
  if (is(value, Placeholder)) return value.name;
  throw new Error('A prepared query contains a value. Use a placeholder or a literal instead.');
};

/** Selects the named columns of a table, in the given order. */
export const pickColumns = <Table extends object, Name extends keyof Table>(
  table: Table,
  names: readonly Name[],
): Pick<Table, Name> => Object.fromEntries(names.map((name) => [name, table[name]])) as Pick<Table, Name>;

/** Placeholders for the values of an INSERT. */
export const insertPlaceholders = <Name extends string>(names: readonly Name[]): Record<Name, Placeholder<Name>> =>
  Object.fromEntries(names.map((name) => [name, sql.placeholder(name)])) as Record<Name, Placeholder<Name>>;

/** Placeholders for the SET clause of an UPDATE. */
export const updatePlaceholders = <Name extends string>(names: readonly Name[]): Record<Name, SQL> =>
  Object.fromEntries(names.map((name) => [name, sql`${sql.placeholder(name)}`])) as Record<Name, SQL>;

/** For the SET clause of an upsert: the values that the INSERT would have written. */
export const excludedValues = <Name extends string>(
  table: Readonly<Record<Name, Column>>,
  names: readonly Name[],
): Record<Name, SQL> =>
  Object.fromEntries(names.map((name) => [name, sql.raw(`excluded."${table[name].name}"`)])) as Record<Name, SQL>;
