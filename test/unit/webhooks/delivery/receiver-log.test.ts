/** What the log hears of receivers and of the store: when something begins, and when it is over. */
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../../src/core/errors.ts';
import { Troubles } from '../../../../src/webhooks/delivery/failure-log.ts';
import { refused, taken } from '../support/receiver.ts';
import { EVERY_SHARD, HOOK, OTHER_HOOK, Stand, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const FAILS = 'A webhook’s receiver does not take what it is sent; it is tried again.';
const GIVEN_UP = 'Deliveries of a webhook are given up; they can be redelivered.';
const WELL = 'A webhook’s receiver takes what it is sent again.';
const GONE = 'A webhook’s receiver is gone: it is told nothing more until it is enabled.';

const said = ({ news }: Stand): readonly string[] => news.map(([what]) => what);

const logInEverywhere = async (stand: Stand): Promise<void> => {
  for (const shard of EVERY_SHARD) await stand.logIn(userOf(shard));
};

describe('a receiver', () => {
  it('that fails for hours is said to fail, once, and to be well again, once', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => refused(503);
    for (let hour = 0; hour < 3; hour++) {
      await logInEverywhere(stand);
      await stand.timers.pass(HOUR);
    }
    expect(stand.receiver.told.length).toBeGreaterThan(8 * 10);
    expect(stand.news).toEqual([[FAILS, { webhook: HOOK, status: 503, reason: 'It answered 503.' }]]);
    stand.receiver.answer = taken;
    await stand.timers.pass(HOUR);
    await logInEverywhere(stand);
    await stand.timers.pass(HOUR);
    expect(stand.news.slice(1)).toEqual([[WELL, { webhook: HOOK, status: 200, reason: null }]]);
    expect(stand.warnings).toEqual([]);
  });

  it('that fails now and then is not worth a word', async () => {
    const stand = await Stand.atWork();
    let attempts = 0;
    stand.receiver.answer = (told) => (++attempts % 3 === 0 ? taken(told) : refused(500));
    for (let number = 0; number < 20; number++) {
      await stand.logIn(userOf(0, number));
      await stand.timers.pass(MINUTE);
    }
    expect(attempts).toBe(60);
    expect(stand.news).toEqual([]);
  });

  it('is not well as long as it fails with some users', async () => {
    const stand = await Stand.atWork();
    const failing = new Set<number | null>([0, 1]);
    stand.receiver.answer = (told) => (failing.has(told.delivery.shard) ? refused(500) : taken(told));
    for (const left of [1, 0]) {
      await logInEverywhere(stand);
      await stand.timers.pass(HOUR);
      expect(said(stand)).toEqual([FAILS]);
      failing.delete(left);
    }
    await stand.timers.pass(2 * HOUR);
    expect(said(stand)).toEqual([FAILS, WELL]);
  });

  it('has a word of its own beside others', async () => {
    const stand = await Stand.atWork();
    await stand.hook({ id: OTHER_HOOK });
    stand.receiver.answer = ({ webhook }) => refused(webhook.id === HOOK ? 500 : 401);
    await logInEverywhere(stand);
    await stand.timers.pass(HOUR);
    expect(stand.news).toHaveLength(2);
    // Nobody waits for another: which of them is said first is of no matter.
    expect(stand.news.map(([, about]) => about)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ webhook: HOOK, status: 500 }),
        expect.objectContaining({ webhook: OTHER_HOOK, status: 401 }),
      ]),
    );
  });

  it('for which things are given up is said to lose them, once, and to be well when it takes any', async () => {
    const stand = await Stand.atWork({ retryForMs: 5 * MINUTE });
    stand.receiver.answer = () => refused(500);
    for (let minute = 0; minute < 60; minute++) {
      await stand.logIn(userOf(0));
      await stand.timers.pass(MINUTE);
    }
    expect(stand.engine.figures().deliveriesDead).toBeGreaterThan(10);
    await stand.timers.pass(HOUR);
    expect(stand.news).toMatchObject([FAILS, GIVEN_UP].map((what) => [what, { webhook: HOOK, status: 500 }]));
    stand.receiver.answer = taken;
    await stand.logIn(userOf(1));
    await stand.timers.pass(MINUTE);
    expect(said(stand)).toEqual([FAILS, GIVEN_UP, WELL]);
  });

  it('that is gone is said to be, once, whatever was under way', async () => {
    const stand = await Stand.atWork();
    let attempts = 0;
    stand.receiver.answer = () => refused(++attempts > 2 * 8 ? 410 : 500);
    await logInEverywhere(stand);
    await stand.timers.pass(HOUR);
    expect(await stand.deliveries('RETRYING')).toMatchObject(EVERY_SHARD.map(() => ({ attempts: 3 })));
    expect(stand.news).toEqual([[GONE, { webhook: HOOK, status: 410, reason: 'It answered 410.' }]]);
  });

  it('that failed before its webhook was paused is well when it is resumed', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => refused(500);
    await stand.logIn(userOf(0));
    await stand.timers.pass(HOUR);
    await stand.change({ state: 'PAUSED' });
    await stand.timers.pass(HOUR);
    stand.receiver.answer = taken;
    await stand.change({ state: 'ACTIVE' });
    await quiet();
    expect(said(stand)).toEqual([FAILS, WELL]);
  });

  it('is forgotten with its webhook', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => refused(500);
    for (let time = 0; time < 2; time++) {
      await stand.logIn(userOf(0));
      await stand.timers.pass(HOUR);
      await stand.change({ state: 'PAUSED' });
      await quiet();
      await stand.webhooks.deleteWebhook(HOOK);
      await quiet();
      await stand.hook();
      await quiet();
    }
    expect(said(stand)).toEqual([FAILS, FAILS]);
  });

  it('is forgotten where somebody else may be delivering to it by now', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => refused(500);
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    stand.webhooks.refused.set('lease', new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'Full.'));
    await stand.timers.pass(MINUTE);
    expect(stand.engine.figures().shards).toBe(0);
    stand.webhooks.refused.clear();
    stand.receiver.answer = (told) => (told.delivery.shard === 1 ? refused(500) : taken(told));
    await stand.logIn(userOf(1));
    await stand.timers.pass(MINUTE);
    expect(said(stand)).toEqual([FAILS, FAILS]);
  });

  it('is not said to fail with what it is sent again by hand', async () => {
    const stand = await Stand.atWork({ retryForMs: 0 });
    stand.receiver.answer = () => refused(500);
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    stand.receiver.answer = taken;
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    stand.receiver.answer = () => refused(500);
    await stand.webhooks.redeliver({ webhookId: HOOK }, (delivery) => ({
      ...delivery,
      status: 'RETRYING',
      nextAttemptAt: stand.store.now(),
    }));
    await stand.timers.pass(HOUR);
    expect(stand.receiver.told).toHaveLength(3);
    expect(said(stand)).toEqual([FAILS, GIVEN_UP, WELL]);
  });
});

describe('a store that fails', () => {
  const noting = 'It could not be noted how far a webhook’s deliveries have come.';

  it('is said to, once, though all are waiting for it, and that it works again when it does for all', async () => {
    const stand = await Stand.atWork();
    stand.webhooks.refused.set('note', new Error('The store does not answer.'));
    await logInEverywhere(stand);
    await stand.timers.pass(HOUR);
    expect(stand.receiver.told).toHaveLength(8);
    expect([stand.warnings, stand.news]).toEqual([[noting], []]);
    stand.webhooks.refused.clear();
    await stand.timers.pass(2 * MINUTE);
    expect(stand.news).toEqual([['What had failed for webhooks works again.', { after: noting }]]);
    expect(await stand.deliveries('DELIVERED')).toHaveLength(8);

    stand.webhooks.refused.set('note', new Error('The store does not answer again.'));
    await logInEverywhere(stand);
    await stand.timers.pass(HOUR);
    expect(stand.warnings).toEqual([noting, noting]);
  });

  it('is said to again, though those who had met with it before were stopped', async () => {
    const stand = await Stand.atWork();
    for (let time = 0; time < 2; time++) {
      stand.webhooks.refused.set('note', new Error('The store does not answer.'));
      await logInEverywhere(stand);
      await stand.timers.pass(MINUTE);
      await stand.change({ state: 'PAUSED' });
      await quiet();
      stand.webhooks.refused.clear();
      await stand.change({ state: 'ACTIVE' });
      await stand.timers.pass(MINUTE);
    }
    expect([stand.warnings, stand.news]).toEqual([[noting, noting], []]);
  });

  it('works again when it does for the last who had met with it', () => {
    const told: unknown[] = [];
    const troubles = new Troubles({ failed: (...heard) => told.push(heard), over: (what) => told.push(what) });
    const [one, other, third] = [{}, {}, {}];
    troubles.failed('no', 'It fails.', one);
    for (const error of ['nor this', 'nor that']) troubles.failed(error, 'It fails.', other);
    troubles.worked('It fails.', third);
    troubles.worked('It fails.', one);
    expect(told).toEqual([['no', 'It fails.']]);
    troubles.worked('It fails.', other);
    troubles.worked('It fails.', other);
    expect(told).toEqual([['no', 'It fails.'], 'It fails.']);
  });

  it('is not said to work again by those who wait for it no longer', async () => {
    const stand = await Stand.atWork();
    stand.webhooks.refused.set('note', new Error('The store does not answer.'));
    await logInEverywhere(stand);
    await stand.timers.pass(MINUTE);
    await stand.engine.close();
    expect([stand.warnings, stand.news]).toEqual([[noting], []]);
  });
});
