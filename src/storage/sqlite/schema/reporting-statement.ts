import type Database from 'better-sqlite3';
import type { Row, Value } from './rows.ts';

/** A query that tells of what it throws, before it throws it. */
export class WatchedStatement {
  readonly #statement: Database.Statement<Value[], Row>;
  readonly #onFault: (error: unknown) => void;

  constructor(statement: Database.Statement<Value[], Row>, onFault: (error: unknown) => void) {
    this.#statement = statement;
    this.#onFault = onFault;
  }

  get(...values: Value[]): Row | undefined {
    try {
      return this.#statement.get(...values);
    } catch (error) {
      this.#onFault(error);
      throw error;
    }
  }

  all(...values: Value[]): Row[] {
    try {
      return this.#statement.all(...values);
    } catch (error) {
      this.#onFault(error);
      throw error;
    }
  }

  *iterate(...values: Value[]): IterableIterator<Row> {
    try {
      yield* this.#statement.iterate(...values);
    } catch (error) {
      this.#onFault(error);
      throw error;
    }
  }
}
