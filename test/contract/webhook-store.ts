/**
 * The contract of the webhook store port: an adapter must pass every test. Call `webhookStoreContract` in a test file of
 * the adapter.
 */
import { afterEach, describe, expect, it } from 'vitest';
import {
  MAX_WEBHOOKS,
  type Delivery,
  type IsolatedUser,
  type ShardLease,
  type WebhookStore,
} from '../../src/app/ports/webhook-store.ts';
import {
  parseDeliveryId,
  parseUserId,
  addMs,
  toMillis,
  parseWebhookId,
  type DeliveryId,
  type UserId,
} from '../../src/core/ids.ts';
import { SHARDS_PER_WEBHOOK, type Shard } from '../../src/core/webhooks/webhook.ts';
import { DELIVERY_STATUSES } from '../../src/core/enums.ts';
import { VirtualClock } from './virtual-clock.ts';
import { cursorAt, deadDelivery, completedDelivery, delivery, webhook } from './webhook-records.ts';

export interface WebhookStoreUnderTest {
  readonly store: WebhookStore;
  /** Removes everything that is older than the retention by now. */
  readonly removeExpiredData: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Creates a new, empty store. The suite closes it. */
export type CreateWebhookStore = (clock: VirtualClock) => Promise<WebhookStoreUnderTest>;

const SECOND = 1_000;
const DAY = 86_400_000;
const LEASE_MS = 10 * SECOND;
const [W1, W2] = [parseWebhookId('w1'), parseWebhookId('w2')];
const SHARDS: readonly (Shard | null)[] = [null, ...Array.from({ length: SHARDS_PER_WEBHOOK }, (_, shard) => shard)];
const ANY = { after: null, limit: 100 } as const;
const BAD_USER_INPUT = { details: { code: 'BAD_USER_INPUT' } };

const ofShard = (leases: readonly ShardLease[], shard: Shard | null, id = W1): ShardLease => {
  const lease = leases.find((each) => each.webhookId === id && each.shard === shard);
  if (lease === undefined) throw new Error(`No lease of shard ${shard} of ${id}.`);
  return lease;
};

const idsOf = (deliveries: readonly Delivery[]): readonly DeliveryId[] => deliveries.map(({ id }) => id);

export const webhookStoreContract = (name: string, createStore: CreateWebhookStore): void => {
  describe(`${name} as a webhook store`, () => {
    const openStores: WebhookStoreUnderTest[] = [];
    const make = async (...ids: readonly string[]) => {
      const clock = new VirtualClock();
      const created = await createStore(clock);
      openStores.push(created);
      for (const id of ids) await created.store.createWebhook(webhook(id));
      const lease = async (shard: Shard | null, { holder = 'one', id = W1 } = {}): Promise<ShardLease> =>
        ofShard(await created.store.acquireLeases(holder, LEASE_MS), shard, id);
      /** Stores deliveries of one shard unchanged, in this order. */
      const storeDeliveries = async (...deliveries: readonly Delivery[]): Promise<void> => {
        for (const each of deliveries) {
          expect(
            await created.store.saveProgress(await lease(each.shard, { id: each.webhookId }), { deliveries: [each] }),
          ).toBe(true);
        }
      };
      return { ...created, clock, lease, storeDeliveries };
    };
    afterEach(async () => {
      await Promise.all(openStores.splice(0).map(({ close }) => close()));
    });

    describe('webhooks', () => {
      it('stores every field of a webhook and lists webhooks in the order of their creation', async () => {
        const { store } = await make();
        expect(await store.listWebhooks()).toEqual([]);
        const created = [
          webhook('z', { createdAt: toMillis(9_000) }),
          webhook('a', {
            format: 'TENCENT',
            secret: null,
            previousSecret: { secret: 'the one "before"', validUntil: toMillis(77) },
            reasons: ['LOGIN', 'REVOKED'],
            userStatusOnly: true,
            state: 'GONE',
          }),
          webhook('m', { reasons: [], state: 'PAUSED', url: 'http://[::1]:8080/ü?q=1' }),
        ];
        for (const each of created) await store.createWebhook(each);
        expect(await store.listWebhooks()).toEqual(created);
      });

      it('applies concurrent updates one after another, each to the result of the previous one', async () => {
        const { store } = await make('w1', 'w2');
        const add = (): Promise<unknown> =>
          store.updateWebhook(W1, (each) => ({ ...each, changedAt: addMs(each.changedAt, 1) }));
        await Promise.all(Array.from({ length: 10 }, add));
        expect(await store.updateWebhook(W1, (each) => ({ ...each, state: 'PAUSED' }))).toEqual(
          webhook('w1', { changedAt: toMillis(2_010), state: 'PAUSED' }),
        );
        expect(await store.listWebhooks()).toEqual([
          webhook('w1', { changedAt: toMillis(2_010), state: 'PAUSED' }),
          webhook('w2'),
        ]);
      });

      it('changes nothing when decide throws, and applies the next update', async () => {
        const { store } = await make('w1');
        const refuse = (): never => {
          throw new RangeError('no');
        };
        const [refused, created] = await Promise.allSettled([
          store.updateWebhook(W1, refuse),
          store.updateWebhook(W1, (each) => ({ ...each, userStatusOnly: true })),
        ]);
        expect(refused).toMatchObject({ status: 'rejected', reason: { message: 'no' } });
        expect(created).toMatchObject({ status: 'fulfilled', value: webhook('w1', { userStatusOnly: true }) });
      });

      it('returns null for the update or deletion of an unknown webhook', async () => {
        const { store } = await make('w1');
        const decide = (): never => {
          throw new Error('There is nothing to decide.');
        };
        expect(await store.updateWebhook(W2, decide)).toBeNull();
        expect(await store.deleteWebhook(W2)).toBeNull();
        expect(await store.listWebhooks()).toHaveLength(1);
      });

      it(`rejects more than ${MAX_WEBHOOKS} webhooks with BAD_USER_INPUT`, async () => {
        const { store } = await make();
        const all = Array.from({ length: MAX_WEBHOOKS + 2 }, (_, index) => webhook(`w${index}`));
        const results = await Promise.allSettled(all.map((each) => store.createWebhook(each)));
        expect(results.map(({ status }) => status)).toEqual(
          all.map((_, index) => (index < MAX_WEBHOOKS ? 'fulfilled' : 'rejected')),
        );
        expect(results.at(-1)).toMatchObject({ reason: BAD_USER_INPUT });
        expect(await store.listWebhooks()).toEqual(all.slice(0, MAX_WEBHOOKS));
        await store.deleteWebhook(W1);
        await store.createWebhook(webhook('another'));
        expect((await store.listWebhooks()).at(-1)?.id).toBe('another');
      });

      it('deletes the progress and the deliveries with the webhook', async () => {
        const { store, storeDeliveries, lease } = await make('w1', 'w2');
        await store.saveProgress(await lease(3), { position: cursorAt(30) });
        await storeDeliveries(
          deadDelivery('d1'),
          deadDelivery('e1', { webhookId: W2 }),
          completedDelivery('d2'),
          delivery('d3'),
        );
        expect(await store.deleteWebhook(W1)).toEqual(webhook('w1'));
        expect(await store.listWebhooks()).toEqual([webhook('w2')]);
        expect(idsOf((await store.listDeliveries(ANY)).deliveries)).toEqual(['e1']);
        expect((await store.listDeliveries({ ...ANY, webhookId: W1 })).deliveries).toEqual([]);
        expect(await store.findDelivery(parseDeliveryId('d1'))).toBeNull();
        expect(
          await store.requeueDeadDeliveries({ webhookId: W1 }, (each) => ({ ...each, status: 'RETRYING' })),
        ).toEqual([]);
        const one = { deliveryId: parseDeliveryId('d1') };
        expect(await store.requeueDeadDeliveries(one, (each) => ({ ...each, status: 'RETRYING' }))).toEqual([]);

        await store.createWebhook(webhook('w1'));
        expect(await store.readProgress(await lease(3))).toEqual({
          position: cursorAt(7),
          pendingDelivery: null,
          isolatedUsers: [],
        });
      });

      it('notifies listeners of created, changed and deleted webhooks and of requeued deliveries', async () => {
        const { store, storeDeliveries } = await make('w1');
        let notificationCount = 0;
        const countNotifications = async (work: () => Promise<unknown>): Promise<number> => {
          const before = notificationCount;
          await work();
          return notificationCount - before;
        };
        const end = store.onWebhooksChanged(() => notificationCount++);
        expect(await countNotifications(() => store.createWebhook(webhook('w2')))).toBe(1);
        expect(
          await countNotifications(() => store.updateWebhook(W1, (each) => ({ ...each, userStatusOnly: true }))),
        ).toBe(1);
        expect(await countNotifications(() => store.deleteWebhook(W2))).toBe(1);
        expect(await countNotifications(() => storeDeliveries(deadDelivery('d1')))).toBe(0);
        const revive = (each: Delivery): Delivery => ({ ...each, status: 'RETRYING', nextAttemptAt: toMillis(1) });
        expect(await countNotifications(() => store.requeueDeadDeliveries({ webhookId: W1 }, revive))).toBe(1);
        // These calls change nothing.
        expect(await countNotifications(() => store.updateWebhook(W1, (each) => each))).toBe(0);
        expect(await countNotifications(() => store.deleteWebhook(W2))).toBe(0);
        expect(await countNotifications(() => store.requeueDeadDeliveries({ webhookId: W1 }, revive))).toBe(0);
        end();
        expect(await countNotifications(() => store.deleteWebhook(W1))).toBe(0);
      });

      it('shows the change to a listener that reads the webhooks', async () => {
        const { store } = await make('w1');
        const seen = new Promise<unknown>((resolve) => store.onWebhooksChanged(() => resolve(store.listWebhooks())));
        await store.updateWebhook(W1, (each) => ({ ...each, state: 'PAUSED' }));
        expect(await seen).toMatchObject([{ state: 'PAUSED' }]);
      });
    });

    describe('a lease', () => {
      it('is acquired for every shard of every ACTIVE webhook, and for the null shard', async () => {
        const { store, clock } = await make('w1', 'w2');
        await store.createWebhook(webhook('paused', { state: 'PAUSED' }));
        await store.createWebhook(webhook('gone', { state: 'GONE' }));
        const leases = await store.acquireLeases('one', LEASE_MS);
        const leasedShards = leases.map((lease) => [lease.webhookId, lease.shard]);
        expect(leasedShards).toHaveLength(2 * SHARDS.length);
        for (const id of [W1, W2]) for (const shard of SHARDS) expect(leasedShards).toContainEqual([id, shard]);
        expect(new Set(leases.map(({ expiresAt }) => expiresAt))).toEqual(new Set([clock.now() + LEASE_MS]));
      });

      it('is held by one holder at a time', async () => {
        const { store } = await make('w1');
        await store.acquireLeases('one', LEASE_MS);
        expect(await store.acquireLeases('two', LEASE_MS)).toEqual([]);
        await store.createWebhook(webhook('w2'));
        const leases = await store.acquireLeases('two', LEASE_MS);
        expect(new Set(leases.map((lease) => lease.webhookId))).toEqual(new Set([W2]));
        expect(leases).toHaveLength(SHARDS.length);
        const own = await store.acquireLeases('one', LEASE_MS);
        expect(new Set(own.map((lease) => lease.webhookId))).toEqual(new Set([W1]));
      });

      it('keeps its token when it is renewed, and lasts for the full time again', async () => {
        const { store, clock, lease } = await make('w1');
        const first = await lease(5);
        clock.advance(LEASE_MS - 1);
        const second = await lease(5);
        expect(second).toEqual({ ...first, expiresAt: clock.now() + LEASE_MS });
        clock.advance(LEASE_MS - 1);
        // The token decides, so the lease object from before the renewal is still valid.
        expect(await store.saveProgress(first, { position: cursorAt(8) })).toBe(true);
        expect(await store.acquireLeases('two', LEASE_MS)).toEqual([]);
        clock.advance(1);
        expect(await store.saveProgress(second, { position: cursorAt(9) })).toBe(false);
        expect(await store.acquireLeases('two', LEASE_MS)).toHaveLength(SHARDS.length);
      });

      it('is lost for ever when it expires, and another holder acquires it with a greater token', async () => {
        const { store, clock, lease } = await make('w1');
        const [old, oldNullLease] = [await lease(2), await lease(null)];
        await store.saveProgress(old, { position: cursorAt(20) });
        clock.advance(LEASE_MS);
        const taken = await lease(2, { holder: 'two' });
        expect(taken.token).toBeGreaterThan(old.token);

        expect(
          await store.saveProgress(old, { position: cursorAt(99), deliveries: [delivery('d', { shard: 2 })] }),
        ).toBe(false);
        expect(await store.readProgress(old)).toBeNull();
        expect(await store.listDueDeliveries(oldNullLease, clock.now(), 10)).toBeNull();
        expect(await store.findDelivery(parseDeliveryId('d'))).toBeNull();
        expect(await store.readProgress(taken)).toEqual({
          position: cursorAt(20),
          pendingDelivery: null,
          isolatedUsers: [],
        });
        expect(await store.acquireLeases('one', LEASE_MS)).toEqual([]);

        clock.advance(LEASE_MS);
        const again = await lease(2);
        expect(again.token).toBeGreaterThan(taken.token);
        expect(await store.saveProgress(old, { position: cursorAt(99) })).toBe(false);
        expect(await store.saveProgress(again, { position: cursorAt(21) })).toBe(true);
      });

      it('is lost when it expires, even if no other holder acquires it', async () => {
        const { store, clock, lease } = await make('w1');
        const old = await lease(2);
        clock.advance(LEASE_MS);
        expect(await store.saveProgress(old, { position: cursorAt(9) })).toBe(false);
        const fresh = await lease(2);
        expect(fresh.token).toBeGreaterThan(old.token);
        expect(await store.saveProgress(old, { position: cursorAt(9) })).toBe(false);
      });

      it('shows the next holder a write of the previous one that was still in progress', async () => {
        const { store, clock, lease } = await make('w1');
        const old = await lease(2);
        clock.advance(LEASE_MS - 1);
        const saved = store.saveProgress(old, { position: cursorAt(20), deliveries: [delivery('d', { shard: 2 })] });
        clock.advance(1);
        const progress = await store.readProgress(await lease(2, { holder: 'two' }));
        expect(await saved).toBe(true);
        expect(progress).toEqual({
          position: cursorAt(20),
          pendingDelivery: delivery('d', { shard: 2 }),
          isolatedUsers: [],
        });
      });

      it('is lost when it is released, and others can acquire it at once', async () => {
        const { store, lease } = await make('w1', 'w2');
        const [old, oldNullLease] = [await lease(0), await lease(null)];
        await store.releaseLeases('unknown');
        expect(await store.acquireLeases('two', LEASE_MS)).toEqual([]);
        await store.releaseLeases('one');
        expect(await store.saveProgress(old, { position: cursorAt(8) })).toBe(false);
        expect(await store.readProgress(old)).toBeNull();
        expect(await store.listDueDeliveries(oldNullLease, toMillis(0), 1)).toBeNull();
        const taken = await store.acquireLeases('two', LEASE_MS);
        expect(taken).toHaveLength(2 * SHARDS.length);
        expect(ofShard(taken, 0).token).toBeGreaterThan(old.token);
      });

      it('is lost when the webhook is deleted', async () => {
        const { store, lease } = await make('w1');
        const [old, oldNullLease] = [await lease(0), await lease(null)];
        const early = store.saveProgress(old, { position: cursorAt(8) });
        const deleted = store.deleteWebhook(W1);
        // The deletion is being written now, and is not durable yet.
        await Promise.resolve();
        const late = store.saveProgress(old, { position: cursorAt(9), deliveries: [delivery('d')] });
        await deleted;
        expect([await early, await late]).toEqual([true, false]);
        expect(await store.saveProgress(old, { deliveries: [delivery('e')] })).toBe(false);
        expect(await store.readProgress(old)).toBeNull();
        expect(await store.listDueDeliveries(oldNullLease, toMillis(0), 1)).toBeNull();
        expect(await store.findDelivery(parseDeliveryId('d'))).toBeNull();
        expect(await store.acquireLeases('one', LEASE_MS)).toEqual([]);
        // A new webhook with the same id gets nothing of the old one.
        await store.createWebhook(webhook('w1'));
        expect(await store.readProgress(await lease(0))).toEqual({
          position: cursorAt(7),
          pendingDelivery: null,
          isolatedUsers: [],
        });
      });

      it.each(['PAUSED', 'GONE'] as const)(
        'is not renewed when the webhook becomes %s, but valid until it expires',
        async (state) => {
          const { store, clock, lease } = await make('w1');
          const old = await lease(0);
          await store.updateWebhook(W1, (each) => ({ ...each, state }));
          clock.advance(LEASE_MS - 1);
          expect(await store.acquireLeases('one', LEASE_MS)).toEqual([]);
          expect(await store.saveProgress(old, { position: cursorAt(8) })).toBe(true);
          clock.advance(1);
          expect(await store.saveProgress(old, { position: cursorAt(9) })).toBe(false);
          await store.updateWebhook(W1, (each) => ({ ...each, state: 'ACTIVE' }));
          expect(await store.readProgress(await lease(0, { holder: 'two' }))).toEqual({
            position: cursorAt(8),
            pendingDelivery: null,
            isolatedUsers: [],
          });
        },
      );
    });

    describe('saveProgress', () => {
      it('moves the position of its own shard, which starts at the start cursor of the webhook', async () => {
        const { store, lease } = await make('w1', 'w2');
        for (const shard of SHARDS) {
          expect(await store.readProgress(await lease(shard))).toEqual({
            position: cursorAt(7),
            pendingDelivery: null,
            isolatedUsers: [],
          });
        }
        expect(await store.saveProgress(await lease(4), { position: cursorAt(40) })).toBe(true);
        expect(await store.saveProgress(await lease(4), { position: cursorAt(41) })).toBe(true);
        expect(await store.saveProgress(await lease(4), {})).toBe(true);
        expect(await store.readProgress(await lease(4))).toEqual({
          position: cursorAt(41),
          pendingDelivery: null,
          isolatedUsers: [],
        });
        expect(await store.readProgress(await lease(5))).toEqual({
          position: cursorAt(7),
          pendingDelivery: null,
          isolatedUsers: [],
        });
        expect((await store.readProgress(await lease(4, { id: W2 })))?.position).toEqual(cursorAt(7));
      });

      it('stores a RETRYING delivery as the pending one of its shard, until it is DELIVERED or DEAD', async () => {
        const { store, lease } = await make('w1', 'w2');
        const at3 = await lease(3);
        const retrying = delivery('d', { shard: 3, lastStatus: null, giveUpAt: toMillis(99_000) });
        expect(await store.saveProgress(at3, { position: cursorAt(9), deliveries: [retrying] })).toBe(true);
        expect(await store.readProgress(at3)).toEqual({
          position: cursorAt(9),
          pendingDelivery: retrying,
          isolatedUsers: [],
        });
        expect((await store.readProgress(await lease(0)))?.pendingDelivery).toBeNull();
        expect((await store.readProgress(await lease(3, { id: W2 })))?.pendingDelivery).toBeNull();
        expect(await store.findDelivery(retrying.id)).toEqual(retrying);

        const again = { ...retrying, attempts: 2, lastAttemptAt: toMillis(13_000), nextAttemptAt: toMillis(15_000) };
        await store.saveProgress(at3, { deliveries: [again] });
        expect(await store.readProgress(at3)).toEqual({
          position: cursorAt(9),
          pendingDelivery: again,
          isolatedUsers: [],
        });
        const taken = completedDelivery('d', { shard: 3, attempts: 3, lastAttemptAt: toMillis(15_000) });
        await store.saveProgress(at3, { deliveries: [taken] });
        expect(await store.readProgress(at3)).toEqual({
          position: cursorAt(9),
          pendingDelivery: null,
          isolatedUsers: [],
        });
        expect((await store.listDeliveries(ANY)).deliveries).toEqual([taken]);
      });

      it('throws for a delivery of another shard than the lease, and for a position of the null shard', async () => {
        const { store, lease } = await make('w1', 'w2');
        const at0 = await lease(0);
        for (const given of [{ shard: 1 }, { shard: null }, { webhookId: W2 }]) {
          await expect(
            store.saveProgress(at0, { position: cursorAt(9), deliveries: [delivery('d', given)] }),
          ).rejects.toThrow(TypeError);
        }
        await expect(store.saveProgress(await lease(null), { position: cursorAt(9) })).rejects.toThrow(TypeError);
        expect(await store.readProgress(at0)).toEqual({
          position: cursorAt(7),
          pendingDelivery: null,
          isolatedUsers: [],
        });
        expect((await store.listDeliveries(ANY)).deliveries).toEqual([]);
      });
    });

    describe('isolated users', () => {
      const [ALICE, BOB] = [parseUserId('alice'), parseUserId('bob')];
      const isolated = (userId: UserId, fields: Partial<IsolatedUser> = {}): IsolatedUser => ({
        userId,
        position: cursorAt(9),
        skippedThrough: null,
        pendingDelivery: null,
        ...fields,
      });

      it('are stored with their pending deliveries, beside the one of the shard', async () => {
        const { store, lease } = await make('w1', 'w2');
        const at3 = await lease(3);
        const ofShard = delivery('shard', { shard: 3 });
        const ofAlice = delivery('alice', { shard: 3 });
        const alice = isolated(ALICE, { skippedThrough: cursorAt(11), pendingDelivery: ofAlice });
        const bob = isolated(BOB);
        const update = { position: cursorAt(12), deliveries: [ofShard], isolatedUsers: [bob, alice] };
        expect(await store.saveProgress(at3, update)).toBe(true);
        const progress = await store.readProgress(at3);
        expect(progress).toMatchObject({ position: cursorAt(12), pendingDelivery: ofShard });
        expect(progress?.isolatedUsers).toHaveLength(2);
        expect(progress?.isolatedUsers).toEqual(expect.arrayContaining([alice, bob]));
        expect(await store.findDelivery(ofAlice.id)).toEqual(ofAlice);
        expect((await store.readProgress(await lease(4)))?.isolatedUsers).toEqual([]);
        expect((await store.readProgress(await lease(3, { id: W2 })))?.isolatedUsers).toEqual([]);
      });

      it('change, and rejoin their shard, in the same change as their deliveries', async () => {
        const { store, lease } = await make('w1');
        const at3 = await lease(3);
        const first = delivery('first', { shard: 3 });
        await store.saveProgress(at3, { isolatedUsers: [isolated(ALICE, { pendingDelivery: first }), isolated(BOB)] });
        const retried = { ...first, attempts: 2 };
        const alice = isolated(ALICE, { position: cursorAt(10), pendingDelivery: retried });
        await store.saveProgress(at3, { isolatedUsers: [alice], rejoinedUsers: [BOB] });
        expect((await store.readProgress(at3))?.isolatedUsers).toEqual([alice]);

        const done = completedDelivery('first', { shard: 3 });
        await store.saveProgress(at3, { deliveries: [done], rejoinedUsers: [ALICE] });
        expect(await store.readProgress(at3)).toMatchObject({ pendingDelivery: null, isolatedUsers: [] });
        expect((await store.listDeliveries(ANY)).deliveries).toEqual([done]);
      });

      it('are not stored with a lost lease, and vanish with their webhook', async () => {
        const { store, lease, clock } = await make('w1');
        const old = await lease(3);
        await store.saveProgress(old, { isolatedUsers: [isolated(ALICE)] });
        clock.advance(LEASE_MS);
        const next = await lease(3, { holder: 'two' });
        expect(await store.saveProgress(old, { isolatedUsers: [isolated(BOB)], rejoinedUsers: [ALICE] })).toBe(false);
        expect((await store.readProgress(next))?.isolatedUsers).toEqual([isolated(ALICE)]);
        await store.deleteWebhook(W1);
        await store.createWebhook(webhook('w1'));
        expect((await store.readProgress(await lease(3)))?.isolatedUsers).toEqual([]);
      });

      it('cannot be stored for the null shard, nor with a delivery of another shard', async () => {
        const { store, lease } = await make('w1');
        const foreign = isolated(ALICE, { pendingDelivery: delivery('d', { shard: 4 }) });
        await expect(store.saveProgress(await lease(3), { isolatedUsers: [foreign] })).rejects.toThrow(TypeError);
        await expect(store.saveProgress(await lease(null), { isolatedUsers: [isolated(ALICE)] })).rejects.toThrow(
          TypeError,
        );
        expect((await store.readProgress(await lease(3)))?.isolatedUsers).toEqual([]);
        expect((await store.listDeliveries(ANY)).deliveries).toEqual([]);
      });
    });

    describe('listDueDeliveries', () => {
      it('returns the earliest due deliveries first, and the time of the next one', async () => {
        const { store, lease, storeDeliveries } = await make('w1', 'w2');
        const loose = await lease(null);
        expect(await store.listDueDeliveries(loose, toMillis(1_000_000), 10)).toEqual({
          deliveries: [],
          nextDueAt: null,
        });
        const at = (id: string, moment: number, given: Partial<Delivery> = {}): Delivery =>
          delivery(id, { shard: null, nextAttemptAt: toMillis(moment), ...given });
        const [a, b, c] = [at('a', 3_000), at('b', 1_000), at('c', 2_000)];
        await storeDeliveries(
          a,
          b,
          c,
          at('other', 500, { webhookId: W2 }),
          delivery('sharded', { nextAttemptAt: toMillis(1) }),
        );
        await storeDeliveries(deadDelivery('dead', { shard: null }), completedDelivery('done', { shard: null }));

        expect(await store.listDueDeliveries(loose, toMillis(999), 10)).toEqual({ deliveries: [], nextDueAt: 1_000 });
        expect(await store.listDueDeliveries(loose, toMillis(2_000), 10)).toEqual({
          deliveries: [b, c],
          nextDueAt: 3_000,
        });
        expect(await store.listDueDeliveries(loose, toMillis(5_000), 10)).toEqual({
          deliveries: [b, c, a],
          nextDueAt: null,
        });
        expect(await store.listDueDeliveries(loose, toMillis(5_000), 1)).toEqual({ deliveries: [b], nextDueAt: 2_000 });
        expect((await store.readProgress(loose))?.pendingDelivery).toBeNull();

        await storeDeliveries(
          { ...b, nextAttemptAt: toMillis(9_000), attempts: 2 },
          completedDelivery('c', { shard: null }),
        );
        expect(await store.listDueDeliveries(loose, toMillis(5_000), 10)).toEqual({
          deliveries: [a],
          nextDueAt: 9_000,
        });
      });
    });

    describe('deliveries', () => {
      it('lists pages with the latest delivery first, in the order in which they were first stored', async () => {
        const { store, storeDeliveries } = await make('w1', 'w2');
        await storeDeliveries(
          deadDelivery('a'),
          completedDelivery('b'),
          deadDelivery('c', { webhookId: W2 }),
          deadDelivery('d'),
          delivery('e'),
          completedDelivery('f', { webhookId: W2 }),
        );
        await storeDeliveries(completedDelivery('a', { attempts: 9 }));
        const pages = async (given: object, limit: number): Promise<readonly (readonly DeliveryId[])[]> => {
          const found: (readonly DeliveryId[])[] = [];
          for (let after: DeliveryId | null = null; ;) {
            const page = await store.listDeliveries({ ...given, after, limit });
            const ids = idsOf(page.deliveries);
            found.push(ids);
            after = ids.at(-1) ?? null;
            if (!page.hasMore) return found;
          }
        };
        expect(await pages({}, 4)).toEqual([
          ['f', 'e', 'd', 'c'],
          ['b', 'a'],
        ]);
        expect(await pages({}, 3)).toEqual([
          ['f', 'e', 'd'],
          ['c', 'b', 'a'],
        ]);
        expect(await pages({ webhookId: W1 }, 3)).toEqual([['e', 'd', 'b'], ['a']]);
        expect(await pages({ status: 'DELIVERED' }, 2)).toEqual([['f', 'b'], ['a']]);
        expect(await pages({ status: 'DEAD', webhookId: W2 }, 2)).toEqual([['c']]);
        expect(await pages({ status: 'RETRYING', webhookId: W2 }, 2)).toEqual([[]]);
        expect(await pages({ webhookId: parseWebhookId('unknown') }, 2)).toEqual([[]]);
        // The page starts after a delivery that does not match the filter.
        const page = await store.listDeliveries({ status: 'DEAD', after: parseDeliveryId('e'), limit: 1 });
        expect([idsOf(page.deliveries), page.hasMore]).toEqual([['d'], true]);
        for (const status of DELIVERY_STATUSES) {
          for (const each of (await store.listDeliveries({ ...ANY, status })).deliveries)
            expect(each.status).toBe(status);
        }
      });

      it('finds a delivery by its id, with every field', async () => {
        const { store, storeDeliveries } = await make('w1');
        const all = [
          deadDelivery('a', {
            isTest: true,
            shard: 0,
            eventCount: 500,
            events: [],
            lastError: 'It said "no",\n twice.',
          }),
          completedDelivery('b', { lastAttemptAt: null, attempts: 0, lastStatus: null }),
          delivery('c'),
        ];
        await storeDeliveries(...all);
        for (const each of all) expect(await store.findDelivery(each.id)).toEqual(each);
        expect((await store.listDeliveries(ANY)).deliveries).toEqual(all.toReversed());
        expect(await store.findDelivery(parseDeliveryId('d'))).toBeNull();
      });

      it('rejects a page after an unknown delivery with BAD_USER_INPUT', async () => {
        const { store } = await make('w1');
        const query = { after: parseDeliveryId('none'), limit: 5 };
        await expect(store.listDeliveries(query)).rejects.toMatchObject(BAD_USER_INPUT);
        await expect(store.listDeliveries({ ...query, webhookId: W2 })).rejects.toMatchObject(BAD_USER_INPUT);
      });

      it('rejects a page after a delivery of a deleted webhook with BAD_USER_INPUT', async () => {
        const { store, storeDeliveries } = await make('w1', 'w2');
        await storeDeliveries(deadDelivery('kept', { webhookId: W2 }), deadDelivery('a'));
        const query = { after: parseDeliveryId('a'), limit: 5 };
        expect((await store.listDeliveries(query)).deliveries).toMatchObject([{ id: 'kept' }]);
        await store.deleteWebhook(W1);
        await expect(store.listDeliveries(query)).rejects.toMatchObject(BAD_USER_INPUT);
      });

      it('stores a delivery without a lease if its webhook exists', async () => {
        const { store } = await make('w1');
        const test = deadDelivery('t', { isTest: true, shard: null });
        await store.addDelivery(test);
        expect(await store.findDelivery(test.id)).toEqual(test);
        await expect(store.addDelivery(deadDelivery('u', { webhookId: W2 }))).rejects.toMatchObject(BAD_USER_INPUT);
        const [, added] = await Promise.allSettled([store.deleteWebhook(W1), store.addDelivery(deadDelivery('v'))]);
        expect(added).toMatchObject({ status: 'rejected', reason: BAD_USER_INPUT });
        expect((await store.listDeliveries(ANY)).deliveries).toEqual([]);
      });
    });

    describe('requeueDeadDeliveries', () => {
      const revive = (each: Delivery): Delivery => ({
        ...each,
        status: 'RETRYING',
        nextAttemptAt: toMillis(50_000),
        giveUpAt: toMillis(90_000),
      });

      it('moves one DEAD delivery to the null shard, with the given changes', async () => {
        const { store, lease, storeDeliveries } = await make('w1');
        await storeDeliveries(deadDelivery('a', { shard: 6 }), deadDelivery('b'));
        const given = await store.requeueDeadDeliveries({ deliveryId: parseDeliveryId('a') }, revive);
        const revived = revive(deadDelivery('a', { shard: null }));
        expect(given).toEqual([{ ...revived, events: [] }]);
        expect(await store.findDelivery(revived.id)).toEqual(revived);
        expect(await store.listDueDeliveries(await lease(null), toMillis(50_000), 10)).toEqual({
          deliveries: [revived],
          nextDueAt: null,
        });
        expect((await store.readProgress(await lease(6)))?.pendingDelivery).toBeNull();
        expect((await store.findDelivery(parseDeliveryId('b')))?.status).toBe('DEAD');
      });

      it('moves all DEAD deliveries of a webhook, for any number of them', async () => {
        const { store, storeDeliveries } = await make('w1', 'w2');
        const many = Array.from({ length: 70 }, (_, index) => deadDelivery(`d${index}`));
        await storeDeliveries(
          ...many,
          deadDelivery('other', { webhookId: W2 }),
          completedDelivery('done'),
          delivery('pending'),
        );
        const given = await store.requeueDeadDeliveries({ webhookId: W1 }, revive);
        expect(given).toEqual(many.map((each) => revive({ ...each, shard: null, events: [] })));
        const left = await store.listDeliveries({ ...ANY, status: 'DEAD' });
        expect(idsOf(left.deliveries)).toEqual(['other']);
        expect(await store.findDelivery(parseDeliveryId('pending'))).toEqual(delivery('pending'));
        expect(await store.findDelivery(parseDeliveryId('done'))).toEqual(completedDelivery('done'));
      });

      it('changes no delivery that is not DEAD, does not exist, or is to stay DEAD', async () => {
        const { store, storeDeliveries } = await make('w1');
        await storeDeliveries(completedDelivery('done'), delivery('pending'), deadDelivery('empty', { events: [] }));
        for (const id of ['done', 'pending', 'unknown']) {
          expect(await store.requeueDeadDeliveries({ deliveryId: parseDeliveryId(id) }, revive)).toEqual([]);
        }
        expect(await store.requeueDeadDeliveries({ webhookId: W2 }, revive)).toEqual([]);
        const kept = (each: Delivery): Delivery => each;
        expect(await store.requeueDeadDeliveries({ webhookId: W1 }, kept)).toEqual([]);
        expect(await store.findDelivery(parseDeliveryId('empty'))).toEqual(deadDelivery('empty', { events: [] }));
        expect(await store.findDelivery(parseDeliveryId('pending'))).toEqual(delivery('pending'));
      });

      it('moves a delivery only once when two calls run at the same time', async () => {
        const { store, storeDeliveries } = await make('w1');
        await storeDeliveries(...Array.from({ length: 20 }, (_, index) => deadDelivery(`d${index}`)));
        const given = await Promise.all([
          store.requeueDeadDeliveries({ webhookId: W1 }, revive),
          store.requeueDeadDeliveries({ deliveryId: parseDeliveryId('d3') }, revive),
          store.requeueDeadDeliveries({ webhookId: W1 }, revive),
        ]);
        expect(given.flat()).toHaveLength(20);
      });

      it('moves nothing when the change throws', async () => {
        const { store, storeDeliveries } = await make('w1');
        await storeDeliveries(deadDelivery('a'));
        const refuse = (): never => {
          throw new RangeError('no');
        };
        await expect(store.requeueDeadDeliveries({ webhookId: W1 }, refuse)).rejects.toThrow(RangeError);
        expect(await store.findDelivery(parseDeliveryId('a'))).toEqual(deadDelivery('a'));
      });
    });

    describe('retention', () => {
      it('keeps DEAD deliveries for 30 days and DELIVERED ones for one day after their last attempt, and RETRYING ones for ever', async () => {
        const { store, clock, storeDeliveries, removeExpiredData } = await make('w1');
        const settled = { createdAt: addMs(clock.now(), -DAY), lastAttemptAt: clock.now() };
        const untried = { createdAt: clock.now(), lastAttemptAt: null, attempts: 0 };
        await storeDeliveries(
          deadDelivery('dead', settled),
          deadDelivery('lost', untried),
          completedDelivery('done', settled),
          delivery('pending'),
        );
        const left = async (): Promise<readonly DeliveryId[]> => {
          await removeExpiredData();
          return idsOf((await store.listDeliveries(ANY)).deliveries);
        };
        clock.advance(DAY - 1);
        expect(await left()).toEqual(['pending', 'done', 'lost', 'dead']);
        clock.advance(1);
        expect(await left()).toEqual(['pending', 'lost', 'dead']);
        clock.advance(29 * DAY - 1);
        expect(await left()).toEqual(['pending', 'lost', 'dead']);
        clock.advance(1);
        expect(await left()).toEqual(['pending']);
        clock.advance(1_000 * DAY);
        expect(await left()).toEqual(['pending']);
      });

      it('keeps the last 10,000 DELIVERED deliveries of a webhook', async () => {
        const { store, clock, lease, storeDeliveries, removeExpiredData } = await make('w1', 'w2');
        const settled = { lastAttemptAt: clock.now() };
        await storeDeliveries(deadDelivery('dead', settled), completedDelivery('other', { ...settled, webhookId: W2 }));
        const at0 = await lease(0);
        const all = Array.from({ length: 11_500 }, (_, index) => completedDelivery(`d${index}`, settled));
        await Promise.all(all.map((each) => store.saveProgress(at0, { deliveries: [each] })));
        await removeExpiredData();
        for (const index of [1_499, 0]) expect(await store.findDelivery(parseDeliveryId(`d${index}`))).toBeNull();
        for (const index of [1_500, 11_499])
          expect(await store.findDelivery(parseDeliveryId(`d${index}`))).not.toBeNull();
        expect(await store.findDelivery(parseDeliveryId('dead'))).not.toBeNull();
        expect(await store.findDelivery(parseDeliveryId('other'))).not.toBeNull();
      });

      it('rejects a page after a removed delivery with BAD_USER_INPUT', async () => {
        const { store, clock, storeDeliveries, removeExpiredData } = await make('w1');
        await storeDeliveries(completedDelivery('a', { lastAttemptAt: clock.now() }));
        clock.advance(DAY);
        await removeExpiredData();
        await expect(store.listDeliveries({ after: parseDeliveryId('a'), limit: 1 })).rejects.toMatchObject(
          BAD_USER_INPUT,
        );
      });
    });

    it('completes earlier calls when it is closed, and rejects later ones', async () => {
      const { store, close, lease, clock } = await make('w1');
      const at0 = await lease(0);
      const loose = await lease(null);
      const before = [
        store.saveProgress(at0, { position: cursorAt(8), deliveries: [delivery('d')] }),
        store.updateWebhook(W1, (each) => ({ ...each, userStatusOnly: true })),
        store.createWebhook(webhook('w2')),
        store.addDelivery(deadDelivery('e')),
      ];
      const closed = close();
      const refused = [
        store.listWebhooks(),
        store.createWebhook(webhook('w3')),
        store.updateWebhook(W1, (each) => each),
        store.deleteWebhook(W1),
        store.acquireLeases('one', LEASE_MS),
        store.releaseLeases('one'),
        store.readProgress(at0),
        store.saveProgress(at0, { position: cursorAt(9) }),
        store.listDueDeliveries(loose, clock.now(), 1),
        store.listDeliveries(ANY),
        store.findDelivery(parseDeliveryId('d')),
        store.addDelivery(deadDelivery('f')),
        store.requeueDeadDeliveries({ webhookId: W1 }, (each) => each),
      ];
      for (const result of await Promise.allSettled(refused)) {
        expect(result).toMatchObject({ status: 'rejected', reason: { message: 'The store is closed.' } });
      }
      expect(await Promise.all(before)).toMatchObject([true, { userStatusOnly: true }, undefined, undefined]);
      await closed;
    });
  });
};
