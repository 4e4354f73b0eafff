/** Due, listed and requeued deliveries. */
import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../src/app/ports/webhook-store.ts';
import { parseDeliveryId, toMillis, parseWebhookId, type DeliveryId } from '../../../src/core/ids.ts';
import { DELIVERY_STATUSES } from '../../../src/core/enums.ts';
import { deadDelivery, completedDelivery, delivery } from '../webhook-records.ts';
import { ANY, BAD_USER_INPUT, W1, W2, idsOf, type CreateFilledStore } from './setup.ts';

export const deliveryContract = (make: CreateFilledStore): void => {
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
};
