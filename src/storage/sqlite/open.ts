/** Opens the file, or says why not; a file that is refused is left as it was, to the byte. */
import Database from 'better-sqlite3';
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Policy } from '../../core/policy.ts';
import { NO_SLEEPS } from '../../core/process-pauses.ts';
import { checkPagesInThread } from './file/integrity-check.ts';
import { newLogId } from './schema/cursors.ts';
import { messageOf, StorageError } from './file/errors.ts';
import { APPLICATION_ID, checkPages, fileError, inspectFile, type Found } from './file/inspect-file.ts';
import { isLarge, loadFile, type Loaded } from './load/load.ts';
import { lockFile, makeFile, type FileLock } from './file/file-lock.ts';
import { LOG_ID, POLICY } from './schema/meta-keys.ts';
import { applyMigrations } from './schema/migrations.ts';
import { SqliteStore, type StoreOptions } from './store.ts';

type Optional = 'sleeps' | 'onDisk' | 'onWarning' | 'recentEvents' | 'background';

export interface SqliteStoreOptions extends Omit<StoreOptions, Optional>, Partial<Pick<StoreOptions, Optional>> {
  /** The policy of a database that has none yet; what is stored wins. */
  readonly policySeed: Policy;
}

/**
 * Makes the directory and the file if need be, readable by their owner only. Users who are not OFFLINE
 * are as `afterRestart` says.
 * @throws StorageError
 */
export const openSqliteStore = async (options: SqliteStoreOptions): Promise<SqliteStore> => {
  const path = theFileItself(resolve(options.path));
  const defaults = {
    sleeps: () => NO_SLEEPS,
    onDisk: () => undefined,
    onWarning: (error: Error) => process.emitWarning(error),
    recentEvents: 8_192,
    background: true,
  };
  makeDirectory(path);
  const lock = lockFile(path);
  try {
    const loaded = await loadedFrom(path, options);
    return await SqliteStore.start(loaded, lock, { ...defaults, ...options, path });
  } catch (error) {
    refuse(lock, error);
    throw fileError(path, error);
  }
};

/** Where a symbolic link leads: a file has one lock, by whatever name it is opened. */
const theFileItself = (path: string): string => {
  try {
    return realpathSync(path);
  } catch {
    // There is none yet; or why it cannot be had is said when it is looked at.
    return path;
  }
};

const makeDirectory = (path: string): void => {
  const directory = dirname(path);
  try {
    makeAll(directory);
  } catch (error) {
    throw new StorageError('UNWRITABLE', `The directory ${directory} cannot be made: ${messageOf(error)}.`, {
      cause: error,
    });
  }
};

/** Not mkdir's own `recursive`: where nothing can be made, as in /proc, Node 20 never comes back from that. */
const makeAll = (directory: string): void => {
  if (existsSync(directory)) return;
  makeAll(dirname(directory));
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
};

/** Nothing is written to a file before all of it was looked at. */
const loadedFrom = async (path: string, { clock, policySeed }: SqliteStoreOptions): Promise<Loaded> => {
  const found = inspectFile(path);
  if (found !== 'CURRENT') {
    if (found === 'OLDER') checkPages(path);
    prepareFile(path, found, policySeed);
    return loadFile(path, clock(), () => undefined);
  }
  const loaded = await loadFile(path, clock(), () => (isLarge(path) ? checkPagesInThread(path) : checkPages(path)));
  try {
    prepareFile(path, found, policySeed);
    return loaded;
  } catch (error) {
    loaded.reader.close();
    throw error;
  }
};

const prepareFile = (path: string, found: Found, policySeed: Policy): void => {
  if (found === 'NOTHING') makeFile(path);
  const connection = new Database(path, { fileMustExist: true, timeout: 2_000 });
  try {
    if (found === 'NOTHING') connection.pragma(`application_id = ${APPLICATION_ID}`);
    connection.pragma('journal_mode = WAL');
    connection.pragma('synchronous = FULL');
    // Somebody else who is writing shows now, not at the first login.
    connection.exec('BEGIN IMMEDIATE; ROLLBACK');
    applyMigrations(connection);
    const seed = connection.prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING');
    connection
      .transaction(() => {
        seed.run(LOG_ID, newLogId());
        seed.run(POLICY, JSON.stringify(policySeed));
      })
      .immediate();
  } finally {
    connection.close();
  }
};

/** Whoever named another program's file, or none at all, finds nothing new beside it. */
const refuse = (lock: FileLock, error: unknown): void => {
  lock.release(error instanceof StorageError && (error.kind === 'FOREIGN' || error.kind === 'CORRUPT'));
};
