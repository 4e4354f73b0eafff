/** What a restart, an old file, a disk that refuses and a writer that dies do to webhooks. */
import Database from 'better-sqlite3';
import { closeSync, copyFileSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Delivery, ShardLease, WebhookStore } from '../../../src/app/ports/webhook-store.ts';
import { parseDeliveryId, toMillis, parseWebhookId } from '../../../src/core/ids.ts';
import type { Shard } from '../../../src/core/webhooks/webhook.ts';
import { copyDatabase } from '../../../src/storage/sqlite/offline/backup.ts';
import { diagnoseDatabase } from '../../../src/storage/sqlite/offline/doctor/doctor.ts';
import type { FindingId } from '../../../src/storage/sqlite/offline/doctor/findings.ts';
import type { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { login, run, user } from '../../contract/commands.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import { dead, delivered, delivery, webhook } from '../../contract/webhook-records.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const newPath = (): string => join(newDirectory(), 'presence.db');
const [W1, W2] = [parseWebhookId('w1'), parseWebhookId('w2')];
const [ALICE, BOB] = [user('alice'), user('bob')];
const DAY = 86_400_000;
const ALL = { after: null, limit: 1_000 } as const;

const leased = async (store: WebhookStore, shard: Shard | null, id = W1): Promise<ShardLease> => {
  const lease = (await store.acquireLeases('one', 10_000)).find(
    (each) => each.webhookId === id && each.shard === shard,
  );
  if (lease === undefined) throw new Error(`Shard ${shard} is not to be had.`);
  return lease;
};

/** Two webhooks, shard 3 of the first one further than its start, and deliveries of every kind. */
const filled = async (path: string, clock = new VirtualClock()) => {
  const store = await openQuietly(path, { clock: clock.now });
  const { webhooks } = store;
  await run(store, ALICE, login('a1'));
  const start = await store.eventLog.getLatestCursor();
  // Not in the order of their ids.
  await webhooks.createWebhook(webhook('w2', { startCursor: start, reasons: ['LOGIN'], state: 'PAUSED' }));
  await webhooks.createWebhook(
    webhook('w1', { startCursor: start, previousSecret: { secret: 'old', validUntil: toMillis(9) } }),
  );
  await run(store, BOB, login('b1'));
  const position = await store.eventLog.getLatestCursor();
  const kept: readonly Delivery[] = [
    dead('x'),
    delivery('y', { shard: 3 }),
    delivered('z', { shard: null }),
    delivery('loose', { shard: null }),
  ];
  const leases: ShardLease[] = [];
  for (const each of kept) {
    const lease = await leased(webhooks, each.shard);
    leases.push(lease);
    await webhooks.saveProgress(lease, each.shard === 3 ? { position, delivery: each } : { delivery: each });
  }
  return { store, kept, position, start, leases };
};

const everything = async ({ webhooks }: SqliteStore) => ({
  webhooks: await webhooks.listWebhooks(),
  deliveries: (await webhooks.listDeliveries(ALL)).deliveries,
  shards: await Promise.all([0, 3].map(async (shard) => webhooks.readProgress(await leased(webhooks, shard)))),
  due: await webhooks.listDueDeliveries(await leased(webhooks, null), toMillis(1_000_000), 10),
});

const edited = (path: string, sql: string): void => {
  const database = new Database(path);
  database.exec(sql);
  database.close();
};

describe('after a restart', () => {
  it('webhooks, positions and deliveries are as before, and who held a shard before holds it no more', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const { store, kept, position, start, leases } = await filled(path, clock);
    const before = await everything(store);
    expect(before.webhooks.map(({ id }) => id)).toEqual([W2, W1]);
    expect(before.deliveries).toEqual(kept.toReversed());
    expect(before.shards).toEqual([
      { position: start, pendingDelivery: null },
      { position, pendingDelivery: kept[1] },
    ]);
    expect(before.due).toEqual({ deliveries: [kept[3]], nextDueAt: null });
    await store.close();

    clock.advance(1_000);
    const again = await openQuietly(path, { clock: clock.now });
    for (const lease of leases) expect(await again.webhooks.saveProgress(lease, {})).toBe(false);
    const after = await everything(again);
    expect(after).toEqual(before);
    // Of the same holder and before the old ones would have run out: they are others all the same.
    for (const lease of leases) expect(await again.webhooks.saveProgress(lease, {})).toBe(false);
    for (const { token, shard } of leases) {
      expect((await leased(again.webhooks, shard)).token).toBeGreaterThan(token);
    }
    await again.close();
  });

  it('what was acknowledged is there, though the server was killed', async () => {
    const path = newPath();
    const { store } = await filled(path);
    const before = await everything(store);
    await store.webhooks.deleteWebhook(W2);
    // What a killed server leaves behind: the file and its write-ahead log, as they are at that moment.
    const left = newPath();
    for (const suffix of ['', '-wal']) copyFileSync(`${path}${suffix}`, `${left}${suffix}`);
    await store.close();
    const again = await openQuietly(left);
    expect(await everything(again)).toEqual({ ...before, webhooks: before.webhooks.slice(1) });
    await again.close();
  });

  it('deliveries of a deleted webhook stay away, and are removed from the file by and by', async () => {
    const path = newPath();
    const { store } = await filled(path);
    const { webhooks } = store;
    const at0 = await leased(webhooks, 0);
    const many = Array.from({ length: 250 }, (_, index) => dead(`d${index}`));
    await Promise.all(many.map((each) => webhooks.saveProgress(at0, { delivery: each })));
    await webhooks.deleteWebhook(W1);
    await store.close();
    expect(diagnoseDatabase(path, false).findings).toMatchObject([
      { id: 'delivery-without-webhook', severity: 'warning', examples: ['"w1": 254 deliveries'] },
    ]);
    const again = await openQuietly(path);
    expect((await again.webhooks.listDeliveries(ALL)).deliveries).toEqual([]);
    expect(await again.webhooks.findDelivery(parseDeliveryId('d7'))).toBeNull();
    await again.purgeExpiredData();
    await again.close();
    expect(diagnoseDatabase(path, false).findings).toEqual([]);
  });
});

describe('the retention', () => {
  it('removes in portions, of every kind', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const { store } = await filled(path, clock);
    const { webhooks } = store;
    const [at0, settled] = [await leased(webhooks, 0), { lastAttemptAt: clock.now() }];
    await Promise.all(
      Array.from({ length: 2_500 }, (_, index) =>
        webhooks.saveProgress(at0, {
          delivery: index < 250 ? dead(`d${index}`, settled) : delivered(`d${index}`, settled),
        }),
      ),
    );
    clock.advance(30 * DAY);
    await store.purgeExpiredData();
    expect((await webhooks.listDeliveries(ALL)).deliveries.map(({ id }) => id)).toEqual(['loose', 'y']);
    await store.close();
  });
});

describe('a file without webhooks, of an older version', () => {
  it('gets its tables, and keeps everything', async () => {
    const path = newPath();
    const first = await openQuietly(path);
    const { user: alice } = await run(first, ALICE, login('a1'));
    const log = await first.eventLog.readEvents({ after: null, limit: 10 });
    await first.close();
    edited(
      path,
      `DROP TABLE webhooks; DROP TABLE webhook_shards; DROP TABLE webhook_deliveries;
       DELETE FROM __drizzle_migrations WHERE created_at = (SELECT max(created_at) FROM __drizzle_migrations)`,
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

describe('a disk that refuses', () => {
  it('changes nothing, keeps leases, and takes the same later', async () => {
    const path = newPath();
    const { store } = await filled(path);
    const { webhooks } = store;
    const before = await everything(store);
    const at0 = await leased(webhooks, 0);
    let told = 0;
    webhooks.onWebhooksChanged(() => told++);
    const database = new Database(path);
    for (const table of ['webhooks', 'webhook_shards', 'webhook_deliveries']) {
      for (const what of ['INSERT', 'UPDATE', 'DELETE']) {
        database.exec(
          `CREATE TRIGGER ${table}_${what} BEFORE ${what} ON ${table} BEGIN SELECT RAISE(ABORT, 'broken for a test'); END`,
        );
      }
    }
    const position = await store.eventLog.getLatestCursor();
    const asked = (): readonly Promise<unknown>[] => [
      webhooks.saveProgress(at0, { position, delivery: delivery('d') }),
      webhooks.createWebhook(webhook('w3', { startCursor: position })),
      webhooks.updateWebhook(W1, (each) => ({ ...each, userStatusOnly: true })),
      webhooks.addDelivery(dead('t', { isTest: true, shard: null })),
      webhooks.requeueDeadDeliveries({ webhookId: W1 }, (each) => ({ ...each, status: 'RETRYING' })),
      webhooks.deleteWebhook(W2),
    ];
    for (const result of await Promise.allSettled(asked())) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { code: 'NOT_WRITTEN', details: { code: 'OVERLOADED', retryAfterMs: 1_000 } },
      });
    }
    const deletion = webhooks.deleteWebhook(W1);
    await Promise.resolve();
    // It waits to hear whether its lease is lost, and has it still; so it is refused as everything is.
    const behind = webhooks.saveProgress(at0, { position });
    await expect(deletion).rejects.toMatchObject({ code: 'NOT_WRITTEN' });
    await expect(behind).rejects.toMatchObject({ code: 'NOT_WRITTEN' });
    expect(await everything(store)).toEqual(before);
    expect(told).toBe(0);

    for (const table of ['webhooks', 'webhook_shards', 'webhook_deliveries']) {
      for (const what of ['INSERT', 'UPDATE', 'DELETE']) database.exec(`DROP TRIGGER ${table}_${what}`);
    }
    database.close();
    expect(await Promise.all(asked())).toMatchObject([true, undefined, {}, undefined, [{}, {}], { id: W2 }]);
    expect(told).toBe(4);
    await store.close();
  });
});

describe('a store that is dead', () => {
  it('refuses everything, what was waiting too', async () => {
    const path = newPath();
    const failures: Error[] = [];
    const clock = new VirtualClock();
    const { store: before } = await filled(path, clock);
    await before.close();
    const store = await openQuietly(path, { clock: clock.now, onFailure: (error) => failures.push(error) });
    const { webhooks } = store;
    const at0 = await leased(webhooks, 0);
    const database = new Database(path);
    database.unsafeMode().pragma('writable_schema = ON');
    database.exec(
      "UPDATE sqlite_schema SET sql = replace(sql, 'CREATE INDEX', 'NO INDEX') WHERE name = 'events_of_user'",
    );
    database.pragma(`schema_version = ${Number(database.pragma('schema_version', { simple: true })) + 1}`);
    database.close();
    const dies = { code: 'DEAD' };
    await expect(webhooks.saveProgress(at0, { delivery: delivery('d') })).rejects.toMatchObject(dies);
    await expect(webhooks.saveProgress(at0, {})).rejects.toMatchObject(dies);
    await expect(webhooks.listWebhooks()).rejects.toMatchObject(dies);
    await expect(webhooks.readProgress(at0)).rejects.toMatchObject(dies);
    await expect(webhooks.updateWebhook(W1, (each) => each)).rejects.toMatchObject(dies);
    expect(failures).toMatchObject([dies]);
    await store.close();
  });
});

describe('the tools', () => {
  it('a backup holds webhooks as they are, and the doctor finds nothing wrong with it', async () => {
    const path = newPath();
    const { store } = await filled(path);
    const target = newPath();
    closeSync(openSync(target, 'wx'));
    await copyDatabase(path, target, () => undefined);
    const before = await everything(store);
    await store.close();
    expect(diagnoseDatabase(target, false).findings).toEqual([]);
    const restored = await openQuietly(target);
    expect(await everything(restored)).toEqual(before);
    await restored.close();
  });

  it.each<readonly [what: string, sql: string, id: FindingId]>([
    [
      'an event list that is no JSON',
      "UPDATE webhook_deliveries SET events = '[{' WHERE delivery_id = 'x'",
      'webhook-value',
    ],
    [
      'an event list that is no list',
      "UPDATE webhook_deliveries SET events = '{}' WHERE delivery_id = 'x'",
      'webhook-value',
    ],
    ['reasons that are no JSON', "UPDATE webhooks SET reasons = 'LOGIN' WHERE webhook_id = 'w2'", 'webhook-value'],
    ['reasons that are no list', "UPDATE webhooks SET reasons = '3' WHERE webhook_id = 'w2'", 'webhook-value'],
    ['a reason that is none', `UPDATE webhooks SET reasons = '["BORED"]' WHERE webhook_id = 'w2'`, 'webhook-value'],
    ['a position of another log', "UPDATE webhook_shards SET position = 'other.3'", 'webhook-value'],
    ['a start of another log', "UPDATE webhooks SET start = 'other.3' WHERE webhook_id = 'w2'", 'webhook-value'],
    ['a state', "UPDATE webhooks SET state = 'BORED' WHERE webhook_id = 'w2'", 'unknown-word'],
    ['a status', "UPDATE webhook_deliveries SET status = 'BORED' WHERE delivery_id = 'x'", 'unknown-word'],
    [
      'a shard of no webhook',
      "INSERT INTO webhook_shards VALUES ('none', 1, (SELECT start FROM webhooks))",
      'shard-without-webhook',
    ],
    [
      'a delivery of no webhook',
      "UPDATE webhook_deliveries SET webhook_id = 'none' WHERE delivery_id = 'x'",
      'delivery-without-webhook',
    ],
    [
      'two pending of one shard',
      "UPDATE webhook_deliveries SET shard = 3 WHERE delivery_id = 'loose'",
      'deliveries-pending',
    ],
  ])('the doctor finds %s', async (_what, sql, id) => {
    const path = newPath();
    const { store } = await filled(path);
    await store.close();
    expect(diagnoseDatabase(path, false).findings).toEqual([]);
    edited(path, sql);
    expect(diagnoseDatabase(path, false).findings.map((each) => each.id)).toEqual([id]);
  });
});
