/** Webhooks after a restart, in an old file, on a disk that rejects writes, and after a failure of the writer. */
import Database from 'better-sqlite3';
import { closeSync, copyFileSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Delivery, IsolatedUser, ShardLease, WebhookStore } from '../../../src/app/ports/webhook-store.ts';
import { parseDeliveryId, toMillis, parseWebhookId } from '../../../src/core/ids.ts';
import type { Shard } from '../../../src/core/webhooks/webhook.ts';
import { copyDatabase } from '../../../src/storage/sqlite/offline/backup.ts';
import { diagnoseDatabase } from '../../../src/storage/sqlite/offline/doctor/doctor.ts';
import type { FindingId } from '../../../src/storage/sqlite/offline/doctor/findings.ts';
import type { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { login, runCommand, user } from '../../contract/commands.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import { deadDelivery, completedDelivery, delivery, webhook } from '../../contract/webhook-records.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const newPath = (): string => join(newDirectory(), 'presence.db');
const [W1, W2] = [parseWebhookId('w1'), parseWebhookId('w2')];
const [ALICE, BOB] = [user('alice'), user('bob')];
const DAY = 86_400_000;
const ALL = { after: null, limit: 1_000 } as const;

const acquireLease = async (store: WebhookStore, shard: Shard | null, id = W1): Promise<ShardLease> => {
  const lease = (await store.acquireLeases('one', 10_000)).find(
    (each) => each.webhookId === id && each.shard === shard,
  );
  if (lease === undefined) throw new Error(`No lease of shard ${shard} is available.`);
  return lease;
};

/** Creates two webhooks, moves shard 3 of the first one beyond its start, and adds deliveries of every kind. */
const createFilledStore = async (path: string, clock = new VirtualClock()) => {
  const store = await openQuietly(path, { clock: clock.now });
  const { webhooks } = store;
  await runCommand(store, ALICE, login('a1'));
  const start = await store.eventLog.getLatestCursor();
  // Not in the order of their ids.
  await webhooks.createWebhook(webhook('w2', { startCursor: start, reasons: ['LOGIN'], state: 'PAUSED' }));
  await webhooks.createWebhook(
    webhook('w1', { startCursor: start, previousSecret: { secret: 'old', validUntil: toMillis(9) } }),
  );
  await runCommand(store, BOB, login('b1'));
  const position = await store.eventLog.getLatestCursor();
  const deliveries: readonly Delivery[] = [
    deadDelivery('x'),
    delivery('y', { shard: 3 }),
    completedDelivery('z', { shard: null }),
    delivery('loose', { shard: null }),
  ];
  const leases: ShardLease[] = [];
  for (const each of deliveries) {
    const lease = await acquireLease(webhooks, each.shard);
    leases.push(lease);
    await webhooks.saveProgress(lease, each.shard === 3 ? { position, deliveries: [each] } : { deliveries: [each] });
  }
  const isolated: IsolatedUser = {
    userId: BOB,
    position: start,
    skippedThrough: position,
    pendingDelivery: delivery('isolated', { shard: 3 }),
  };
  await webhooks.saveProgress(await acquireLease(webhooks, 3), { isolatedUsers: [isolated] });
  return { store, deliveries, isolated, position, start, leases };
};

const readEverything = async ({ webhooks }: SqliteStore) => ({
  webhooks: await webhooks.listWebhooks(),
  deliveries: (await webhooks.listDeliveries(ALL)).deliveries,
  shards: await Promise.all([0, 3].map(async (shard) => webhooks.readProgress(await acquireLease(webhooks, shard)))),
  due: await webhooks.listDueDeliveries(await acquireLease(webhooks, null), toMillis(1_000_000), 10),
});

const editFile = (path: string, sql: string): void => {
  const database = new Database(path);
  database.exec(sql);
  database.close();
};

describe('after a restart', () => {
  it('webhooks, positions and deliveries are unchanged, and earlier leases are lost', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const { store, deliveries, isolated, position, start, leases } = await createFilledStore(path, clock);
    const before = await readEverything(store);
    expect(before.webhooks.map(({ id }) => id)).toEqual([W2, W1]);
    expect(before.deliveries).toEqual([...deliveries, isolated.pendingDelivery].toReversed());
    expect(before.shards).toEqual([
      { position: start, pendingDelivery: null, isolatedUsers: [] },
      { position, pendingDelivery: deliveries[1], isolatedUsers: [isolated] },
    ]);
    expect(before.due).toEqual({ deliveries: [deliveries[3]], nextDueAt: null });
    await store.close();

    clock.advance(1_000);
    const again = await openQuietly(path, { clock: clock.now });
    for (const lease of leases) expect(await again.webhooks.saveProgress(lease, {})).toBe(false);
    const after = await readEverything(again);
    expect(after).toEqual(before);
    // The holder is the same and the old leases have not expired, but they are different leases.
    for (const lease of leases) expect(await again.webhooks.saveProgress(lease, {})).toBe(false);
    for (const { token, shard } of leases) {
      expect((await acquireLease(again.webhooks, shard)).token).toBeGreaterThan(token);
    }
    await again.close();
  });

  it('acknowledged changes are kept although the server was killed', async () => {
    const path = newPath();
    const { store } = await createFilledStore(path);
    const before = await readEverything(store);
    await store.webhooks.deleteWebhook(W2);
    // The files that a killed server leaves behind: the database and its write-ahead log at that moment.
    const left = newPath();
    for (const suffix of ['', '-wal']) copyFileSync(`${path}${suffix}`, `${left}${suffix}`);
    await store.close();
    const again = await openQuietly(left);
    expect(await readEverything(again)).toEqual({ ...before, webhooks: before.webhooks.slice(1) });
    await again.close();
  });

  it('deliveries of a deleted webhook stay hidden, and retention removes them from the file', async () => {
    const path = newPath();
    const { store } = await createFilledStore(path);
    const { webhooks } = store;
    const at0 = await acquireLease(webhooks, 0);
    const many = Array.from({ length: 250 }, (_, index) => deadDelivery(`d${index}`));
    await Promise.all(many.map((each) => webhooks.saveProgress(at0, { deliveries: [each] })));
    await webhooks.deleteWebhook(W1);
    await store.close();
    expect(diagnoseDatabase(path, false).findings).toMatchObject([
      { id: 'delivery-without-webhook', severity: 'warning', examples: ['"w1": 255 deliveries'] },
    ]);
    const again = await openQuietly(path);
    expect((await again.webhooks.listDeliveries(ALL)).deliveries).toEqual([]);
    expect(await again.webhooks.findDelivery(parseDeliveryId('d7'))).toBeNull();
    await again.purgeExpiredData();
    await again.close();
    expect(diagnoseDatabase(path, false).findings).toEqual([]);
  });
});

describe('retention', () => {
  it('removes deliveries of every kind in portions', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const { store } = await createFilledStore(path, clock);
    const { webhooks } = store;
    const [at0, settled] = [await acquireLease(webhooks, 0), { lastAttemptAt: clock.now() }];
    await Promise.all(
      Array.from({ length: 2_500 }, (_, index) =>
        webhooks.saveProgress(at0, {
          deliveries: [index < 250 ? deadDelivery(`d${index}`, settled) : completedDelivery(`d${index}`, settled)],
        }),
      ),
    );
    clock.advance(30 * DAY);
    await store.purgeExpiredData();
    expect((await webhooks.listDeliveries(ALL)).deliveries.map(({ id }) => id)).toEqual(['isolated', 'loose', 'y']);
    await store.close();
  });
});

describe('a file of an older version, without webhook tables', () => {
  it('gets the tables and keeps all its data', async () => {
    const path = newPath();
    const first = await openQuietly(path);
    const { user: alice } = await runCommand(first, ALICE, login('a1'));
    const log = await first.eventLog.readEvents({ after: null, limit: 10 });
    await first.close();
    editFile(
      path,
      `DROP TABLE webhooks; DROP TABLE webhook_shards; DROP TABLE webhook_deliveries; DROP TABLE webhook_isolated_users;
       DELETE FROM __drizzle_migrations WHERE created_at > (SELECT min(created_at) FROM __drizzle_migrations)`,
    );
    expect(diagnoseDatabase(path, false)).toMatchObject({ schema: 'OLDER', findings: [{ id: 'schema-older' }] });

    const again = await openQuietly(path);
    expect(await again.readUsers([ALICE])).toEqual([alice]);
    expect(await again.eventLog.readEvents({ after: null, limit: 10 })).toEqual(log);
    await again.webhooks.createWebhook(webhook('w1', { startCursor: await again.eventLog.getLatestCursor() }));
    expect(await again.webhooks.listWebhooks()).toHaveLength(1);
    await again.close();
    expect(diagnoseDatabase(path, false)).toMatchObject({ schema: 'CURRENT', findings: [] });
  });
});

describe('a disk that rejects writes', () => {
  it('changes nothing, keeps leases, and accepts the same writes later', async () => {
    const path = newPath();
    const { store } = await createFilledStore(path);
    const { webhooks } = store;
    const before = await readEverything(store);
    const at0 = await acquireLease(webhooks, 0);
    let notifications = 0;
    webhooks.onWebhooksChanged(() => notifications++);
    const database = new Database(path);
    for (const table of ['webhooks', 'webhook_shards', 'webhook_deliveries', 'webhook_isolated_users']) {
      for (const what of ['INSERT', 'UPDATE', 'DELETE']) {
        database.exec(
          `CREATE TRIGGER ${table}_${what} BEFORE ${what} ON ${table} BEGIN SELECT RAISE(ABORT, 'broken for a test'); END`,
        );
      }
    }
    const position = await store.eventLog.getLatestCursor();
    const startWrites = (): readonly Promise<unknown>[] => [
      webhooks.saveProgress(at0, { position, deliveries: [delivery('d')] }),
      webhooks.createWebhook(webhook('w3', { startCursor: position })),
      webhooks.updateWebhook(W1, (each) => ({ ...each, userStatusOnly: true })),
      webhooks.addDelivery(deadDelivery('t', { isTest: true, shard: null })),
      webhooks.requeueDeadDeliveries({ webhookId: W1 }, (each) => ({ ...each, status: 'RETRYING' })),
      webhooks.deleteWebhook(W2),
    ];
    for (const result of await Promise.allSettled(startWrites())) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { code: 'NOT_WRITTEN', details: { code: 'OVERLOADED', retryAfterMs: 1_000 } },
      });
    }
    const deletion = webhooks.deleteWebhook(W1);
    await Promise.resolve();
    // Waits until it is known whether the lease is lost. The lease is kept, so the write is attempted and rejected.
    const lateSave = webhooks.saveProgress(at0, { position });
    await expect(deletion).rejects.toMatchObject({ code: 'NOT_WRITTEN' });
    await expect(lateSave).rejects.toMatchObject({ code: 'NOT_WRITTEN' });
    expect(await readEverything(store)).toEqual(before);
    expect(notifications).toBe(0);

    for (const table of ['webhooks', 'webhook_shards', 'webhook_deliveries']) {
      for (const what of ['INSERT', 'UPDATE', 'DELETE']) database.exec(`DROP TRIGGER ${table}_${what}`);
    }
    database.close();
    expect(await Promise.all(startWrites())).toMatchObject([true, undefined, {}, undefined, [{}, {}], { id: W2 }]);
    expect(notifications).toBe(4);
    await store.close();
  });
});

describe('a store that has failed', () => {
  it('rejects all calls, including pending ones', async () => {
    const path = newPath();
    const failures: Error[] = [];
    const clock = new VirtualClock();
    const { store: before } = await createFilledStore(path, clock);
    await before.close();
    const store = await openQuietly(path, { clock: clock.now, onFailure: (error) => failures.push(error) });
    const { webhooks } = store;
    const at0 = await acquireLease(webhooks, 0);
    const database = new Database(path);
    database.unsafeMode().pragma('writable_schema = ON');
    database.exec(
      "UPDATE sqlite_schema SET sql = replace(sql, 'CREATE INDEX', 'NO INDEX') WHERE name = 'events_of_user'",
    );
    database.pragma(`schema_version = ${Number(database.pragma('schema_version', { simple: true })) + 1}`);
    database.close();
    const failed = { code: 'DEAD' };
    await expect(webhooks.saveProgress(at0, { deliveries: [delivery('d')] })).rejects.toMatchObject(failed);
    await expect(webhooks.saveProgress(at0, {})).rejects.toMatchObject(failed);
    await expect(webhooks.listWebhooks()).rejects.toMatchObject(failed);
    await expect(webhooks.readProgress(at0)).rejects.toMatchObject(failed);
    await expect(webhooks.updateWebhook(W1, (each) => each)).rejects.toMatchObject(failed);
    expect(failures).toMatchObject([failed]);
    await store.close();
  });
});

describe('the offline tools', () => {
  it('include webhooks in a backup, in which the doctor finds nothing', async () => {
    const path = newPath();
    const { store } = await createFilledStore(path);
    const target = newPath();
    closeSync(openSync(target, 'wx'));
    await copyDatabase(path, target, () => undefined);
    const before = await readEverything(store);
    await store.close();
    expect(diagnoseDatabase(target, false).findings).toEqual([]);
    const restored = await openQuietly(target);
    expect(await readEverything(restored)).toEqual(before);
    await restored.close();
  });

  it.each<readonly [what: string, sql: string, id: FindingId]>([
    [
      'events that are not valid JSON',
      "UPDATE webhook_deliveries SET events = '[{' WHERE delivery_id = 'x'",
      'webhook-value',
    ],
    [
      'events that are not a list',
      "UPDATE webhook_deliveries SET events = '{}' WHERE delivery_id = 'x'",
      'webhook-value',
    ],
    [
      'reasons that are not valid JSON',
      "UPDATE webhooks SET reasons = 'LOGIN' WHERE webhook_id = 'w2'",
      'webhook-value',
    ],
    ['reasons that are not a list', "UPDATE webhooks SET reasons = '3' WHERE webhook_id = 'w2'", 'webhook-value'],
    ['an unknown reason', `UPDATE webhooks SET reasons = '["BORED"]' WHERE webhook_id = 'w2'`, 'webhook-value'],
    ['a position cursor of another log', "UPDATE webhook_shards SET position = 'other.3'", 'webhook-value'],
    ['a start cursor of another log', "UPDATE webhooks SET start = 'other.3' WHERE webhook_id = 'w2'", 'webhook-value'],
    ['an unknown state', "UPDATE webhooks SET state = 'BORED' WHERE webhook_id = 'w2'", 'unknown-word'],
    [
      'an unknown delivery status',
      "UPDATE webhook_deliveries SET status = 'BORED' WHERE delivery_id = 'x'",
      'unknown-word',
    ],
    [
      'a shard without a webhook',
      "INSERT INTO webhook_shards VALUES ('none', 1, (SELECT start FROM webhooks))",
      'shard-without-webhook',
    ],
    [
      'an isolated user without a webhook',
      "INSERT INTO webhook_isolated_users SELECT 'none', 1, 'alice', start, NULL, NULL FROM webhooks LIMIT 1",
      'shard-without-webhook',
    ],
    [
      'an isolated user whose pending delivery does not exist',
      "UPDATE webhook_isolated_users SET delivery_id = 'x'; UPDATE webhook_deliveries SET shard = NULL WHERE delivery_id = 'isolated'",
      'webhook-value',
    ],
    [
      'a skipped event of another log',
      "UPDATE webhook_isolated_users SET skipped_through = 'other.3'",
      'webhook-value',
    ],
    [
      'a delivery without a webhook',
      "UPDATE webhook_deliveries SET webhook_id = 'none' WHERE delivery_id = 'x'",
      'delivery-without-webhook',
    ],
    [
      'two pending deliveries of one shard',
      "UPDATE webhook_deliveries SET shard = 3 WHERE delivery_id = 'loose'",
      'deliveries-pending',
    ],
  ])('report %s', async (_what, sql, id) => {
    const path = newPath();
    const { store } = await createFilledStore(path);
    await store.close();
    expect(diagnoseDatabase(path, false).findings).toEqual([]);
    editFile(path, sql);
    expect(diagnoseDatabase(path, false).findings.map((each) => each.id)).toEqual([id]);
  });
});
