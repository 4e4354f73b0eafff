import { describe, expect, it } from 'vitest';
import { Stand, userOf, HOOK } from './stand.ts';

describe('what is committed is delivered', () => {
  it('250 ms after the first of it at the latest', async () => {
    const stand = await Stand.atWork();
    const start = stand.store.now();
    await stand.logIn(userOf(0));
    await stand.timers.pass(100);
    await stand.logIn(userOf(0, 1));
    await stand.timers.pass(149);
    expect(stand.receiver.told).toEqual([]);
    await stand.timers.pass(1);
    expect(stand.receiver.told.map(({ at, events }) => [at - start, events])).toEqual([[250, stand.store.events]]);
    expect(await stand.deliveries()).toMatchObject([
      { webhookId: HOOK, status: 'DELIVERED', events: [], eventCount: 2 },
    ]);
    await stand.engine.close();
    expect(stand.warnings).toEqual([]);
    expect(stand.timers.waiting).toBe(0);
  });
});
