/** Retries of failed deliveries, and of the deliveries that wait behind them. */
import { describe, expect, it } from 'vitest';
import type { AttemptReport } from '../../../../src/app/ports/webhook-store.ts';
import { addMs } from '../../../../src/core/ids.ts';
import { deferred } from '../../app/support/waiting.ts';
import { hangUntilAborted, rejectWithStatus, acceptDelivery } from '../support/fake-sender.ts';
import {
  ALL_SHARDS,
  WEBHOOK_ID,
  OTHER_WEBHOOK_ID,
  DeliveryHarness,
  userIdOfShard,
} from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

describe('a failed delivery', () => {
  it('is retried unchanged, and no later event of its shard overtakes it', async () => {
    const harness = await DeliveryHarness.start();
    const start = harness.store.now();
    harness.sender.respond = () => rejectWithStatus(500);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(3_500);
    // Half of 1 s, 2 s, 4 s …
    expect(harness.sender.attempts.map(({ at }) => at - start)).toEqual([250, 750, 1_750, 3_750]);
    harness.sender.respond = acceptDelivery;
    await harness.timers.advance(4_000);
    const [first] = harness.sender.attempts;
    expect(harness.sender.attempts.map(({ id, events }) => [id === first?.id, events])).toEqual([
      ...Array.from({ length: 5 }, () => [true, harness.store.events.slice(0, 1)]),
      [false, harness.store.events.slice(1)],
    ]);
    expect(await harness.deliveries('DELIVERED')).toMatchObject([{ attempts: 1 }, { attempts: 5, lastStatus: 200 }]);
  });

  it('is saved with its events and retried at its time after a restart', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(500, { retryAfterMs: MINUTE });
    const events = await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    await harness.engine.close();
    const progress = await harness.readProgress(0);
    expect(progress).toMatchObject({
      position: events[0]?.cursor,
      pendingDelivery: { events, attempts: 1, lastStatus: 500 },
    });

    harness.sender.respond = acceptDelivery;
    await harness.logIn(userIdOfShard(0));
    const other = harness.createEngine();
    other.start();
    await harness.timers.advance(MINUTE - 1);
    expect(harness.sender.attempts).toHaveLength(1);
    await harness.timers.advance(1);
    expect(harness.sender.attempts.map(({ id }) => id === progress?.pendingDelivery?.id)).toEqual([true, true, false]);
    await other.close();
  });

  it('is retried at once when the webhook changes', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(500, { retryAfterMs: 60 * MINUTE });
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(1);
    await harness.updateWebhook({ url: 'https://elsewhere.example/' });
    await settleEngines();
    expect(harness.sender.attempts.map(({ webhook }) => webhook.url)).toEqual([
      'https://receiver.example/hook',
      'https://elsewhere.example/',
    ]);
    // Only once: the webhook has not changed since the last attempt.
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(2);
  });

  it('is retried only with the events that the receiver has not accepted', async () => {
    const harness = await DeliveryHarness.start();
    await harness.logIn(userIdOfShard(0));
    await harness.logIn(userIdOfShard(0));
    harness.sender.respond = () => rejectWithStatus(503, { deliveredEventCount: 2 });
    await harness.timers.advance(250);
    harness.sender.respond = acceptDelivery;
    await harness.timers.advance(1_000);
    const { events } = harness.store;
    expect(harness.sender.attempts.map((sent) => sent.events)).toEqual([events, events.slice(2)]);
    expect(harness.engine.collectStats()).toMatchObject({
      deliveredEvents: 3,
      attemptsByResult: { TAKEN: 1, REFUSED: 1 },
    });
  });

  it('becomes DEAD after the retry period, and the expired deliveries behind it get one attempt 1 s later', async () => {
    const harness = await DeliveryHarness.start({ retryForMs: 5 * MINUTE });
    harness.sender.respond = () => rejectWithStatus(500);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    await harness.logIn(userIdOfShard(0));
    const firstSentAt = addMs(harness.store.now(), -250);
    await harness.timers.advance(5 * MINUTE - 251);
    expect(await harness.deliveries('DEAD')).toEqual([]);
    await harness.timers.advance(1);
    const events = harness.store.events.slice(0, 1);
    expect(await harness.deliveries('DEAD')).toMatchObject([{ events, lastAttemptAt: firstSentAt + 5 * MINUTE }]);
    const times = harness.sender.attempts.length;
    await harness.timers.advance(999);
    expect(harness.sender.attempts).toHaveLength(times);
    await harness.timers.advance(1);
    expect(harness.sender.attempts).toHaveLength(times + 1);
    expect(await harness.deliveries('DEAD')).toMatchObject([{ eventCount: 2, attempts: 1 }, { eventCount: 1 }]);
    expect(harness.engine.collectStats().deadDeliveries).toBe(2);
    expect(harness.warnings).toEqual([]);
  });

  it('is retried with a warning when the sender throws', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => {
      throw new TypeError('A bug.');
    };
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    expect(harness.warnings).toEqual([
      'A webhook delivery attempt failed because of an internal error; it is retried.',
    ]);
    expect(await harness.deliveries('RETRYING')).toMatchObject([{ lastStatus: null, attempts: 1 }]);
    harness.sender.respond = acceptDelivery;
    await harness.timers.advance(1_000);
    expect(await harness.deliveries('RETRYING')).toEqual([]);
  });
});

describe('independent shards', () => {
  it('are not delayed by a hanging shard or another webhook', async () => {
    const harness = await DeliveryHarness.start();
    await harness.createWebhook({ id: OTHER_WEBHOOK_ID });
    await settleEngines();
    harness.sender.respond = (sent, signal) =>
      sent.webhook.id === WEBHOOK_ID && sent.delivery.shard === 0
        ? hangUntilAborted(sent, signal)
        : acceptDelivery(sent);
    for (const shard of ALL_SHARDS) await harness.logIn(userIdOfShard(shard));
    await harness.timers.advance(250);
    for (const shard of ALL_SHARDS) await harness.logIn(userIdOfShard(shard));
    await harness.timers.advance(250);
    const attemptsOf = (id: typeof WEBHOOK_ID) => harness.sender.attempts.filter(({ webhook }) => webhook.id === id);
    expect(attemptsOf(WEBHOOK_ID)).toHaveLength(1 + 7 * 2);
    expect(attemptsOf(OTHER_WEBHOOK_ID)).toHaveLength(8 * 2);
    expect(harness.engine.collectStats()).toMatchObject({
      activeShards: 18,
      oldestPendingEventAt: harness.store.events[0]?.occurredAt,
    });
  });
});

describe('a receiver that answers 410', () => {
  it('gets no deliveries until its webhook is enabled, and then continues', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(410);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'GONE', changedAt: harness.store.now() }]);
    expect(await harness.deliveries()).toMatchObject([
      { status: 'RETRYING', events: harness.store.events, attempts: 1 },
    ]);
    expect(harness.engine.collectStats()).toMatchObject({ goneWebhooks: 1, activeShards: 0 });
    await harness.logIn(userIdOfShard(0));
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(1);

    harness.sender.respond = acceptDelivery;
    await harness.updateWebhook({ state: 'ACTIVE' });
    await settleEngines();
    expect(harness.sender.attempts.map(({ events }) => events.map(({ userId }) => userId))).toEqual([
      [userIdOfShard(0)],
      [userIdOfShard(0)],
      [userIdOfShard(1)],
      [userIdOfShard(0), userIdOfShard(0)],
    ]);
  });

  it('is not set to GONE by a response to a request from before it was enabled', async () => {
    const harness = await DeliveryHarness.start();
    const late = deferred<AttemptReport>();
    harness.sender.respond = ({ events }) =>
      events[0]?.userId === userIdOfShard(1) ? late.promise : rejectWithStatus(410);
    await harness.logIn(userIdOfShard(0));
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(250);
    expect(harness.sender.attempts).toHaveLength(2);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'GONE' }]);

    await harness.timers.advance(MINUTE / 10);
    harness.sender.respond = acceptDelivery;
    await harness.updateWebhook({ state: 'ACTIVE' });
    late.resolve(rejectWithStatus(410));
    await harness.timers.advance(MINUTE);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'ACTIVE' }]);
    expect(await harness.deliveries('DELIVERED')).toHaveLength(2);
    expect(harness.engine.collectStats().goneWebhooks).toBe(1);
  });

  it('is not set to GONE if the URL has changed since the request', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = async ({ webhook }) => {
      if (webhook.url !== 'https://receiver.example/hook') return rejectWithStatus(500);
      await harness.updateWebhook({ url: 'https://elsewhere.example/' });
      return rejectWithStatus(410);
    };
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'ACTIVE' }]);
    expect(harness.sender.attempts).toHaveLength(2);
    expect(harness.engine.collectStats().goneWebhooks).toBe(0);
  });
});
