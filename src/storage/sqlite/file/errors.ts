/** The errors of the database file, at startup and while it is open. */
import Database from 'better-sqlite3';
import { DEFAULT_RETRY_AFTER_MS, DomainError } from '../../../core/errors.ts';

export type DatabaseFileErrorKind =
  /** Created by a later version of Porchlight. */
  | 'NEWER_SCHEMA'
  /** Another process serves the file or writes to it. */
  | 'LOCKED'
  /** The directory or the file cannot be created or written. */
  | 'UNWRITABLE'
  /** The disk is full or broken. */
  | 'DISK'
  /** Not a database, or a damaged one. */
  | 'CORRUPT'
  /** A database of another program. */
  | 'FOREIGN';

/**
 * The database file cannot be opened or read. The file is unchanged. The message is for the operator: what is wrong,
 * and what to do.
 */
export class DatabaseFileError extends Error {
  readonly kind: DatabaseFileErrorKind;

  constructor(kind: DatabaseFileErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DatabaseFileError';
    this.kind = kind;
  }

  /** Can the problem go away by itself? Other kinds need another setting or another file. */
  get isTransient(): boolean {
    return this.kind === 'LOCKED' || this.kind === 'DISK';
  }
}

const DISK_ERRORS = /^(SQLITE_FULL|SQLITE_IOERR|ENOSPC|EDQUOT|EIO)/;

/** Converts an error that the disk caused. Null: the disk did not cause it. */
export const toDiskError = (path: string, error: unknown): DatabaseFileError | null => {
  const { code } = error as { readonly code?: unknown };
  if (!(error instanceof Error) || typeof code !== 'string' || !DISK_ERRORS.test(code)) return null;
  const problem = `The disk failed at ${path}: ${error.message} (${code}).`;
  return new DatabaseFileError('DISK', `${problem}\nIf it is full, free some space; then start again.`, {
    cause: error,
  });
};

export type StoreUnavailableErrorCode =
  /** The store was closed. */
  | 'CLOSED'
  /** The writer has failed for good. Only a restart helps. */
  | 'DEAD';

/** The store cannot serve any calls. Nothing was changed by the rejected call. */
export class StoreUnavailableError extends Error {
  readonly code: StoreUnavailableErrorCode;

  constructor(code: StoreUnavailableErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreUnavailableError';
    this.code = code;
  }
}

/**
 * The disk rejected one commit: it is full, or another process is writing to the file. Nothing has changed, and the
 * next commit may succeed. The client receives OVERLOADED with a retry time, not the error of the disk.
 */
export class WriteRejectedError extends DomainError {
  readonly code = 'NOT_WRITTEN';

  constructor(reason: string) {
    super(
      { code: 'OVERLOADED', retryAfterMs: DEFAULT_RETRY_AFTER_MS },
      'Nothing can be written at the moment. Try again later.',
    );
    this.cause = new Error(reason);
  }
}

/**
 * Returns whether the file can no longer be trusted after this error. A failed fsync may have dropped pages that a
 * later fsync does not report.
 */
export const isFatalDatabaseError = (error: unknown): boolean =>
  error instanceof FileReplacedError ||
  (error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB|IOERR_FSYNC|IOERR_DIR_FSYNC)/.test(error.code));

/** The open file is no longer the one at its path. Anything written to it would be lost. */
export class FileReplacedError extends Error {
  constructor(path: string) {
    super(`${path} was removed or replaced while it was open`);
    this.name = 'FileReplacedError';
  }
}

export const errorMessage = (error: unknown): string => (error instanceof Error ? error.message : String(error));
