import { describe, expect, it } from 'vitest';
import { systemTimers } from '../../../../src/webhooks/delivery/timers.ts';
import { ScanBudget } from '../../../../src/webhooks/delivery/scan-budget.ts';
import { settled } from '../../app/support/waiting.ts';

describe('scans', () => {
  const busy = async (ms: number): Promise<void> => {
    const until = performance.now() + ms;
    while (performance.now() < until);
  };

  it('yield the event loop after 5 ms', async () => {
    const turns = new ScanBudget();
    let rounds = 0;
    let isOver = false;
    const others = (async () => {
      for (; !isOver; rounds++) await settled();
    })();
    for (let looks = 0; looks < 6; looks++) await turns.runWithinBudget(() => busy(6));
    isOver = true;
    await others;
    // Without a yield there is one, at the end.
    expect(rounds).toBeGreaterThanOrEqual(5);
  });

  it('run in order and do not yield within the budget', async () => {
    const turns = new ScanBudget();
    const order: number[] = [];
    const looks = [0, 1, 2, 3].map((look) =>
      turns.runWithinBudget(async () => {
        order.push(look);
        await busy(look === 1 ? 6 : 0);
      }),
    );
    expect(order).toEqual([0, 1]);
    await Promise.all(looks);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  it('reject with the error of the scan', async () => {
    await expect(new ScanBudget().runWithinBudget(() => Promise.reject(new Error('No.')))).rejects.toThrow('No.');
  });
});

describe('a wait', () => {
  it('ends after its time', async () => {
    const { signal } = new AbortController();
    await expect(systemTimers.wait(1, signal)).resolves.toBeUndefined();
  });

  it('ends at once when its signal is aborted, before or during the wait', async () => {
    const ended = new AbortController();
    const waiting = systemTimers.wait(40 * 86_400_000, ended.signal);
    ended.abort();
    await expect(waiting).resolves.toBeUndefined();
    await expect(systemTimers.wait(40 * 86_400_000, ended.signal)).resolves.toBeUndefined();
  });
});
