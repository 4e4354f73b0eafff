/** Between a commit and its publication, the file contains a change that no client may see. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { asSocketId, parseSessionId } from '../../../src/core/ids.ts';
import { createUnknownUser } from '../../../src/core/records.ts';
import { login, logout, runCommand, user } from '../../contract/commands.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const ALICE = user('alice');

/** Blocks this thread until the writer thread has committed, so that its reply is still unread. */
const holdUntilCommitted = async (path: string, version: number): Promise<void> => {
  // The commit is sent at the end of this turn of the event loop. Its reply cannot arrive before the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  const other = new Database(path, { readonly: true });
  const committed = other.prepare<[string], number>('SELECT version FROM users WHERE user_id = ?').pluck();
  const giveUp = performance.now() + 20_000;
  while (committed.get(ALICE) !== version) {
    if (performance.now() > giveUp) throw new Error('The change was not committed.');
  }
  other.close();
};

it('does not show a change that is committed but not published yet', async () => {
  const path = join(newDirectory(), 'presence.db');
  const earlier = await openQuietly(path);
  await runCommand(earlier, user('bob'), login('b1'));
  await runCommand(earlier, user('bob'), logout('b1'));
  await earlier.close();
  // The log up to here is only on disk.
  const store = await openQuietly(path);
  const start = await store.eventLog.getLatestCursor();

  const loggingIn = runCommand(store, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('one') }));
  await holdUntilCommitted(path, 1);
  expect(await store.readUsers([ALICE])).toEqual([createUnknownUser(ALICE, 0)]);
  expect(await store.listOnlineUsers({ after: null, limit: 10 })).toEqual({ users: [], hasMore: false });
  expect(await store.eventLog.getLatestCursor()).toBe(start);
  const { events } = await store.eventLog.readEvents({ after: null, limit: 10 });
  expect(events.map(({ userId }) => userId)).toEqual(['bob', 'bob']);
  const { user: online } = await loggingIn;
  expect(await store.readUsers([ALICE])).toEqual([online]);

  const loggingOut = runCommand(store, ALICE, logout('a1'));
  await holdUntilCommitted(path, 2);
  expect(await store.readUsers([ALICE])).toEqual([online]);
  expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toBeNull();
  const { user: offline } = await loggingOut;
  expect(await store.readUsers([ALICE])).toEqual([offline]);
  expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toMatchObject({ reason: 'LOGOUT' });
  await store.close();
});
