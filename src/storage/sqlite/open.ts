/** Opens the file, or says why not; a file that is refused is left as it was, to the byte. */
import Database from 'better-sqlite3';
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Policy } from '../../core/policy.ts';
import { NO_SLEEPS } from '../../core/process-pauses.ts';
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

type OptionalSetting = 'processPauses' | 'onDiskStateChange' | 'onWarning' | 'recentEventCount' | 'runPeriodicTasks';

export interface SqliteStoreOptions
  extends Omit<StoreOptions, OptionalSetting>, Partial<Pick<StoreOptions, OptionalSetting>> {
  /** The policy of a database that has none yet; what is stored wins. */
  readonly policySeed: Policy;
}

/**
 * Makes the directory and the file if need be, readable by their owner only. Users who are not OFFLINE
 * are as `afterRestart` says.
 * @throws StorageError
 */
export const openSqliteStore = async (options: SqliteStoreOptions): Promise<SqliteStore> => {
  const path = resolveSymbolicLink(resolve(options.path));
  const defaults = {
    processPauses: () => NO_SLEEPS,
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

/** Where a symbolic link leads: a file has one lock, by whatever name it is opened. */
const resolveSymbolicLink = (path: string): string => {
  try {
    return realpathSync(path);
  } catch {
    // There is none yet; or why it cannot be had is said when it is looked at.
    return path;
  }
};

const createDirectoryOf = (path: string): void => {
  const directory = dirname(path);
  try {
    createDirectory(directory);
  } catch (error) {
    throw new DatabaseFileError('UNWRITABLE', `The directory ${directory} cannot be made: ${errorMessage(error)}.`, {
      cause: error,
    });
  }
};

/** Not mkdir's own `recursive`: where nothing can be made, as in /proc, Node 20 never comes back from that. */
const createDirectory = (directory: string): void => {
  if (existsSync(directory)) return;
  createDirectory(dirname(directory));
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
};

/** Nothing is written to a file before all of it was looked at. */
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
    // Somebody else who is writing shows now, not at the first login.
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

/** Whoever named another program's file, or none at all, finds nothing new beside it. */
const releaseAfterFailure = (lock: FileLock, error: unknown): void => {
  lock.release(error instanceof DatabaseFileError && (error.kind === 'FOREIGN' || error.kind === 'CORRUPT'));
};
