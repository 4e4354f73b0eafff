/** What can go wrong with the file, before it is served and while it is. */

export type StorageErrorKind =
  /** Made by a later version of Porchlight. */
  | 'NEWER_SCHEMA'
  /** Somebody else serves it or writes to it. */
  | 'LOCKED'
  /** The directory or the file cannot be made or written. */
  | 'UNWRITABLE'
  /** No database at all, or a damaged one. */
  | 'CORRUPT'
  /** A database of some other program. */
  | 'FOREIGN';

/** The store cannot be opened; the file is as it was. The message is for a person: what is wrong, and what to do. */
export class StorageError extends Error {
  readonly kind: StorageErrorKind;

  constructor(kind: StorageErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StorageError';
    this.kind = kind;
  }
}

export type StoreFailureCode =
  /** The disk refused this one commit (it may be full): nothing has changed, the next one may succeed. */
  | 'NOT_WRITTEN'
  /** The store was closed. */
  | 'CLOSED'
  /** The writer is gone for good: only a restart helps. */
  | 'DEAD';

/** An open store could not do what it was asked; nothing has changed. */
export class StoreFailure extends Error {
  readonly code: StoreFailureCode;

  constructor(code: StoreFailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreFailure';
    this.code = code;
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
