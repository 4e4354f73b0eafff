/** Creates databases in temporary directories, which are removed after the tests of a file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { DEFAULT_POLICY } from '../../../../src/core/policy.ts';
import { openSqliteStore, type SqliteStoreOptions } from '../../../../src/storage/sqlite/open.ts';
import type { SqliteStore } from '../../../../src/storage/sqlite/store.ts';
import { VirtualClock } from '../../../contract/virtual-clock.ts';

/**
 * Call it once, at the top of a test file.
 * @returns a function that creates a new directory on each call.
 */
export const temporaryDirectories = (): (() => string) => {
  const made: string[] = [];
  afterAll(() => {
    for (const directory of made) rmSync(directory, { recursive: true, force: true });
  });
  return () => {
    const directory = mkdtempSync(join(tmpdir(), 'porchlight-'));
    made.push(directory);
    return directory;
  };
};

/** Opens a store without periodic tasks, whose failure fails the test. */
export const openQuietly = (path: string, options: Partial<SqliteStoreOptions> = {}): Promise<SqliteStore> =>
  openSqliteStore({
    path,
    clock: new VirtualClock().now,
    policySeed: DEFAULT_POLICY,
    eventRetentionMs: 30 * 86_400_000,
    runPeriodicTasks: false,
    onFailure: (error) => {
      throw error;
    },
    ...options,
  });
