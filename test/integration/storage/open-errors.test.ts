/** A file that cannot be served is refused with a reason, and left as it is to the byte. */
import Database from 'better-sqlite3';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DatabaseFileError, type DatabaseFileErrorKind } from '../../../src/storage/sqlite/file/errors.ts';
import { login, run, user } from '../../contract/commands.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const newPath = (): string => join(newDirectory(), 'presence.db');

/** By another process: to read a file that SQLite has open here would let go of its locks. */
const hashOf = (path: string): string => execFileSync('sha256sum', ['--', path], { encoding: 'utf8' });

const refusal = async (path: string): Promise<DatabaseFileError> => {
  try {
    const store = await openQuietly(path);
    await store.close();
  } catch (error) {
    if (error instanceof DatabaseFileError) return error;
    throw error;
  }
  throw new Error('The file was opened.');
};

/** But for the empty files that any reader of a database in WAL mode makes beside it. */
const filesBeside = (path: string): readonly string[] =>
  readdirSync(dirname(path)).filter(
    (name) => !name.endsWith('-shm') && !(name.endsWith('-wal') && statSync(join(dirname(path), name)).size === 0),
  );

const expectUntouched = async (path: string, kind: DatabaseFileErrorKind, says: string): Promise<void> => {
  const before = { hash: hashOf(path), files: filesBeside(path) };
  const error = await refusal(path);
  expect(error).toMatchObject({ kind });
  expect(error.message).toContain(path);
  expect(error.message).toContain(says);
  expect({ hash: hashOf(path), files: filesBeside(path) }).toEqual(before);
};

/** A database that was served and closed. */
const served = async (users = 1): Promise<string> => {
  const path = newPath();
  const store = await openQuietly(path);
  await Promise.all(Array.from({ length: users }, (_, index) => run(store, user(`user ${index}`), login(`s${index}`))));
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

describe('a file is refused and left untouched when it is', () => {
  it('of a newer schema', async () => {
    const path = await served();
    withDatabase(path, (database) => {
      database.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('from the future', 9999999999999)");
    });
    await expectUntouched(path, 'NEWER_SCHEMA', 'newer version');
  });

  it('of a schema that branched off: a migration this version does not know, older than its own', async () => {
    const path = await served();
    withDatabase(path, (database) => {
      database.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('of a branch', 1)");
    });
    await expectUntouched(path, 'NEWER_SCHEMA', 'newer version');
  });

  it('no database', async () => {
    for (const content of ['hello', 'x'.repeat(100_000), 'SQLite format 2\0'.padEnd(200)]) {
      const path = newPath();
      writeFileSync(path, content);
      await expectUntouched(path, 'CORRUPT', 'not a database');
    }
  });

  it('another program’s database', async () => {
    for (const mode of ['delete', 'wal']) {
      const path = newPath();
      withDatabase(path, (database) => {
        database.pragma(`journal_mode = ${mode}`);
        database.exec('CREATE TABLE users (name TEXT)');
      });
      await expectUntouched(path, 'FOREIGN', 'another program');
    }
  });

  it('damaged: a page is overwritten, be it one that opening has no need of', async () => {
    const kinds = ['small', 'large', 'of an older schema'];
    for (const kind of kinds) {
      for (const [table, named] of [
        ['users', 'the table users'],
        ['sessions', 'the table sessions'],
        ['events', 'the table events'],
        ['events_of_user', 'the index events_of_user of the table events'],
      ]) {
        if (table === 'events_of_user' && kind !== 'small') continue;
        const path = await served(500);
        let page: unknown;
        withDatabase(path, (database) => {
          page = database.prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'").pluck().get(table);
          // Were it written to before it was checked, this would be put in again.
          database.exec("DELETE FROM meta WHERE key = 'policy'");
          if (kind === 'large') database.prepare('INSERT INTO meta VALUES (?, ?)').run('much', 'x'.repeat(40 << 20));
          if (kind === 'of an older schema') database.exec('DELETE FROM __drizzle_migrations');
        });
        // Page 1 is the first.
        const where = [`of=${path}`, 'bs=4096', `seek=${Number(page) - 1}`, 'conv=notrunc', 'status=none'];
        execFileSync('dd', where, { input: Buffer.alloc(4_096, 0xa5) });
        // What SQLite's check says, not what reading stumbles over, and where that is.
        await expectUntouched(path, 'CORRUPT', `damaged: ${named} (Tree `);
      }
    }
  });

  it('damaged: it was cut off', async () => {
    const path = await served(500);
    truncateSync(path, 4_096 * 3);
    await expectUntouched(path, 'CORRUPT', 'damaged');
  });

  it('being written by another process', async () => {
    const path = await served();
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    try {
      const before = hashOf(path);
      const error = await refusal(path);
      expect(error).toMatchObject({ kind: 'LOCKED' });
      expect(error.message).toContain('another process');
      expect(hashOf(path)).toBe(before);
    } finally {
      other.exec('ROLLBACK');
      other.close();
    }
    await (await openQuietly(path)).close();
  });

  it('served already, and can be served when that one is closed', async () => {
    const path = newPath();
    const first = await openQuietly(path);
    await run(first, user('alice'), login('a1'));
    const before = hashOf(path);
    const error = await refusal(path);
    expect(error).toMatchObject({ kind: 'LOCKED' });
    expect(error.message).toContain('another Porchlight');
    expect(hashOf(path)).toBe(before);
    // The first one is none the worse for it.
    await run(first, user('alice'), login('a2', 'WEB'));
    await first.close();
    const second = await openQuietly(path);
    expect((await second.readUsers([user('alice')]))[0]?.version).toBe(1);
    await second.close();
  });

  it('a directory', async () => {
    const path = newPath();
    mkdirSync(path);
    expect(await refusal(path)).toMatchObject({ kind: 'UNWRITABLE' });
    expect(readdirSync(path)).toEqual([]);
  });

  it('below a file', async () => {
    const path = newPath();
    writeFileSync(path, '');
    const below = join(path, 'deeper', 'presence.db');
    const error = await refusal(below);
    expect(error).toMatchObject({ kind: 'UNWRITABLE' });
    expect(error.message).toContain(dirname(below));
    expect(statSync(path).size).toBe(0);
  });

  it('in a place where nothing can be made', async () => {
    expect(await refusal('/proc/porchlight/presence.db')).toMatchObject({ kind: 'UNWRITABLE' });
    expect(await refusal('/proc/presence.db')).toMatchObject({ kind: 'UNWRITABLE' });
  });
});

describe('a new database', () => {
  it('is made with its directory, for its owner only', async () => {
    const directory = join(newDirectory(), 'some', 'where');
    const path = join(directory, 'presence.db');
    const store = await openQuietly(path);
    await run(store, user('alice'), login('a1'));
    const modes = readdirSync(directory).map((name) => [name, statSync(join(directory, name)).mode & 0o777]);
    expect(modes).toEqual([
      ['presence.db', 0o600],
      ['presence.db-shm', 0o600],
      ['presence.db-wal', 0o600],
      ['presence.db.lock', 0o600],
    ]);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    await store.close();
    // The write-ahead log is folded in: the file alone is the database.
    expect(readdirSync(directory)).toEqual(['presence.db', 'presence.db.lock']);
  });

  it('may take the place of an empty file', async () => {
    const path = newPath();
    writeFileSync(path, '');
    const store = await openQuietly(path);
    await run(store, user('alice'), login('a1'));
    await store.close();
    expect(existsSync(path)).toBe(true);
    const again = await openQuietly(path);
    expect(again.getPresenceCounts().usersOnline).toBe(1);
    await again.close();
  });

  it('has a log of its own: cursors of another database are refused', async () => {
    const [one, other] = [await openQuietly(newPath()), await openQuietly(newPath())];
    await expect(
      one.eventLog.readEvents({ after: await other.eventLog.getLatestCursor(), limit: 1 }),
    ).rejects.toMatchObject({
      details: { code: 'BAD_USER_INPUT' },
    });
    await Promise.all([one.close(), other.close()]);
  });
});
