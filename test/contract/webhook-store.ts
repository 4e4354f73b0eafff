/**
 * What every webhook store does, whichever it is. An adapter passes all of it or is none:
 * `webhookStoreContract('name', makeStore)` in a test file of its own.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { MAX_WEBHOOKS, type Delivery, type ShardLease, type WebhookStore } from '../../src/app/ports/webhook-store.ts';
import { parseDeliveryId, addMs, toMillis, parseWebhookId, type DeliveryId } from '../../src/core/ids.ts';
import { SHARDS_PER_WEBHOOK, type Shard } from '../../src/core/webhooks/webhook.ts';
import { DELIVERY_STATUSES } from '../../src/core/enums.ts';
import { VirtualClock } from './virtual-clock.ts';
import { cursorAt, dead, delivered, delivery, webhook } from './webhook-records.ts';

export interface WebhookStoreUnderTest {
  readonly store: WebhookStore;
  /** Does all the work that retention has by now. */
  readonly purge: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Makes a new, empty store. The suite closes it. */
export type MakeWebhookStore = (clock: VirtualClock) => Promise<WebhookStoreUnderTest>;

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

export const webhookStoreContract = (name: string, makeStore: MakeWebhookStore): void => {
  describe(`${name} as a webhook store`, () => {
    const opened: WebhookStoreUnderTest[] = [];
    const make = async (...ids: readonly string[]) => {
      const clock = new VirtualClock();
      const made = await makeStore(clock);
      opened.push(made);
      for (const id of ids) await made.store.createWebhook(webhook(id));
      const lease = async (shard: Shard | null, { holder = 'one', id = W1 } = {}): Promise<ShardLease> =>
        ofShard(await made.store.acquireLeases(holder, LEASE_MS), shard, id);
      /** Keeps deliveries of shard 0, as they stand, in this order. */
      const keep = async (...deliveries: readonly Delivery[]): Promise<void> => {
        for (const each of deliveries) {
          expect(
            await made.store.saveProgress(await lease(each.shard, { id: each.webhookId }), { delivery: each }),
          ).toBe(true);
        }
      };
      return { ...made, clock, lease, keep };
    };
    afterEach(async () => {
      await Promise.all(opened.splice(0).map(({ close }) => close()));
    });

    describe('webhooks', () => {
      it('are kept with everything that is known of them, in the order in which they were made', async () => {
        const { store } = await make();
        expect(await store.listWebhooks()).toEqual([]);
        const made = [
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
        for (const each of made) await store.createWebhook(each);
        expect(await store.listWebhooks()).toEqual(made);
      });

      it('are changed one change after another, each deciding by what the one before has left', async () => {
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

      it('are as they were when a change is refused, and the next change is made', async () => {
        const { store } = await make('w1');
        const refuse = (): never => {
          throw new RangeError('no');
        };
        const [refused, made] = await Promise.allSettled([
          store.updateWebhook(W1, refuse),
          store.updateWebhook(W1, (each) => ({ ...each, userStatusOnly: true })),
        ]);
        expect(refused).toMatchObject({ status: 'rejected', reason: { message: 'no' } });
        expect(made).toMatchObject({ status: 'fulfilled', value: webhook('w1', { userStatusOnly: true }) });
      });

      it('that are not there can be neither changed nor deleted', async () => {
        const { store } = await make('w1');
        const decide = (): never => {
          throw new Error('There is nothing to decide.');
        };
        expect(await store.updateWebhook(W2, decide)).toBeNull();
        expect(await store.deleteWebhook(W2)).toBeNull();
        expect(await store.listWebhooks()).toHaveLength(1);
      });

      it(`are ${MAX_WEBHOOKS} at the most`, async () => {
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

      it('are deleted with their positions and deliveries', async () => {
        const { store, keep, lease } = await make('w1', 'w2');
        await store.saveProgress(await lease(3), { position: cursorAt(30) });
        await keep(dead('d1'), dead('e1', { webhookId: W2 }), delivered('d2'), delivery('d3'));
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
        expect(await store.readProgress(await lease(3))).toEqual({ position: cursorAt(7), pendingDelivery: null });
      });

      it('tell whoever listens that they were made, changed or deleted, and that deliveries are to be made again', async () => {
        const { store, keep } = await make('w1');
        let told = 0;
        const toldBy = async (work: () => Promise<unknown>): Promise<number> => {
          const before = told;
          await work();
          return told - before;
        };
        const end = store.onWebhooksChanged(() => told++);
        expect(await toldBy(() => store.createWebhook(webhook('w2')))).toBe(1);
        expect(await toldBy(() => store.updateWebhook(W1, (each) => ({ ...each, userStatusOnly: true })))).toBe(1);
        expect(await toldBy(() => store.deleteWebhook(W2))).toBe(1);
        expect(await toldBy(() => keep(dead('d1')))).toBe(0);
        const revive = (each: Delivery): Delivery => ({ ...each, status: 'RETRYING', nextAttemptAt: toMillis(1) });
        expect(await toldBy(() => store.requeueDeadDeliveries({ webhookId: W1 }, revive))).toBe(1);
        // Nothing has changed.
        expect(await toldBy(() => store.updateWebhook(W1, (each) => each))).toBe(0);
        expect(await toldBy(() => store.deleteWebhook(W2))).toBe(0);
        expect(await toldBy(() => store.requeueDeadDeliveries({ webhookId: W1 }, revive))).toBe(0);
        end();
        expect(await toldBy(() => store.deleteWebhook(W1))).toBe(0);
      });

      it('show what has changed to whoever is told of it', async () => {
        const { store } = await make('w1');
        const seen = new Promise<unknown>((resolve) => store.onWebhooksChanged(() => resolve(store.listWebhooks())));
        await store.updateWebhook(W1, (each) => ({ ...each, state: 'PAUSED' }));
        expect(await seen).toMatchObject([{ state: 'PAUSED' }]);
      });
    });

    describe('a lease', () => {
      it('is had of every shard of every ACTIVE webhook, and of the null one', async () => {
        const { store, clock } = await make('w1', 'w2');
        await store.createWebhook(webhook('paused', { state: 'PAUSED' }));
        await store.createWebhook(webhook('gone', { state: 'GONE' }));
        const leases = await store.acquireLeases('one', LEASE_MS);
        const had = leases.map((lease) => [lease.webhookId, lease.shard]);
        expect(had).toHaveLength(2 * SHARDS.length);
        for (const id of [W1, W2]) for (const shard of SHARDS) expect(had).toContainEqual([id, shard]);
        expect(new Set(leases.map(({ expiresAt }) => expiresAt))).toEqual(new Set([clock.now() + LEASE_MS]));
      });

      it('is had by one at a time', async () => {
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

      it('is renewed with the same token, and holds for as long', async () => {
        const { store, clock, lease } = await make('w1');
        const first = await lease(5);
        clock.advance(LEASE_MS - 1);
        const second = await lease(5);
        expect(second).toEqual({ ...first, expiresAt: clock.now() + LEASE_MS });
        clock.advance(LEASE_MS - 1);
        // By the token: whoever has the lease as it was before may go on.
        expect(await store.saveProgress(first, { position: cursorAt(8) })).toBe(true);
        expect(await store.acquireLeases('two', LEASE_MS)).toEqual([]);
        clock.advance(1);
        expect(await store.saveProgress(second, { position: cursorAt(9) })).toBe(false);
        expect(await store.acquireLeases('two', LEASE_MS)).toHaveLength(SHARDS.length);
      });

      it('that has run out is taken by another with a higher token, and lost for ever', async () => {
        const { store, clock, lease } = await make('w1');
        const [old, oldNull] = [await lease(2), await lease(null)];
        await store.saveProgress(old, { position: cursorAt(20) });
        clock.advance(LEASE_MS);
        const taken = await lease(2, { holder: 'two' });
        expect(taken.token).toBeGreaterThan(old.token);

        expect(await store.saveProgress(old, { position: cursorAt(99), delivery: delivery('d', { shard: 2 }) })).toBe(
          false,
        );
        expect(await store.readProgress(old)).toBeNull();
        expect(await store.listDueDeliveries(oldNull, clock.now(), 10)).toBeNull();
        expect(await store.findDelivery(parseDeliveryId('d'))).toBeNull();
        expect(await store.readProgress(taken)).toEqual({ position: cursorAt(20), pendingDelivery: null });
        expect(await store.acquireLeases('one', LEASE_MS)).toEqual([]);

        clock.advance(LEASE_MS);
        const again = await lease(2);
        expect(again.token).toBeGreaterThan(taken.token);
        expect(await store.saveProgress(old, { position: cursorAt(99) })).toBe(false);
        expect(await store.saveProgress(again, { position: cursorAt(21) })).toBe(true);
      });

      it('that has run out is lost though nobody has taken it: its holder gets another', async () => {
        const { store, clock, lease } = await make('w1');
        const old = await lease(2);
        clock.advance(LEASE_MS);
        expect(await store.saveProgress(old, { position: cursorAt(9) })).toBe(false);
        const fresh = await lease(2);
        expect(fresh.token).toBeGreaterThan(old.token);
        expect(await store.saveProgress(old, { position: cursorAt(9) })).toBe(false);
      });

      it('shows the next holder whatever the one before had the right to write, though that is not answered yet', async () => {
        const { store, clock, lease } = await make('w1');
        const old = await lease(2);
        clock.advance(LEASE_MS - 1);
        const noted = store.saveProgress(old, { position: cursorAt(20), delivery: delivery('d', { shard: 2 }) });
        clock.advance(1);
        const progress = await store.readProgress(await lease(2, { holder: 'two' }));
        expect(await noted).toBe(true);
        expect(progress).toEqual({ position: cursorAt(20), pendingDelivery: delivery('d', { shard: 2 }) });
      });

      it('that is released is free at once, and lost', async () => {
        const { store, lease } = await make('w1', 'w2');
        const [old, oldNull] = [await lease(0), await lease(null)];
        await store.releaseLeases('nobody');
        expect(await store.acquireLeases('two', LEASE_MS)).toEqual([]);
        await store.releaseLeases('one');
        expect(await store.saveProgress(old, { position: cursorAt(8) })).toBe(false);
        expect(await store.readProgress(old)).toBeNull();
        expect(await store.listDueDeliveries(oldNull, toMillis(0), 1)).toBeNull();
        const taken = await store.acquireLeases('two', LEASE_MS);
        expect(taken).toHaveLength(2 * SHARDS.length);
        expect(ofShard(taken, 0).token).toBeGreaterThan(old.token);
      });

      it('of a webhook that is deleted is lost', async () => {
        const { store, lease } = await make('w1');
        const [old, oldNull] = [await lease(0), await lease(null)];
        const early = store.saveProgress(old, { position: cursorAt(8) });
        const deleted = store.deleteWebhook(W1);
        // By then it is on its way to the disk, but not there.
        await Promise.resolve();
        const late = store.saveProgress(old, { position: cursorAt(9), delivery: delivery('d') });
        await deleted;
        expect([await early, await late]).toEqual([true, false]);
        expect(await store.saveProgress(old, { delivery: delivery('e') })).toBe(false);
        expect(await store.readProgress(old)).toBeNull();
        expect(await store.listDueDeliveries(oldNull, toMillis(0), 1)).toBeNull();
        expect(await store.findDelivery(parseDeliveryId('d'))).toBeNull();
        expect(await store.acquireLeases('one', LEASE_MS)).toEqual([]);
        // Nothing of it is left that could be another's.
        await store.createWebhook(webhook('w1'));
        expect(await store.readProgress(await lease(0))).toEqual({ position: cursorAt(7), pendingDelivery: null });
      });

      it.each(['PAUSED', 'GONE'] as const)(
        'of a webhook that is %s is not renewed, but good until it is over',
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
          });
        },
      );
    });

    describe('a note', () => {
      it('moves the position of its shard alone, which begins where its webhook does', async () => {
        const { store, lease } = await make('w1', 'w2');
        for (const shard of SHARDS) {
          expect(await store.readProgress(await lease(shard))).toEqual({
            position: cursorAt(7),
            pendingDelivery: null,
          });
        }
        expect(await store.saveProgress(await lease(4), { position: cursorAt(40) })).toBe(true);
        expect(await store.saveProgress(await lease(4), { position: cursorAt(41) })).toBe(true);
        expect(await store.saveProgress(await lease(4), {})).toBe(true);
        expect(await store.readProgress(await lease(4))).toEqual({ position: cursorAt(41), pendingDelivery: null });
        expect(await store.readProgress(await lease(5))).toEqual({ position: cursorAt(7), pendingDelivery: null });
        expect((await store.readProgress(await lease(4, { id: W2 })))?.position).toEqual(cursorAt(7));
      });

      it('keeps a RETRYING delivery, whole, as the one pending of its shard, until it is settled', async () => {
        const { store, lease } = await make('w1', 'w2');
        const at3 = await lease(3);
        const retrying = delivery('d', { shard: 3, lastStatus: null, giveUpAt: toMillis(99_000) });
        expect(await store.saveProgress(at3, { position: cursorAt(9), delivery: retrying })).toBe(true);
        expect(await store.readProgress(at3)).toEqual({ position: cursorAt(9), pendingDelivery: retrying });
        expect((await store.readProgress(await lease(0)))?.pendingDelivery).toBeNull();
        expect((await store.readProgress(await lease(3, { id: W2 })))?.pendingDelivery).toBeNull();
        expect(await store.findDelivery(retrying.id)).toEqual(retrying);

        const again = { ...retrying, attempts: 2, lastAttemptAt: toMillis(13_000), nextAttemptAt: toMillis(15_000) };
        await store.saveProgress(at3, { delivery: again });
        expect(await store.readProgress(at3)).toEqual({ position: cursorAt(9), pendingDelivery: again });
        const taken = delivered('d', { shard: 3, attempts: 3, lastAttemptAt: toMillis(15_000) });
        await store.saveProgress(at3, { delivery: taken });
        expect(await store.readProgress(at3)).toEqual({ position: cursorAt(9), pendingDelivery: null });
        expect((await store.listDeliveries(ANY)).deliveries).toEqual([taken]);
      });

      it('cannot be of another shard than the lease, nor move the null one', async () => {
        const { store, lease } = await make('w1', 'w2');
        const at0 = await lease(0);
        for (const given of [{ shard: 1 }, { shard: null }, { webhookId: W2 }]) {
          await expect(
            store.saveProgress(at0, { position: cursorAt(9), delivery: delivery('d', given) }),
          ).rejects.toThrow(TypeError);
        }
        await expect(store.saveProgress(await lease(null), { position: cursorAt(9) })).rejects.toThrow(TypeError);
        expect(await store.readProgress(at0)).toEqual({ position: cursorAt(7), pendingDelivery: null });
        expect((await store.listDeliveries(ANY)).deliveries).toEqual([]);
      });
    });

    describe('what is due of the null shard', () => {
      it('is told the earliest first, and when the first of the others will be', async () => {
        const { store, lease, keep } = await make('w1', 'w2');
        const loose = await lease(null);
        expect(await store.listDueDeliveries(loose, toMillis(1_000_000), 10)).toEqual({
          deliveries: [],
          nextDueAt: null,
        });
        const at = (id: string, moment: number, given: Partial<Delivery> = {}): Delivery =>
          delivery(id, { shard: null, nextAttemptAt: toMillis(moment), ...given });
        const [a, b, c] = [at('a', 3_000), at('b', 1_000), at('c', 2_000)];
        await keep(a, b, c, at('other', 500, { webhookId: W2 }), delivery('sharded', { nextAttemptAt: toMillis(1) }));
        await keep(dead('dead', { shard: null }), delivered('done', { shard: null }));

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

        await keep({ ...b, nextAttemptAt: toMillis(9_000), attempts: 2 }, delivered('c', { shard: null }));
        expect(await store.listDueDeliveries(loose, toMillis(5_000), 10)).toEqual({
          deliveries: [a],
          nextDueAt: 9_000,
        });
      });
    });

    describe('deliveries', () => {
      it('are paged through, the latest first, each where it was first put', async () => {
        const { store, keep } = await make('w1', 'w2');
        await keep(
          dead('a'),
          delivered('b'),
          dead('c', { webhookId: W2 }),
          dead('d'),
          delivery('e'),
          delivered('f', { webhookId: W2 }),
        );
        await keep(delivered('a', { attempts: 9 }));
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
        // Right after one that does not match itself.
        const page = await store.listDeliveries({ status: 'DEAD', after: parseDeliveryId('e'), limit: 1 });
        expect([idsOf(page.deliveries), page.hasMore]).toEqual([['d'], true]);
        for (const status of DELIVERY_STATUSES) {
          for (const each of (await store.listDeliveries({ ...ANY, status })).deliveries)
            expect(each.status).toBe(status);
        }
      });

      it('are found by id, with everything that is known of them', async () => {
        const { store, keep } = await make('w1');
        const all = [
          dead('a', { isTest: true, shard: 0, eventCount: 500, events: [], lastError: 'It said "no",\n twice.' }),
          delivered('b', { lastAttemptAt: null, attempts: 0, lastStatus: null }),
          delivery('c'),
        ];
        await keep(...all);
        for (const each of all) expect(await store.findDelivery(each.id)).toEqual(each);
        expect((await store.listDeliveries(ANY)).deliveries).toEqual(all.toReversed());
        expect(await store.findDelivery(parseDeliveryId('d'))).toBeNull();
      });

      it('are not paged on from one that is not there', async () => {
        const { store } = await make('w1');
        const query = { after: parseDeliveryId('none'), limit: 5 };
        await expect(store.listDeliveries(query)).rejects.toMatchObject(BAD_USER_INPUT);
        await expect(store.listDeliveries({ ...query, webhookId: W2 })).rejects.toMatchObject(BAD_USER_INPUT);
      });

      it('are not paged on from one of a webhook that was deleted', async () => {
        const { store, keep } = await make('w1', 'w2');
        await keep(dead('kept', { webhookId: W2 }), dead('a'));
        const query = { after: parseDeliveryId('a'), limit: 5 };
        expect((await store.listDeliveries(query)).deliveries).toMatchObject([{ id: 'kept' }]);
        await store.deleteWebhook(W1);
        await expect(store.listDeliveries(query)).rejects.toMatchObject(BAD_USER_INPUT);
      });

      it('that nobody leases are kept too, if their webhook is there', async () => {
        const { store } = await make('w1');
        const test = dead('t', { isTest: true, shard: null });
        await store.addDelivery(test);
        expect(await store.findDelivery(test.id)).toEqual(test);
        await expect(store.addDelivery(dead('u', { webhookId: W2 }))).rejects.toMatchObject(BAD_USER_INPUT);
        const [, added] = await Promise.allSettled([store.deleteWebhook(W1), store.addDelivery(dead('v'))]);
        expect(added).toMatchObject({ status: 'rejected', reason: BAD_USER_INPUT });
        expect((await store.listDeliveries(ANY)).deliveries).toEqual([]);
      });
    });

    describe('redelivering', () => {
      const revive = (each: Delivery): Delivery => ({
        ...each,
        status: 'RETRYING',
        nextAttemptAt: toMillis(50_000),
        giveUpAt: toMillis(90_000),
      });

      it('gives one that is DEAD to the null shard, as it is changed', async () => {
        const { store, lease, keep } = await make('w1');
        await keep(dead('a', { shard: 6 }), dead('b'));
        const given = await store.requeueDeadDeliveries({ deliveryId: parseDeliveryId('a') }, revive);
        const revived = revive(dead('a', { shard: null }));
        expect(given).toEqual([{ ...revived, events: [] }]);
        expect(await store.findDelivery(revived.id)).toEqual(revived);
        expect(await store.listDueDeliveries(await lease(null), toMillis(50_000), 10)).toEqual({
          deliveries: [revived],
          nextDueAt: null,
        });
        expect((await store.readProgress(await lease(6)))?.pendingDelivery).toBeNull();
        expect((await store.findDelivery(parseDeliveryId('b')))?.status).toBe('DEAD');
      });

      it('gives all of a webhook that are DEAD, however many', async () => {
        const { store, keep } = await make('w1', 'w2');
        const many = Array.from({ length: 70 }, (_, index) => dead(`d${index}`));
        await keep(...many, dead('other', { webhookId: W2 }), delivered('done'), delivery('pending'));
        const given = await store.requeueDeadDeliveries({ webhookId: W1 }, revive);
        expect(given).toEqual(many.map((each) => revive({ ...each, shard: null, events: [] })));
        const left = await store.listDeliveries({ ...ANY, status: 'DEAD' });
        expect(idsOf(left.deliveries)).toEqual(['other']);
        expect(await store.findDelivery(parseDeliveryId('pending'))).toEqual(delivery('pending'));
        expect(await store.findDelivery(parseDeliveryId('done'))).toEqual(delivered('done'));
      });

      it('leaves alone what is not DEAD, not there, or is to stay DEAD', async () => {
        const { store, keep } = await make('w1');
        await keep(delivered('done'), delivery('pending'), dead('empty', { events: [] }));
        for (const id of ['done', 'pending', 'unknown']) {
          expect(await store.requeueDeadDeliveries({ deliveryId: parseDeliveryId(id) }, revive)).toEqual([]);
        }
        expect(await store.requeueDeadDeliveries({ webhookId: W2 }, revive)).toEqual([]);
        const kept = (each: Delivery): Delivery => each;
        expect(await store.requeueDeadDeliveries({ webhookId: W1 }, kept)).toEqual([]);
        expect(await store.findDelivery(parseDeliveryId('empty'))).toEqual(dead('empty', { events: [] }));
        expect(await store.findDelivery(parseDeliveryId('pending'))).toEqual(delivery('pending'));
      });

      it('gives nothing twice, though it is asked for twice at once', async () => {
        const { store, keep } = await make('w1');
        await keep(...Array.from({ length: 20 }, (_, index) => dead(`d${index}`)));
        const given = await Promise.all([
          store.requeueDeadDeliveries({ webhookId: W1 }, revive),
          store.requeueDeadDeliveries({ deliveryId: parseDeliveryId('d3') }, revive),
          store.requeueDeadDeliveries({ webhookId: W1 }, revive),
        ]);
        expect(given.flat()).toHaveLength(20);
      });

      it('gives nothing when that is refused', async () => {
        const { store, keep } = await make('w1');
        await keep(dead('a'));
        const refuse = (): never => {
          throw new RangeError('no');
        };
        await expect(store.requeueDeadDeliveries({ webhookId: W1 }, refuse)).rejects.toThrow(RangeError);
        expect(await store.findDelivery(parseDeliveryId('a'))).toEqual(dead('a'));
      });
    });

    describe('retention', () => {
      it('keeps DEAD ones for 30 days and DELIVERED ones for one, from when they were settled; RETRYING ones for ever', async () => {
        const { store, clock, keep, purge } = await make('w1');
        const settled = { createdAt: addMs(clock.now(), -DAY), lastAttemptAt: clock.now() };
        const untried = { createdAt: clock.now(), lastAttemptAt: null, attempts: 0 };
        await keep(dead('dead', settled), dead('lost', untried), delivered('done', settled), delivery('pending'));
        const left = async (): Promise<readonly DeliveryId[]> => {
          await purge();
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

      it('keeps the last 10,000 DELIVERED ones of a webhook', async () => {
        const { store, clock, lease, keep, purge } = await make('w1', 'w2');
        const settled = { lastAttemptAt: clock.now() };
        await keep(dead('dead', settled), delivered('other', { ...settled, webhookId: W2 }));
        const at0 = await lease(0);
        const all = Array.from({ length: 11_500 }, (_, index) => delivered(`d${index}`, settled));
        await Promise.all(all.map((each) => store.saveProgress(at0, { delivery: each })));
        await purge();
        for (const index of [1_499, 0]) expect(await store.findDelivery(parseDeliveryId(`d${index}`))).toBeNull();
        for (const index of [1_500, 11_499])
          expect(await store.findDelivery(parseDeliveryId(`d${index}`))).not.toBeNull();
        expect(await store.findDelivery(parseDeliveryId('dead'))).not.toBeNull();
        expect(await store.findDelivery(parseDeliveryId('other'))).not.toBeNull();
      });

      it('leaves nothing to page on from where it has removed', async () => {
        const { store, clock, keep, purge } = await make('w1');
        await keep(delivered('a', { lastAttemptAt: clock.now() }));
        clock.advance(DAY);
        await purge();
        await expect(store.listDeliveries({ after: parseDeliveryId('a'), limit: 1 })).rejects.toMatchObject(
          BAD_USER_INPUT,
        );
      });
    });

    it('refuses everything once it is closed, and has finished what was asked for before', async () => {
      const { store, close, lease, clock } = await make('w1');
      const at0 = await lease(0);
      const loose = await lease(null);
      const before = [
        store.saveProgress(at0, { position: cursorAt(8), delivery: delivery('d') }),
        store.updateWebhook(W1, (each) => ({ ...each, userStatusOnly: true })),
        store.createWebhook(webhook('w2')),
        store.addDelivery(dead('e')),
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
        store.addDelivery(dead('f')),
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
