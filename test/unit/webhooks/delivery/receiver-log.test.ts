/** What the log hears of receivers and of the store: when something begins, and when it is over. */
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../../src/core/errors.ts';
import { FailureLog } from '../../../../src/webhooks/delivery/failure-log.ts';
import { refused, taken } from '../support/receiver.ts';
import { EVERY_SHARD, HOOK, OTHER_HOOK, DeliveryHarness, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const FAILS = 'A webhook receiver fails; its deliveries will be retried.';
const GIVEN_UP = 'A webhook delivery is DEAD after its last retry; it can be redelivered.';
const WELL = 'A webhook receiver accepts deliveries again.';
const GONE = 'A webhook receiver answered 410; the webhook is GONE and gets no deliveries until it is enabled.';

const said = ({ news }: DeliveryHarness): readonly string[] => news.map(([what]) => what);

const logInEverywhere = async (harness: DeliveryHarness): Promise<void> => {
  for (const shard of EVERY_SHARD) await harness.logIn(userOf(shard));
};

describe('a receiver', () => {
  it('that fails for hours is said to fail, once, and to be well again, once', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => refused(503);
    for (let hour = 0; hour < 3; hour++) {
      await logInEverywhere(harness);
      await harness.timers.pass(HOUR);
    }
    expect(harness.receiver.told.length).toBeGreaterThan(8 * 10);
    expect(harness.news).toEqual([[FAILS, { webhook: HOOK, status: 503, reason: 'It answered 503.' }]]);
    harness.receiver.answer = taken;
    await harness.timers.pass(HOUR);
    await logInEverywhere(harness);
    await harness.timers.pass(HOUR);
    expect(harness.news.slice(1)).toEqual([[WELL, { webhook: HOOK, status: 200, reason: null }]]);
    expect(harness.warnings).toEqual([]);
  });

  it('that fails now and then is not worth a word', async () => {
    const harness = await DeliveryHarness.atWork();
    let attempts = 0;
    harness.receiver.answer = (told) => (++attempts % 3 === 0 ? taken(told) : refused(500));
    for (let number = 0; number < 20; number++) {
      await harness.logIn(userOf(0, number));
      await harness.timers.pass(MINUTE);
    }
    expect(attempts).toBe(60);
    expect(harness.news).toEqual([]);
  });

  it('is not well as long as it fails with some users', async () => {
    const harness = await DeliveryHarness.atWork();
    const failing = new Set<number | null>([0, 1]);
    harness.receiver.answer = (told) => (failing.has(told.delivery.shard) ? refused(500) : taken(told));
    for (const left of [1, 0]) {
      await logInEverywhere(harness);
      await harness.timers.pass(HOUR);
      expect(said(harness)).toEqual([FAILS]);
      failing.delete(left);
    }
    await harness.timers.pass(2 * HOUR);
    expect(said(harness)).toEqual([FAILS, WELL]);
  });

  it('has a word of its own beside others', async () => {
    const harness = await DeliveryHarness.atWork();
    await harness.hook({ id: OTHER_HOOK });
    harness.receiver.answer = ({ webhook }) => refused(webhook.id === HOOK ? 500 : 401);
    await logInEverywhere(harness);
    await harness.timers.pass(HOUR);
    expect(harness.news).toHaveLength(2);
    // Nobody waits for another: which of them is said first is of no matter.
    expect(harness.news.map(([, about]) => about)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ webhook: HOOK, status: 500 }),
        expect.objectContaining({ webhook: OTHER_HOOK, status: 401 }),
      ]),
    );
  });

  it('for which things are given up is said to lose them, once, and to be well when it takes any', async () => {
    const harness = await DeliveryHarness.atWork({ retryForMs: 5 * MINUTE });
    harness.receiver.answer = () => refused(500);
    for (let minute = 0; minute < 60; minute++) {
      await harness.logIn(userOf(0));
      await harness.timers.pass(MINUTE);
    }
    expect(harness.engine.collectStats().deadDeliveries).toBeGreaterThan(10);
    await harness.timers.pass(HOUR);
    expect(harness.news).toMatchObject([FAILS, GIVEN_UP].map((what) => [what, { webhook: HOOK, status: 500 }]));
    harness.receiver.answer = taken;
    await harness.logIn(userOf(1));
    await harness.timers.pass(MINUTE);
    expect(said(harness)).toEqual([FAILS, GIVEN_UP, WELL]);
  });

  it('that is gone is said to be, once, whatever was under way', async () => {
    const harness = await DeliveryHarness.atWork();
    let attempts = 0;
    harness.receiver.answer = () => refused(++attempts > 2 * 8 ? 410 : 500);
    await logInEverywhere(harness);
    await harness.timers.pass(HOUR);
    expect(await harness.deliveries('RETRYING')).toMatchObject(EVERY_SHARD.map(() => ({ attempts: 3 })));
    expect(harness.news).toEqual([[GONE, { webhook: HOOK, status: 410, reason: 'It answered 410.' }]]);
  });

  it('that failed before its webhook was paused is well when it is resumed', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => refused(500);
    await harness.logIn(userOf(0));
    await harness.timers.pass(HOUR);
    await harness.change({ state: 'PAUSED' });
    await harness.timers.pass(HOUR);
    harness.receiver.answer = taken;
    await harness.change({ state: 'ACTIVE' });
    await quiet();
    expect(said(harness)).toEqual([FAILS, WELL]);
  });

  it('is forgotten with its webhook', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => refused(500);
    for (let time = 0; time < 2; time++) {
      await harness.logIn(userOf(0));
      await harness.timers.pass(HOUR);
      await harness.change({ state: 'PAUSED' });
      await quiet();
      await harness.webhooks.deleteWebhook(HOOK);
      await quiet();
      await harness.hook();
      await quiet();
    }
    expect(said(harness)).toEqual([FAILS, FAILS]);
  });

  it('is forgotten where somebody else may be delivering to it by now', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => refused(500);
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    harness.webhooks.refused.set('lease', new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'Full.'));
    await harness.timers.pass(MINUTE);
    expect(harness.engine.collectStats().activeShards).toBe(0);
    harness.webhooks.refused.clear();
    harness.receiver.answer = (told) => (told.delivery.shard === 1 ? refused(500) : taken(told));
    await harness.logIn(userOf(1));
    await harness.timers.pass(MINUTE);
    expect(said(harness)).toEqual([FAILS, FAILS]);
  });

  it('is not said to fail with what it is sent again by hand', async () => {
    const harness = await DeliveryHarness.atWork({ retryForMs: 0 });
    harness.receiver.answer = () => refused(500);
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    harness.receiver.answer = taken;
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    harness.receiver.answer = () => refused(500);
    await harness.webhooks.requeueDeadDeliveries({ webhookId: HOOK }, (delivery) => ({
      ...delivery,
      status: 'RETRYING',
      nextAttemptAt: harness.store.now(),
    }));
    await harness.timers.pass(HOUR);
    expect(harness.receiver.told).toHaveLength(3);
    expect(said(harness)).toEqual([FAILS, GIVEN_UP, WELL]);
  });
});

describe('a store that fails', () => {
  const noting = 'Webhook delivery progress could not be saved; the server retries.';

  it('is said to, once, though all are waiting for it, and that it works again when it does for all', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.webhooks.refused.set('note', new Error('The store does not answer.'));
    await logInEverywhere(harness);
    await harness.timers.pass(HOUR);
    expect(harness.receiver.told).toHaveLength(8);
    expect([harness.warnings, harness.news]).toEqual([[noting], []]);
    harness.webhooks.refused.clear();
    await harness.timers.pass(2 * MINUTE);
    expect(harness.news).toEqual([['A failed webhook operation succeeds again.', { after: noting }]]);
    expect(await harness.deliveries('DELIVERED')).toHaveLength(8);

    harness.webhooks.refused.set('note', new Error('The store does not answer again.'));
    await logInEverywhere(harness);
    await harness.timers.pass(HOUR);
    expect(harness.warnings).toEqual([noting, noting]);
  });

  it('is said to again, though those who had met with it before were stopped', async () => {
    const harness = await DeliveryHarness.atWork();
    for (let time = 0; time < 2; time++) {
      harness.webhooks.refused.set('note', new Error('The store does not answer.'));
      await logInEverywhere(harness);
      await harness.timers.pass(MINUTE);
      await harness.change({ state: 'PAUSED' });
      await quiet();
      harness.webhooks.refused.clear();
      await harness.change({ state: 'ACTIVE' });
      await harness.timers.pass(MINUTE);
    }
    expect([harness.warnings, harness.news]).toEqual([[noting, noting], []]);
  });

  it('works again when it does for the last who had met with it', () => {
    const told: unknown[] = [];
    const troubles = new FailureLog({
      onFailure: (...heard) => told.push(heard),
      onRecovery: (what) => told.push(what),
    });
    const [one, other, third] = [{}, {}, {}];
    troubles.recordFailure('no', 'It fails.', one);
    for (const error of ['nor this', 'nor that']) troubles.recordFailure(error, 'It fails.', other);
    troubles.recordSuccess('It fails.', third);
    troubles.recordSuccess('It fails.', one);
    expect(told).toEqual([['no', 'It fails.']]);
    troubles.recordSuccess('It fails.', other);
    troubles.recordSuccess('It fails.', other);
    expect(told).toEqual([['no', 'It fails.'], 'It fails.']);
  });

  it('is not said to work again by those who wait for it no longer', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.webhooks.refused.set('note', new Error('The store does not answer.'));
    await logInEverywhere(harness);
    await harness.timers.pass(MINUTE);
    await harness.engine.close();
    expect([harness.warnings, harness.news]).toEqual([[noting], []]);
  });
});
