/** Leases of shards. */
import { describe, expect, it } from 'vitest';
import { parseDeliveryId, toMillis } from '../../../src/core/ids.ts';
import { cursorAt, delivery, webhook } from '../webhook-records.ts';
import { LEASE_MS, SHARDS, W1, W2, ofShard, type CreateFilledStore } from './setup.ts';

export const leaseContract = (make: CreateFilledStore): void => {
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

      expect(await store.saveProgress(old, { position: cursorAt(99), deliveries: [delivery('d', { shard: 2 })] })).toBe(
        false,
      );
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
};
