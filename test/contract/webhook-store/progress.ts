/** The progress of shards and of isolated users. */
import { describe, expect, it } from 'vitest';
import type { IsolatedUser } from '../../../src/app/ports/webhook-store.ts';
import { parseUserId, toMillis, type UserId } from '../../../src/core/ids.ts';
import { cursorAt, completedDelivery, delivery, webhook } from '../webhook-records.ts';
import { ANY, LEASE_MS, SHARDS, W1, W2, type CreateFilledStore } from './setup.ts';

export const progressContract = (make: CreateFilledStore): void => {
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
};
