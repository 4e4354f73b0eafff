/** A database that cannot be served: the server exits with a clear message and leaves the file unchanged. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CLI, STACK_TRACE, startProgram } from '../../support/crash/cli-process.ts';
import { withTimeout } from '../../support/porchlight-process.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { logIn, fetchUser } from '../support/users.ts';

/** The bytes of a valid database with 40 users, which the tests damage. */
let validDatabase: Buffer;
beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-good-'));
  const server = await startPorchlight({ directory });
  for (let user = 0; user < 40; user++) await logIn(server, `${'a long name '.repeat(8)} ${user}`, 'WEB');
  await server.stop();
  validDatabase = readFileSync(join(directory, 'porchlight.db'));
  rmSync(directory, { recursive: true });
});

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-database-'));
  file = join(directory, 'porchlight.db');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const SECRETS = {
  PORCHLIGHT_JWT_SECRET: 'a secret of these tests, which is long enough',
  PORCHLIGHT_API_KEYS: 'an-api-key-of-these-tests-0123456789',
  PORCHLIGHT_PORT: '0',
};

/** Drops the capability of root that bypasses file permissions. */
const WITHOUT_OVERRIDE =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override', '--inh-caps=-dac_override'] : [];

/** Tries to serve a database. Expects an exit with one of the codes. @returns the error message. */
const expectStartFailure = async (database: string, codes: readonly number[]): Promise<string> => {
  const command = [...WITHOUT_OVERRIDE, process.execPath, CLI, 'serve'];
  const running = startProgram(command, directory, { ...SECRETS, PORCHLIGHT_DATABASE: database });
  try {
    const { code, out, err } = await withTimeout(running.result, 20_000, () => 'The server did not exit.');
    expect(codes, err).toContain(code);
    expect(out).toBe('');
    expect(err).toMatch(/^porchlight: /);
    expect(err).not.toMatch(STACK_TRACE);
    expect(err.split('\n').length, err).toBeLessThan(6);
    expect(err).toContain(dirname(database));
    return err;
  } finally {
    running.kill('SIGKILL');
  }
};

/** A program that holds an exclusive lock on the database and changes nothing. */
const WRITER = `
  import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
  const db = new Database(process.argv[1]);
  db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  console.log('writing');
  setInterval(() => db.inTransaction, 1000);
`;

const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

const withBytesAt = (at: number, bytes: Buffer): Buffer => {
  const copy = Buffer.from(validDatabase);
  bytes.copy(copy, at);
  return copy;
};

/** A database with a migration of a future version. */
const newerDatabase = (): Buffer => {
  writeFileSync(file, validDatabase);
  const db = new Database(file);
  db.prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)').run(
    'of the future',
    4_102_444_800_000,
  );
  db.pragma('journal_mode = DELETE');
  db.close();
  return readFileSync(file);
};

const foreignDatabase = (): Buffer => {
  const db = new Database(file);
  db.exec('CREATE TABLE accounts (id INTEGER PRIMARY KEY); INSERT INTO accounts VALUES (1)');
  db.close();
  return readFileSync(file);
};

describe('the server exits with 1 or 78 and does not change the file', () => {
  const cases: readonly (readonly [string, () => Buffer, RegExp])[] = [
    ['a database of a newer version', newerDatabase, /newer version/],
    ['a database of another program', foreignDatabase, /another program/],
    ['a text file', () => Buffer.from('Dear diary,\n'.repeat(1_000)), /not a database/],
    ['a very short text file', () => Buffer.from('hello\n'), /not a database/],
    ['a database with an overwritten magic header', () => withBytesAt(0, Buffer.alloc(16, 'x')), /not a database/],
    ['a database with a damaged header after the magic', () => withBytesAt(16, Buffer.alloc(52, 0xa5)), /damaged/],
    [
      'a database with a damaged page in the middle',
      () => withBytesAt(4_096 * 3, Buffer.alloc(4_096, 0x5a)),
      /damaged/,
    ],
    ['a database without its last page', () => validDatabase.subarray(0, validDatabase.length - 4_096), /damaged/],
  ];
  test.each(cases)('for %s', async (_name, make, pattern) => {
    const bytes = make();
    writeFileSync(file, bytes);
    const before = hash(file);
    expect(await expectStartFailure(file, [1, 78])).toMatch(pattern);
    expect(hash(file)).toBe(before);
  });

  test('for a database with any one of its first pages damaged', async () => {
    const pages = validDatabase.length / 4_096;
    expect(pages).toBeGreaterThan(8);
    const errors: string[] = [];
    for (let page = 1; page < Math.min(pages, 9); page++) {
      writeFileSync(file, withBytesAt(4_096 * page, Buffer.alloc(4_096, 0xff)));
      const before = hash(file);
      errors.push(await expectStartFailure(file, [1, 78]));
      expect(hash(file)).toBe(before);
    }
    for (const error of errors) expect(error).toMatch(/damaged/);
  });

  test('for a database that another process has locked', async () => {
    writeFileSync(file, validDatabase);
    const before = hash(file);
    // A separate process holds the lock, because a process that reads and closes a file loses its own locks on it.
    const writer = startProgram([process.execPath, '--input-type=module', '-e', WRITER, file], directory);
    try {
      await writer.waitForOutput(/writing/);
      expect(await expectStartFailure(file, [1])).toMatch(/locked/);
    } finally {
      writer.kill('SIGKILL');
    }
    await writer.result;
    expect(hash(file)).toBe(before);
  });

  test('for a database that is read-only', async () => {
    writeFileSync(file, validDatabase);
    const before = hash(file);
    chmodSync(file, 0o444);
    expect(await expectStartFailure(file, [78])).toMatch(/cannot be used/);
    expect(hash(file)).toBe(before);
  });

  test('for a database in a read-only directory', async () => {
    writeFileSync(file, validDatabase);
    const before = hash(file);
    chmodSync(directory, 0o555);
    await expectStartFailure(file, [78]);
    expect(hash(file)).toBe(before);
    expect(readdirSync(directory)).toEqual(['porchlight.db']);
  });
});

describe('the server exits with 78 when the database path', () => {
  test('is a directory', async () => {
    mkdirSync(file);
    await expectStartFailure(file, [78]);
    expect(statSync(file).isDirectory()).toBe(true);
    expect(readdirSync(file)).toEqual([]);
  });

  test('is in a directory that cannot be created', async () => {
    await expectStartFailure('/proc/porchlight/porchlight.db', [78]);
    await expectStartFailure('/proc/porchlight.db', [78]);
  });

  test('is below a file', async () => {
    writeFileSync(join(directory, 'file'), 'text');
    await expectStartFailure(join(directory, 'file', 'porchlight.db'), [78]);
    expect(readFileSync(join(directory, 'file'), 'utf8')).toBe('text');
  });
});

test('the server creates the database in an empty file', async () => {
  writeFileSync(file, '', { mode: 0o600 });
  await using server = await startPorchlight({ directory });
  await logIn(server, 'alice', 'WEB');
  expect(await fetchUser(server, 'alice')).toMatchObject({ status: 'ONLINE' });
});
