import type Database from 'better-sqlite3';
import type { SqlRow, SqlValue } from './rows.ts';

/** A prepared query that reports each error to `onError` before it throws it. */
export class ReportingStatement {
  readonly #statement: Database.Statement<SqlValue[], SqlRow>;
  readonly #onError: (error: unknown) => void;

  constructor(statement: Database.Statement<SqlValue[], SqlRow>, onError: (error: unknown) => void) {
    this.#statement = statement;
    this.#onError = onError;
  }

  get(...values: SqlValue[]): SqlRow | undefined {
    try {
      return this.#statement.get(...values);
    } catch (error) {
      this.#onError(error);
      throw error;
    }
  }

  all(...values: SqlValue[]): SqlRow[] {
    try {
      return this.#statement.all(...values);
    } catch (error) {
      this.#onError(error);
      throw error;
    }
  }

  *iterate(...values: SqlValue[]): IterableIterator<SqlRow> {
    try {
      yield* this.#statement.iterate(...values);
    } catch (error) {
      this.#onError(error);
      throw error;
    }
  }
}
