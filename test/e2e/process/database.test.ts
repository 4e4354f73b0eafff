/** A database that cannot be served: said in words, with an exit code, and left as it is. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CLI, STACK_TRACE, startProgram } from '../../support/crash/crash-command.ts';
import { withTimeout } from '../../support/porchlight-process.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { logIn, fetchUser } from '../support/users.ts';

/** A database with something in it, as a server left it: its pages, to be spoiled in many ways. */
let good: Buffer;
beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-good-'));
  const server = await startPorchlight({ directory });
  for (let user = 0; user < 40; user++) await logIn(server, `${'a long name '.repeat(8)} ${user}`, 'WEB');
  await server.stop();
  good = readFileSync(join(directory, 'porchlight.db'));
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
  PORCHLIGHT_API_KEYS: 'an-api-key-of-these-tests',
  PORCHLIGHT_PORT: '0',
};

/** Root may do what modes forbid, unless it lays that right down. */
const AS_EVERYBODY =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override', '--inh-caps=-dac_override'] : [];

/** Tries to serve it. @returns what it said to the person who tried. */
const refused = async (database: string, codes: readonly number[]): Promise<string> => {
  const command = [...AS_EVERYBODY, process.execPath, CLI, 'serve'];
  const running = startProgram(command, directory, { ...SECRETS, PORCHLIGHT_DATABASE: database });
  try {
    const { code, out, err } = await withTimeout(running.result, 20_000, () => 'It serves, or hangs.');
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

/** Keeps everybody out, and changes nothing. */
const WRITER = `
  import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
  const db = new Database(process.argv[1]);
  db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  console.log('writing');
  setInterval(() => db.inTransaction, 1000);
`;

const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

const spoiled = (at: number, bytes: Buffer): Buffer => {
  const copy = Buffer.from(good);
  bytes.copy(copy, at);
  return copy;
};

/** Applied by a Porchlight that is years ahead of this one. */
const newer = (): Buffer => {
  writeFileSync(file, good);
  const db = new Database(file);
  db.prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)').run(
    'of the future',
    4_102_444_800_000,
  );
  db.pragma('journal_mode = DELETE');
  db.close();
  return readFileSync(file);
};

const foreign = (): Buffer => {
  const db = new Database(file);
  db.exec('CREATE TABLE accounts (id INTEGER PRIMARY KEY); INSERT INTO accounts VALUES (1)');
  db.close();
  return readFileSync(file);
};

describe('exits with 78 or 1 and leaves byte for byte', () => {
  const cases: readonly (readonly [string, () => Buffer, RegExp])[] = [
    ['a database of a newer version', newer, /newer version/],
    ['a database of another program', foreign, /another program/],
    ['a text file', () => Buffer.from('Dear diary,\n'.repeat(1_000)), /not a database/],
    ['a very short text file', () => Buffer.from('hello\n'), /not a database/],
    ['a header that is not one any more', () => spoiled(0, Buffer.alloc(16, 'x')), /not a database/],
    ['a header of random bytes after the magic', () => spoiled(16, Buffer.alloc(52, 0xa5)), /damaged/],
    ['a damaged page in the middle', () => spoiled(4_096 * 3, Buffer.alloc(4_096, 0x5a)), /damaged/],
    ['a last page that is missing', () => good.subarray(0, good.length - 4_096), /damaged/],
  ];
  test.each(cases)('%s', async (_name, make, words) => {
    const bytes = make();
    writeFileSync(file, bytes);
    const before = hash(file);
    expect(await refused(file, [1, 78])).toMatch(words);
    expect(hash(file)).toBe(before);
  });

  test('every page of it, one after another, damaged', async () => {
    const pages = good.length / 4_096;
    expect(pages).toBeGreaterThan(8);
    const words: string[] = [];
    // Two at a time: each is a whole start of the command.
    for (let page = 1; page < Math.min(pages, 9); page++) {
      writeFileSync(file, spoiled(4_096 * page, Buffer.alloc(4_096, 0xff)));
      const before = hash(file);
      words.push(await refused(file, [1, 78]));
      expect(hash(file)).toBe(before);
    }
    for (const said of words) expect(said).toMatch(/damaged/);
  });

  test('one that another process is writing to', async () => {
    writeFileSync(file, good);
    const before = hash(file);
    // In a process of its own: whoever reads a file loses the locks that he has on it himself.
    const writer = startProgram([process.execPath, '--input-type=module', '-e', WRITER, file], directory);
    try {
      await writer.waitForOutput(/writing/);
      expect(await refused(file, [1])).toMatch(/locked/);
    } finally {
      writer.kill('SIGKILL');
    }
    await writer.result;
    expect(hash(file)).toBe(before);
  });

  test('one that may not be written', async () => {
    writeFileSync(file, good);
    const before = hash(file);
    chmodSync(file, 0o444);
    expect(await refused(file, [78])).toMatch(/cannot be used/);
    expect(hash(file)).toBe(before);
  });

  test('one whose directory takes nothing new', async () => {
    writeFileSync(file, good);
    const before = hash(file);
    chmodSync(directory, 0o555);
    await refused(file, [78]);
    expect(hash(file)).toBe(before);
    expect(readdirSync(directory)).toEqual(['porchlight.db']);
  });
});

describe('a place that is none for a database', () => {
  test('a directory', async () => {
    mkdirSync(file);
    await refused(file, [78]);
    expect(statSync(file).isDirectory()).toBe(true);
    expect(readdirSync(file)).toEqual([]);
  });

  test('a directory that cannot be made', async () => {
    await refused('/proc/porchlight/porchlight.db', [78]);
    await refused('/proc/porchlight.db', [78]);
  });

  test('a file where a directory should be', async () => {
    writeFileSync(join(directory, 'file'), 'text');
    await refused(join(directory, 'file', 'porchlight.db'), [78]);
    expect(readFileSync(join(directory, 'file'), 'utf8')).toBe('text');
  });
});

test('an empty file is as good as none: it becomes the database', async () => {
  writeFileSync(file, '', { mode: 0o600 });
  await using server = await startPorchlight({ directory });
  await logIn(server, 'alice', 'WEB');
  expect(await fetchUser(server, 'alice')).toMatchObject({ status: 'ONLINE' });
});
