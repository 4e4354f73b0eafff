/** What can go wrong with the file, before it is served and while it is. */
import Database from 'better-sqlite3';
import { DomainError } from '../../../core/errors.ts';

export type DatabaseFileErrorKind =
  /** Made by a later version of Porchlight. */
  | 'NEWER_SCHEMA'
  /** Somebody else serves it or writes to it. */
  | 'LOCKED'
  /** The directory or the file cannot be made or written. */
  | 'UNWRITABLE'
  /** The disk is full or broken. */
  | 'DISK'
  /** No database at all, or a damaged one. */
  | 'CORRUPT'
  /** A database of some other program. */
  | 'FOREIGN';

/** The store cannot be opened; the file is as it was. The message is for a person: what is wrong, and what to do. */
export class DatabaseFileError extends Error {
  readonly kind: DatabaseFileErrorKind;

  constructor(kind: DatabaseFileErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StorageError';
    this.kind = kind;
  }

  /** Can it get better by itself? The others want another setting or another file. */
  get isTransient(): boolean {
    return this.kind === 'LOCKED' || this.kind === 'DISK';
  }
}

const DISK_ERRORS = /^(SQLITE_FULL|SQLITE_IOERR|ENOSPC|EDQUOT|EIO)/;

/** What SQLite or the system says is the disk's fault. Null: it is not. */
export const toDiskError = (path: string, error: unknown): DatabaseFileError | null => {
  const { code } = error as { readonly code?: unknown };
  if (!(error instanceof Error) || typeof code !== 'string' || !DISK_ERRORS.test(code)) return null;
  const words = `The disk fails at ${path}: ${error.message} (${code}).`;
  return new DatabaseFileError('DISK', `${words}\nIf it is full, make room; then start again.`, { cause: error });
};

export type StoreUnavailableCode =
  /** The store was closed. */
  | 'CLOSED'
  /** The writer is gone for good: only a restart helps. */
  | 'DEAD';

/** An open store could not do what it was asked; nothing has changed. */
export class StoreUnavailable extends Error {
  readonly code: StoreUnavailableCode;

  constructor(code: StoreUnavailableCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreFailure';
    this.code = code;
  }
}

/** How soon it is worth trying again. */
const RETRY_AFTER_MS = 1_000;

/**
 * The disk refused this one commit (it is full, or somebody else is writing to the file): nothing has
 * changed, the next one may succeed. Whoever asked is told to come again, and not what the disk said.
 */
export class WriteRejected extends DomainError {
  readonly code = 'NOT_WRITTEN';

  constructor(why: string) {
    super(
      { code: 'OVERLOADED', retryAfterMs: RETRY_AFTER_MS },
      'Nothing can be written at the moment. Try again later.',
    );
    this.cause = new Error(why);
  }
}

/**
 * After these the file cannot be trusted to hold what is written next, nor what was. A failed fsync may have
 * dropped pages which the next one will not report again.
 */
export const isFatalDatabaseError = (error: unknown): boolean =>
  error instanceof FileReplaced ||
  (error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB|IOERR_FSYNC|IOERR_DIR_FSYNC)/.test(error.code));

/** The file that is served is not the one that is there (any more): what is written to it would be lost. */
export class FileReplaced extends Error {
  constructor(path: string) {
    super(`${path} was removed or replaced while it was served`);
    this.name = 'FileGone';
  }
}

export const errorMessage = (error: unknown): string => (error instanceof Error ? error.message : String(error));
