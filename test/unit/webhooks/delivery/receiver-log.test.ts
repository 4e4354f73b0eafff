/** Log lines about receivers and the store: one when a failure starts, and one when it ends. */
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../../src/core/errors.ts';
import { FailureLog } from '../../../../src/webhooks/delivery/failure-log.ts';
import { rejectWithStatus, acceptDelivery } from '../support/fake-sender.ts';
import {
  ALL_SHARDS,
  WEBHOOK_ID,
  OTHER_WEBHOOK_ID,
  DeliveryHarness,
  userIdOfShard,
} from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const FAILS = 'A webhook receiver fails; its deliveries will be retried.';
const GIVEN_UP = 'A webhook delivery is DEAD after its last retry; it can be redelivered.';
const WELL = 'A webhook receiver accepts deliveries again.';
const GONE = 'A webhook receiver answered 410; the webhook is GONE and gets no deliveries until it is enabled.';

const listMessages = ({ stateChanges }: DeliveryHarness): readonly string[] => stateChanges.map(([message]) => message);

const logInEverywhere = async (harness: DeliveryHarness): Promise<void> => {
  for (const shard of ALL_SHARDS) await harness.logIn(userIdOfShard(shard));
};

describe('a receiver', () => {
  it('is reported once when it fails for hours, and once when it recovers', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(503);
    for (let hour = 0; hour < 3; hour++) {
      await logInEverywhere(harness);
      await harness.timers.advance(HOUR);
    }
    expect(harness.sender.attempts.length).toBeGreaterThan(8 * 10);
    expect(harness.stateChanges).toEqual([[FAILS, { webhook: WEBHOOK_ID, status: 503, reason: 'It answered 503.' }]]);
    harness.sender.respond = acceptDelivery;
    await harness.timers.advance(HOUR);
    await logInEverywhere(harness);
    await harness.timers.advance(HOUR);
    expect(harness.stateChanges.slice(1)).toEqual([[WELL, { webhook: WEBHOOK_ID, status: 200, reason: null }]]);
    expect(harness.warnings).toEqual([]);
  });

  it('is not reported for a few failures in a row', async () => {
    const harness = await DeliveryHarness.start();
    let attempts = 0;
    harness.sender.respond = (sent) => (++attempts % 3 === 0 ? acceptDelivery(sent) : rejectWithStatus(500));
    for (let number = 0; number < 20; number++) {
      await harness.logIn(userIdOfShard(0, number));
      await harness.timers.advance(MINUTE);
    }
    expect(attempts).toBe(60);
    expect(harness.stateChanges).toEqual([]);
  });

  it('is reported as recovered only when no shard fails', async () => {
    const harness = await DeliveryHarness.start();
    const failing = new Set<number | null>([0, 1]);
    harness.sender.respond = (sent) =>
      failing.has(sent.delivery.shard) ? rejectWithStatus(429) : acceptDelivery(sent);
    for (const left of [1, 0]) {
      await logInEverywhere(harness);
      await harness.timers.advance(HOUR);
      expect(listMessages(harness)).toEqual([FAILS]);
      failing.delete(left);
    }
    await harness.timers.advance(2 * HOUR);
    expect(listMessages(harness)).toEqual([FAILS, WELL]);
  });

  it('is reported separately from other receivers', async () => {
    const harness = await DeliveryHarness.start();
    await harness.createWebhook({ id: OTHER_WEBHOOK_ID });
    harness.sender.respond = ({ webhook }) => rejectWithStatus(webhook.id === WEBHOOK_ID ? 500 : 401);
    await logInEverywhere(harness);
    await harness.timers.advance(HOUR);
    expect(harness.stateChanges).toHaveLength(2);
    // Receivers are independent, so the order of their reports does not matter.
    expect(harness.stateChanges.map(([, about]) => about)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ webhook: WEBHOOK_ID, status: 500 }),
        expect.objectContaining({ webhook: OTHER_WEBHOOK_ID, status: 401 }),
      ]),
    );
  });

  it('is reported once for DEAD deliveries, and as recovered when it accepts a delivery', async () => {
    const harness = await DeliveryHarness.start({ retryForMs: 5 * MINUTE });
    harness.sender.respond = () => rejectWithStatus(500);
    for (let minute = 0; minute < 60; minute++) {
      await harness.logIn(userIdOfShard(0));
      await harness.timers.advance(MINUTE);
    }
    expect(harness.engine.collectStats().deadDeliveries).toBeGreaterThan(10);
    await harness.timers.advance(HOUR);
    expect(harness.stateChanges).toMatchObject(
      [FAILS, GIVEN_UP].map((what) => [what, { webhook: WEBHOOK_ID, status: 500 }]),
    );
    harness.sender.respond = acceptDelivery;
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(MINUTE);
    expect(listMessages(harness)).toEqual([FAILS, GIVEN_UP, WELL]);
  });

  it('is reported once as GONE, whatever attempts are in progress', async () => {
    const harness = await DeliveryHarness.start();
    let attempts = 0;
    harness.sender.respond = () => rejectWithStatus(++attempts > 2 * 8 ? 410 : 500);
    await logInEverywhere(harness);
    await harness.timers.advance(HOUR);
    expect(await harness.deliveries('RETRYING')).toMatchObject(ALL_SHARDS.map(() => ({ attempts: 3 })));
    expect(harness.stateChanges).toEqual([[GONE, { webhook: WEBHOOK_ID, status: 410, reason: 'It answered 410.' }]]);
  });

  it('is reported as recovered when a webhook that was paused while failing is resumed', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(500);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(HOUR);
    await harness.updateWebhook({ state: 'PAUSED' });
    await harness.timers.advance(HOUR);
    harness.sender.respond = acceptDelivery;
    await harness.updateWebhook({ state: 'ACTIVE' });
    await settleEngines();
    expect(listMessages(harness)).toEqual([FAILS, WELL]);
  });

  it('is forgotten when its webhook is deleted', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(500);
    for (let time = 0; time < 2; time++) {
      await harness.logIn(userIdOfShard(0));
      await harness.timers.advance(HOUR);
      await harness.updateWebhook({ state: 'PAUSED' });
      await settleEngines();
      await harness.webhooks.deleteWebhook(WEBHOOK_ID);
      await settleEngines();
      await harness.createWebhook();
      await settleEngines();
    }
    expect(listMessages(harness)).toEqual([FAILS, FAILS]);
  });

  it('is forgotten for shards that another engine delivers now', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(500);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    harness.webhooks.failures.set('lease', new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'Full.'));
    await harness.timers.advance(MINUTE);
    expect(harness.engine.collectStats().activeShards).toBe(0);
    harness.webhooks.failures.clear();
    harness.sender.respond = (sent) => (sent.delivery.shard === 1 ? rejectWithStatus(429) : acceptDelivery(sent));
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(MINUTE);
    expect(listMessages(harness)).toEqual([FAILS, FAILS]);
  });

  it('is not reported for failing redeliveries', async () => {
    const harness = await DeliveryHarness.start({ retryForMs: 0 });
    harness.sender.respond = () => rejectWithStatus(500);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    harness.sender.respond = acceptDelivery;
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    harness.sender.respond = () => rejectWithStatus(500);
    await harness.webhooks.requeueDeadDeliveries({ webhookId: WEBHOOK_ID }, (delivery) => ({
      ...delivery,
      status: 'RETRYING',
      nextAttemptAt: harness.store.now(),
    }));
    await harness.timers.advance(HOUR);
    expect(harness.sender.attempts).toHaveLength(3);
    expect(listMessages(harness)).toEqual([FAILS, GIVEN_UP, WELL]);
  });
});

describe('a failing store', () => {
  const noting = 'Webhook delivery progress could not be saved; the server retries.';

  it('is reported once for all workers, and as recovered when it works for all of them', async () => {
    const harness = await DeliveryHarness.start();
    harness.webhooks.failures.set('note', new Error('The store does not answer.'));
    await logInEverywhere(harness);
    await harness.timers.advance(HOUR);
    expect(harness.sender.attempts).toHaveLength(8);
    expect([harness.warnings, harness.stateChanges]).toEqual([[noting], []]);
    harness.webhooks.failures.clear();
    await harness.timers.advance(2 * MINUTE);
    expect(harness.stateChanges).toEqual([['A failed webhook operation succeeds again.', { after: noting }]]);
    expect(await harness.deliveries('DELIVERED')).toHaveLength(8);

    harness.webhooks.failures.set('note', new Error('The store does not answer again.'));
    await logInEverywhere(harness);
    await harness.timers.advance(HOUR);
    expect(harness.warnings).toEqual([noting, noting]);
  });

  it('is reported again after the workers that met the failure were stopped', async () => {
    const harness = await DeliveryHarness.start();
    for (let time = 0; time < 2; time++) {
      harness.webhooks.failures.set('note', new Error('The store does not answer.'));
      await logInEverywhere(harness);
      await harness.timers.advance(MINUTE);
      await harness.updateWebhook({ state: 'PAUSED' });
      await settleEngines();
      harness.webhooks.failures.clear();
      await harness.updateWebhook({ state: 'ACTIVE' });
      await harness.timers.advance(MINUTE);
    }
    expect([harness.warnings, harness.stateChanges]).toEqual([[noting, noting], []]);
  });

  it('is reported as recovered when the call of the last failing worker succeeds', () => {
    const sent: unknown[] = [];
    const troubles = new FailureLog({
      onFailure: (...received) => sent.push(received),
      onRecovery: (what) => sent.push(what),
    });
    const [one, other, third] = [{}, {}, {}];
    troubles.recordFailure('no', 'It fails.', one);
    for (const error of ['nor this', 'nor that']) troubles.recordFailure(error, 'It fails.', other);
    troubles.recordSuccess('It fails.', third);
    troubles.recordSuccess('It fails.', one);
    expect(sent).toEqual([['no', 'It fails.']]);
    troubles.recordSuccess('It fails.', other);
    troubles.recordSuccess('It fails.', other);
    expect(sent).toEqual([['no', 'It fails.'], 'It fails.']);
  });

  it('is not reported as recovered when workers stop waiting for it', async () => {
    const harness = await DeliveryHarness.start();
    harness.webhooks.failures.set('note', new Error('The store does not answer.'));
    await logInEverywhere(harness);
    await harness.timers.advance(MINUTE);
    await harness.engine.close();
    expect([harness.warnings, harness.stateChanges]).toEqual([[noting], []]);
  });
});
