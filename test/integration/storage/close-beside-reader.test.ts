/** Closing the store does not wait for another reader of the file, such as a backup or a tool. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, it, onTestFinished } from 'vitest';
import { parseUserId } from '../../../src/core/ids.ts';
import { login, runCommand } from '../../contract/commands.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const ALICE = parseUserId('alice');
const newDirectory = temporaryDirectories();

/** Far more than 1 s, and less than the 5 s for which a write waits for another writer. */
const IN_TIME_MS = 4_000;

it('closes in time and loses nothing while another process reads the file', async () => {
  const path = join(newDirectory(), 'presence.db');
  const store = await openQuietly(path);
  await runCommand(store, ALICE, login('a1'));
  const other = new Database(path, { readonly: true });
  onTestFinished(() => void other.close());
  other.exec('BEGIN');
  other.prepare('SELECT count(*) FROM events').get();
  await runCommand(store, ALICE, login('a2', 'ANDROID'));
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise((resolve) => (timer = setTimeout(resolve, IN_TIME_MS, 'too late')));
  expect(await Promise.race([store.close().then(() => 'closed'), tooLate])).toBe('closed');
  clearTimeout(timer);
  const again = await openQuietly(path);
  expect((await again.eventLog.readEvents({ after: null, limit: 10 })).events.map(({ reason }) => reason)).toEqual([
    'LOGIN',
    'LOGIN',
    'KICKED',
  ]);
  await again.close();
});
