/** Removal of old deliveries, and calls while the store is closed. */
import { describe, expect, it } from 'vitest';
import { parseDeliveryId, addMs, type DeliveryId } from '../../../src/core/ids.ts';
import { cursorAt, deadDelivery, completedDelivery, delivery, webhook } from '../webhook-records.ts';
import { ANY, BAD_USER_INPUT, DAY, LEASE_MS, W1, W2, idsOf, type CreateFilledStore } from './setup.ts';

export const retentionAndClosingContract = (make: CreateFilledStore): void => {
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
};
