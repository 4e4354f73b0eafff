/** Texts that earlier versions stored and that are rejected today read as U+FFFD, from every table and by every reader. */
import Database from 'better-sqlite3';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { parseDeliveryId, parseSessionId } from '../../../src/core/ids.ts';
import { diagnoseDatabase } from '../../../src/storage/sqlite/offline/doctor/doctor.ts';
import { openEventExport } from '../../../src/storage/sqlite/offline/export-events.ts';
import { copyDatabase } from '../../../src/storage/sqlite/offline/backup.ts';
import type { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { login, logout, runCommand, setStatusText, user } from '../../contract/commands.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import { loggedEvent, webhook } from '../../contract/webhook-records.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const [ALICE, BOB] = [user('alice'), user('bob')];
const ENDED = parseSessionId('a1');

/** What an earlier version accepted, and an unpaired surrogate in the form that some programs write (CESU-8). */
const STORED_SQL = `CAST(x'61' || x'00' || x'0a09' || x'c285' || x'7f' || x'eda080' || x'62' AS TEXT)`;
/** SQLite returns each of the three invalid bytes as U+FFFD. */
const READ = 'a\ufffd\n\t\ufffd\ufffd\ufffd\ufffd\ufffdb';
/** JSON can hold a lone surrogate. */
const STORED_IN_JSON = 'a\u0000\n\u0085\ud800b';
const READ_FROM_JSON = 'a\ufffd\n\ufffd\ufffdb';

let path: string;
const clock = new VirtualClock();
const open = (file = path): Promise<SqliteStore> => openQuietly(file, { clock: clock.now });

/** Makes a backup. */
const copyFile = async (): Promise<string> => {
  const copy = join(newDirectory(), 'presence.db');
  writeFileSync(copy, '');
  await copyDatabase(path, copy, () => undefined);
  return copy;
};

const readColumn = (sql: string): readonly string[] => {
  const database = new Database(path, { readonly: true });
  const values = database.prepare<[], string>(sql).pluck().all();
  database.close();
  return values;
};

beforeAll(async () => {
  path = join(newDirectory(), 'presence.db');
  const store = await open();
  await runCommand(store, ALICE, login('a1', 'IPHONE'));
  await runCommand(store, ALICE, logout('a1'));
  await runCommand(store, ALICE, login('a2', 'IPHONE', { osVersion: '14' }));
  await runCommand(store, ALICE, setStatusText('a2', 'replaced below'));
  await runCommand(store, BOB, login('b1', 'WEB'));
  await store.webhooks.createWebhook(webhook('w1', { startCursor: await store.eventLog.getLatestCursor() }));
  await store.close();
  const database = new Database(path);
  database.exec(`
    UPDATE users SET custom_status = ${STORED_SQL} WHERE user_id = 'alice';
    UPDATE sessions SET app_version = ${STORED_SQL}, os_version = ${STORED_SQL}, device_id = ${STORED_SQL}
      WHERE user_id = 'alice';
    UPDATE events SET custom_status = ${STORED_SQL}, device_id = ${STORED_SQL} WHERE user_id = 'alice'`);
  const insert = database.prepare(
    `INSERT INTO webhook_deliveries (delivery_id, webhook_id, shard, is_test, status, event_count, created_at, attempts,
      give_up_at, events) VALUES (?, 'w1', ?, 0, ?, 2, 1, 1, 9000000000000, ?)`,
  );
  const stored = [loggedEvent(8, { customStatus: STORED_IN_JSON, deviceId: 'd\u0000' as never }), loggedEvent(9)];
  insert.run('pending', 0, 'RETRYING', JSON.stringify(stored));
  insert.run('dead', null, 'DEAD', JSON.stringify(stored));
  database.close();
});

it('the file has the texts as an earlier version wrote them', () => {
  const [hex] = readColumn(`SELECT hex(custom_status) FROM users WHERE user_id = 'alice'`);
  expect(hex).toBe('61000A09C2857FEDA08062');
  expect(readColumn('SELECT events FROM webhook_deliveries')[0]).toContain('\\u0000');
});

it('users, live sessions, ended sessions, events and deliveries read with U+FFFD', async () => {
  const store = await open();
  const [alice, bob] = await store.readUsers([ALICE, BOB]);
  expect(alice).toMatchObject({
    customStatus: READ,
    sessions: [{ id: 'a2', appVersion: READ, osVersion: READ, deviceId: READ }],
  });
  expect(bob).toMatchObject({ customStatus: null, sessions: [{ appVersion: '1.2.3', osVersion: null }] });
  expect(await store.findEndedSession(ALICE, ENDED)).toMatchObject({
    session: { appVersion: READ, osVersion: READ, deviceId: READ },
  });

  const { eventLog } = store;
  const { events } = await eventLog.readEvents({ after: null, limit: 100 });
  const ofAlice = events.filter(({ userId }) => userId === ALICE);
  expect(ofAlice).toHaveLength(4);
  for (const event of ofAlice) expect(event).toMatchObject({ customStatus: READ, deviceId: READ });
  expect(events.at(-1)).toMatchObject({ userId: BOB, customStatus: null, deviceId: 'device of b1' });
  const scanned = await eventLog.scanEvents({ after: null, limit: 100, matchesEvent: () => true });
  expect(scanned.events).toEqual(events);
  expect((await eventLog.readEvents({ after: null, limit: 100, userId: ALICE })).events).toEqual(ofAlice);
  expect(await eventLog.readLatestEventsOfUser(ALICE, 10)).toEqual(ofAlice.toReversed());

  const read = [loggedEvent(8, { customStatus: READ_FROM_JSON, deviceId: 'd\ufffd' as never }), loggedEvent(9)];
  const { webhooks } = store;
  expect((await webhooks.findDelivery(parseDeliveryId('dead')))?.events).toEqual(read);
  const { deliveries } = await webhooks.listDeliveries({ after: null, limit: 10 });
  expect(deliveries.map(({ events: each }) => each)).toEqual([read, read]);
  await store.close();
});

it('an export and a backup read the same', async () => {
  const backup = await copyFile();
  for (const file of [path, backup]) {
    const source = openEventExport(file, null, ALICE);
    const exported = Array.from(source.events, ({ event }) => event);
    source.close();
    expect(exported).toHaveLength(4);
    for (const event of exported) expect(event).toMatchObject({ customStatus: READ, deviceId: READ });
  }
});

it('later changes of the user keep the text, and the doctor finds no difference', async () => {
  const copy = await copyFile();
  const store = await open(copy);
  // A timeout writes the status alone, so the row of the user keeps the stored text.
  clock.advance(400_000);
  const { user: timedOut } = await runCommand(store, ALICE, { type: 'expire' });
  expect(timedOut).toMatchObject({ status: 'PUSH_ONLINE', customStatus: READ });
  const [latest] = await store.eventLog.readLatestEventsOfUser(ALICE, 1);
  expect(latest).toMatchObject({ reason: 'HEARTBEAT_TIMEOUT', customStatus: READ });
  await store.close();
  const ids = diagnoseDatabase(copy, false).findings.map(({ id }) => id);
  expect(ids).not.toContain('log-and-user');

  const again = await open(copy);
  expect((await again.readUsers([ALICE]))[0]).toMatchObject({ status: 'PUSH_ONLINE', customStatus: READ });
  await again.close();
});
