/** Opens the database file of a store, or reports why it cannot be opened. A rejected file is left unchanged. */
import Database from 'better-sqlite3';
import { realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Policy } from '../../core/policy.ts';
import { createDirectory } from '../../process/atomic-file.ts';
import { NO_PAUSES } from '../../core/process-pauses.ts';
import { assertUndamagedInThread } from './file/integrity-check.ts';
import { generateLogId } from './schema/cursors.ts';
import { errorMessage, DatabaseFileError } from './file/errors.ts';
import {
  APPLICATION_ID,
  assertUndamaged,
  toDatabaseFileError,
  inspectFile,
  type FileState,
} from './file/inspect-file.ts';
import { isLargeFile, loadDatabase, type LoadedDatabase } from './load/load.ts';
import { acquireFileLock, createEmptyFile, type FileLock } from './file/file-lock.ts';
import { LOG_ID_KEY, POLICY_KEY } from './schema/meta-keys.ts';
import { applyMigrations } from './schema/migrations.ts';
import { SqliteStore, type StoreOptions } from './store.ts';

type OptionalSetting = 'getProcessPauses' | 'onDiskStateChange' | 'onWarning' | 'recentEventCount' | 'runPeriodicTasks';

export interface SqliteStoreOptions
  extends Omit<StoreOptions, OptionalSetting>, Partial<Pick<StoreOptions, OptionalSetting>> {
  /** The policy for a database that has none yet. A stored policy takes precedence. */
  readonly policySeed: Policy;
}

/**
 * Creates the directory and the file if needed, readable by their owner only. Loads all users who are not OFFLINE and
 * applies the rules for a restart to them.
 * @throws DatabaseFileError
 */
export const openSqliteStore = async (options: SqliteStoreOptions): Promise<SqliteStore> => {
  const path = resolveSymbolicLink(resolve(options.path));
  const defaults = {
    getProcessPauses: () => NO_PAUSES,
    onDiskStateChange: () => undefined,
    onWarning: (error: Error) => process.emitWarning(error),
    recentEventCount: 8_192,
    runPeriodicTasks: true,
  };
  createDirectoryOf(path);
  const lock = acquireFileLock(path);
  try {
    const loaded = await prepareAndLoad(path, options);
    return await SqliteStore.start(loaded, lock, { ...defaults, ...options, path });
  } catch (error) {
    releaseAfterFailure(lock, error);
    throw toDatabaseFileError(path, error);
  }
};

/** Resolves a symbolic link, so that a file has one lock under all its names. */
const resolveSymbolicLink = (path: string): string => {
  try {
    return realpathSync(path);
  } catch {
    // The file does not exist yet, or the inspection of the file reports the error.
    return path;
  }
};

const createDirectoryOf = (path: string): void => {
  const directory = dirname(path);
  try {
    createDirectory(directory);
  } catch (error) {
    throw new DatabaseFileError('UNWRITABLE', `The directory ${directory} cannot be created: ${errorMessage(error)}.`, {
      cause: error,
    });
  }
};

/** Writes nothing to a file before all of it has been checked. */
const prepareAndLoad = async (path: string, { clock, policySeed }: SqliteStoreOptions): Promise<LoadedDatabase> => {
  const state = inspectFile(path);
  if (state !== 'CURRENT') {
    if (state === 'OLDER') assertUndamaged(path);
    prepareFile(path, state, policySeed);
    return loadDatabase(path, clock(), () => undefined);
  }
  const loaded = await loadDatabase(path, clock(), () =>
    isLargeFile(path) ? assertUndamagedInThread(path) : assertUndamaged(path),
  );
  try {
    prepareFile(path, state, policySeed);
    return loaded;
  } catch (error) {
    loaded.reader.close();
    throw error;
  }
};

const prepareFile = (path: string, state: FileState, policySeed: Policy): void => {
  if (state === 'NOTHING') createEmptyFile(path);
  const connection = new Database(path, { fileMustExist: true, timeout: 2_000 });
  try {
    if (state === 'NOTHING') connection.pragma(`application_id = ${APPLICATION_ID}`);
    connection.pragma('journal_mode = WAL');
    connection.pragma('synchronous = FULL');
    // Detects another writer now instead of at the first login.
    connection.exec('BEGIN IMMEDIATE; ROLLBACK');
    applyMigrations(connection);
    const seed = connection.prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING');
    connection
      .transaction(() => {
        seed.run(LOG_ID_KEY, generateLogId());
        seed.run(POLICY_KEY, JSON.stringify(policySeed));
      })
      .immediate();
  } finally {
    connection.close();
  }
};

/** Releases the lock. Also removes a new lock file if the file is foreign or corrupt, so that nothing new remains beside it. */
const releaseAfterFailure = (lock: FileLock, error: unknown): void => {
  lock.release(error instanceof DatabaseFileError && (error.kind === 'FOREIGN' || error.kind === 'CORRUPT'));
};
