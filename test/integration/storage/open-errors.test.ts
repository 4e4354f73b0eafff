/** A file that cannot be used is rejected with a reason and left unchanged, byte for byte. */
import Database from 'better-sqlite3';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DatabaseFileError, type DatabaseFileErrorKind } from '../../../src/storage/sqlite/file/errors.ts';
import { login, runCommand, user } from '../../contract/commands.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const newPath = (): string => join(newDirectory(), 'presence.db');

/** Done by another process: reading a file that SQLite has open here would release its locks. */
const hashOf = (path: string): string => execFileSync('sha256sum', ['--', path], { encoding: 'utf8' });

const openRejected = async (path: string): Promise<DatabaseFileError> => {
  try {
    const store = await openQuietly(path);
    await store.close();
  } catch (error) {
    if (error instanceof DatabaseFileError) return error;
    throw error;
  }
  throw new Error('The file was opened.');
};

/** Lists the files, except the empty ones that any reader of a database in WAL mode creates. */
const filesBeside = (path: string): readonly string[] =>
  readdirSync(dirname(path)).filter(
    (name) => !name.endsWith('-shm') && !(name.endsWith('-wal') && statSync(join(dirname(path), name)).size === 0),
  );

const expectUntouched = async (path: string, kind: DatabaseFileErrorKind, text: string): Promise<void> => {
  const before = { hash: hashOf(path), files: filesBeside(path) };
  const error = await openRejected(path);
  expect(error).toMatchObject({ kind });
  expect(error.message).toContain(path);
  expect(error.message).toContain(text);
  expect({ hash: hashOf(path), files: filesBeside(path) }).toEqual(before);
};

/** Creates a database with a store and closes it. */
const createServedFile = async (users = 1): Promise<string> => {
  const path = newPath();
  const store = await openQuietly(path);
  await Promise.all(
    Array.from({ length: users }, (_, index) => runCommand(store, user(`user ${index}`), login(`s${index}`))),
  );
  await store.close();
  return path;
};

const withDatabase = (path: string, work: (database: Database.Database) => void): void => {
  const database = new Database(path);
  try {
    work(database);
  } finally {
    database.close();
  }
};

describe('a file is rejected and left unchanged when it', () => {
  it('has a newer schema', async () => {
    const path = await createServedFile();
    withDatabase(path, (database) => {
      database.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('newer', 9999999999999)");
    });
    await expectUntouched(path, 'NEWER_SCHEMA', 'newer version');
  });

  it('has an unknown migration that is older than the current schema', async () => {
    const path = await createServedFile();
    withDatabase(path, (database) => {
      database.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('unknown', 1)");
    });
    await expectUntouched(path, 'NEWER_SCHEMA', 'newer version');
  });

  it('is not a database', async () => {
    for (const content of ['hello', 'x'.repeat(100_000), 'SQLite format 2\0'.padEnd(200)]) {
      const path = newPath();
      writeFileSync(path, content);
      await expectUntouched(path, 'CORRUPT', 'not a database');
    }
  });

  it('is a database of another program', async () => {
    for (const mode of ['delete', 'wal']) {
      const path = newPath();
      withDatabase(path, (database) => {
        database.pragma(`journal_mode = ${mode}`);
        database.exec('CREATE TABLE users (name TEXT)');
      });
      await expectUntouched(path, 'FOREIGN', 'another program');
    }
  });

  it('has a damaged page, even one that opening does not read', async () => {
    const kinds = ['small', 'large', 'older schema'];
    for (const kind of kinds) {
      for (const [table, named] of [
        ['users', 'the table users'],
        ['sessions', 'the table sessions'],
        ['events', 'the table events'],
        ['events_of_user', 'the index events_of_user of the table events'],
      ]) {
        if (table === 'events_of_user' && kind !== 'small') continue;
        const path = await createServedFile(500);
        let page: unknown;
        withDatabase(path, (database) => {
          page = database.prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'").pluck().get(table);
          // Writing to the file before it is checked would insert this again.
          database.exec("DELETE FROM meta WHERE key = 'policy'");
          if (kind === 'large') database.prepare('INSERT INTO meta VALUES (?, ?)').run('much', 'x'.repeat(40 << 20));
          if (kind === 'older schema') database.exec('DELETE FROM __drizzle_migrations');
        });
        // Page numbers start at 1.
        const where = [`of=${path}`, 'bs=4096', `seek=${Number(page) - 1}`, 'conv=notrunc', 'status=none'];
        execFileSync('dd', where, { input: Buffer.alloc(4_096, 0xa5) });
        // Expects the result of SQLite's check and its location, not an error of reading.
        await expectUntouched(path, 'CORRUPT', `damaged: ${named} (Tree `);
      }
    }
  });

  it('is truncated', async () => {
    const path = await createServedFile(500);
    truncateSync(path, 4_096 * 3);
    await expectUntouched(path, 'CORRUPT', 'damaged');
  });

  it('is being written by another process', async () => {
    const path = await createServedFile();
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    try {
      const before = hashOf(path);
      const error = await openRejected(path);
      expect(error).toMatchObject({ kind: 'LOCKED' });
      expect(error.message).toContain('another process');
      expect(hashOf(path)).toBe(before);
    } finally {
      other.exec('ROLLBACK');
      other.close();
    }
    await (await openQuietly(path)).close();
  });

  it('is served by another store, and can be opened after that store is closed', async () => {
    const path = newPath();
    const first = await openQuietly(path);
    await runCommand(first, user('alice'), login('a1'));
    const before = hashOf(path);
    const error = await openRejected(path);
    expect(error).toMatchObject({ kind: 'LOCKED' });
    expect(error.message).toContain('another Porchlight');
    expect(hashOf(path)).toBe(before);
    // The first store is not affected.
    await runCommand(first, user('alice'), login('a2', 'WEB'));
    await first.close();
    const second = await openQuietly(path);
    expect((await second.readUsers([user('alice')]))[0]?.version).toBe(1);
    await second.close();
  });

  it('is a directory', async () => {
    const path = newPath();
    mkdirSync(path);
    expect(await openRejected(path)).toMatchObject({ kind: 'UNWRITABLE' });
    expect(readdirSync(path)).toEqual([]);
  });

  it('is below a regular file', async () => {
    const path = newPath();
    writeFileSync(path, '');
    const below = join(path, 'deeper', 'presence.db');
    const error = await openRejected(below);
    expect(error).toMatchObject({ kind: 'UNWRITABLE' });
    expect(error.message).toContain(dirname(below));
    expect(statSync(path).size).toBe(0);
  });

  it('is in a place where no file can be created', async () => {
    expect(await openRejected('/proc/porchlight/presence.db')).toMatchObject({ kind: 'UNWRITABLE' });
    expect(await openRejected('/proc/presence.db')).toMatchObject({ kind: 'UNWRITABLE' });
  });
});

describe('a new database', () => {
  it('is created with its directory, readable by its owner only', async () => {
    const directory = join(newDirectory(), 'some', 'where');
    const path = join(directory, 'presence.db');
    const store = await openQuietly(path);
    await runCommand(store, user('alice'), login('a1'));
    const modes = readdirSync(directory).map((name) => [name, statSync(join(directory, name)).mode & 0o777]);
    expect(modes).toEqual([
      ['presence.db', 0o600],
      ['presence.db-shm', 0o600],
      ['presence.db-wal', 0o600],
      ['presence.db.lock', 0o600],
    ]);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    await store.close();
    // The write-ahead log is checkpointed and removed: the database is a single file.
    expect(readdirSync(directory)).toEqual(['presence.db', 'presence.db.lock']);
  });

  it('replaces an empty file', async () => {
    const path = newPath();
    writeFileSync(path, '');
    const store = await openQuietly(path);
    await runCommand(store, user('alice'), login('a1'));
    await store.close();
    expect(existsSync(path)).toBe(true);
    const again = await openQuietly(path);
    expect(again.getPresenceCounts().usersOnline).toBe(1);
    await again.close();
  });

  it('rejects cursors of another database', async () => {
    const [one, other] = [await openQuietly(newPath()), await openQuietly(newPath())];
    await expect(
      one.eventLog.readEvents({ after: await other.eventLog.getLatestCursor(), limit: 1 }),
    ).rejects.toMatchObject({
      details: { code: 'BAD_USER_INPUT' },
    });
    await Promise.all([one.close(), other.close()]);
  });
});
