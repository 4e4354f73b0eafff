/** Commits of the progress of one shard. */
import { describe, expect, it } from 'vitest';
import type { ProgressUpdate } from '../../../../src/app/ports/webhook-store.ts';
import { toMillis, parseUserId } from '../../../../src/core/ids.ts';
import { LeaseEndedError, type LeaseSession } from '../../../../src/webhooks/delivery/lease-session.ts';
import { ShardProgress } from '../../../../src/webhooks/delivery/shard-progress.ts';
import { cursorAt, delivery } from '../../../contract/webhook-records.ts';

const ALICE = parseUserId('alice');
const NOTHING_SKIPPED = new Map();

/** A progress whose saves end as the test decides. */
const createProgress = (save: (update: ProgressUpdate) => Promise<void>) => {
  const saved: ProgressUpdate[] = [];
  const session: Pick<LeaseSession, 'saveProgress'> & { deps: Pick<LeaseSession['deps'], 'now' | 'random'> } = {
    deps: { now: () => toMillis(1_000), random: () => 0 },
    saveProgress: async (update) => {
      saved.push(update);
      await save(update);
    },
  };
  return { progress: new ShardProgress(session as LeaseSession), saved };
};

describe('the progress of a shard', () => {
  it('is saved with what changed, and not at all without a change', async () => {
    const { progress, saved } = createProgress(() => Promise.resolve());
    const scanned = { scannedThrough: cursorAt(9), skipped: NOTHING_SKIPPED };
    await progress.commit(() => ({ scanned, deliveries: [delivery('a')] }));
    await progress.commit(() => ({ scanned }));
    await progress.commit(() => ({ deliveries: [delivery('b')] }));
    expect(saved).toEqual([{ position: cursorAt(9), deliveries: [delivery('a')] }, { deliveries: [delivery('b')] }]);
  });

  it('saves the skipped events of an isolated user with the position behind them', async () => {
    const { progress, saved } = createProgress(() => Promise.resolve());
    const alice = { userId: ALICE, position: cursorAt(9), skippedThrough: null, pendingDelivery: null };
    await progress.commit(() => ({
      scanned: { scannedThrough: cursorAt(9), skipped: NOTHING_SKIPPED },
      isolatedUsers: [alice],
    }));
    await progress.advanceTo({ scannedThrough: cursorAt(12), skipped: new Map([[ALICE, cursorAt(11)]]) });
    expect(saved).toHaveLength(1);
    await progress.commit(() => ({}));
    expect(saved[1]).toEqual({
      position: cursorAt(12),
      isolatedUsers: [{ ...alice, skippedThrough: cursorAt(11) }],
    });
    expect(await progress.rejoinUser(ALICE)).toBe(false);
  });

  it('saves nothing after a failed save, because later changes build on it', async () => {
    const { progress, saved } = createProgress(() => Promise.reject(new LeaseEndedError()));
    const first = progress.commit(() => ({ scanned: { scannedThrough: cursorAt(9), skipped: NOTHING_SKIPPED } }));
    const second = progress.commit(() => ({ deliveries: [delivery('b')] }));
    await expect(first).rejects.toThrow(LeaseEndedError);
    await expect(second).rejects.toThrow(LeaseEndedError);
    expect(saved).toEqual([{ position: cursorAt(9) }]);
  });
});
