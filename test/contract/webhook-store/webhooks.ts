/** Creating, changing and deleting webhooks. */
import { describe, expect, it } from 'vitest';
import { MAX_WEBHOOKS, type Delivery } from '../../../src/app/ports/webhook-store.ts';
import { parseDeliveryId, addMs, toMillis } from '../../../src/core/ids.ts';
import { cursorAt, deadDelivery, completedDelivery, delivery, webhook } from '../webhook-records.ts';
import { ANY, BAD_USER_INPUT, W1, W2, idsOf, type CreateFilledStore } from './setup.ts';

export const webhookContract = (make: CreateFilledStore): void => {
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
      expect(await store.requeueDeadDeliveries({ webhookId: W1 }, (each) => ({ ...each, status: 'RETRYING' }))).toEqual(
        [],
      );
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
};
