/** Users whose events a receiver refuses wait apart, so that the events of all other users go on. */
import { describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { UserId } from '../../../../src/core/ids.ts';
import { deferred } from '../../app/support/waiting.ts';
import { acceptDelivery, FakeSender, rejectWithStatus, type SentAttempt } from '../support/fake-sender.ts';
import {
  ALL_SHARDS,
  DeliveryHarness,
  userIdOfShard,
  type DeliveryHarnessOptions,
} from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const usersOf = ({ events }: SentAttempt): readonly UserId[] => [...new Set(events.map(({ userId }) => userId))];

/** A harness whose receiver refuses every request with an event of one of these users. */
const startRefusing = async (options?: DeliveryHarnessOptions) => {
  const harness = await DeliveryHarness.start(options);
  const refused = new Set<UserId>();
  const accepted: LoggedEvent[] = [];
  const respond = (sent: SentAttempt) => {
    if (usersOf(sent).some((userId) => refused.has(userId))) return rejectWithStatus(500);
    accepted.push(...sent.events);
    return acceptDelivery(sent);
  };
  harness.sender.respond = respond;
  const acceptedOf = (userId: UserId) => accepted.filter((event) => event.userId === userId);
  const loggedOf = (userId: UserId) => harness.store.events.filter((event) => event.userId === userId);
  return { harness, refused, respond, acceptedOf, loggedOf };
};

describe('a user whose events are refused', () => {
  it('does not delay the other users of the delivery, nor their later events', async () => {
    const { harness, refused, acceptedOf, loggedOf } = await startRefusing();
    const [poisoned, ...others] = Array.from({ length: 10 }, (_, number) => userIdOfShard(0, number));
    refused.add(poisoned!);
    for (const user of [...others.slice(0, 5), poisoned!, ...others.slice(5)]) await harness.logIn(user);
    await harness.timers.advance(10 * SECOND);
    for (const user of others) expect(acceptedOf(user)).toEqual(loggedOf(user));
    for (const user of [poisoned!, ...others]) await harness.logIn(user);
    await harness.timers.advance(SECOND);
    for (const user of others) expect(acceptedOf(user)).toEqual(loggedOf(user));
    expect(harness.engine.collectStats()).toMatchObject({ isolatedUsers: 1, oldestPendingEventAt: null });
    expect(await harness.deliveries('RETRYING')).toMatchObject([{ events: loggedOf(poisoned!).slice(0, 1) }]);
  });

  it('gets all events in order when they are accepted, and then shares deliveries with other users again', async () => {
    const { harness, refused, acceptedOf, loggedOf } = await startRefusing();
    const [poisoned, other] = [userIdOfShard(0), userIdOfShard(0, 1)];
    refused.add(poisoned);
    for (let times = 0; times < 250; times++) {
      await harness.logIn(poisoned);
      await harness.logIn(other);
      await harness.timers.advance(SECOND);
    }
    refused.clear();
    const before = harness.sender.attempts.length;
    await harness.timers.advance(HOUR);
    const sent = harness.sender.attempts.slice(before).flatMap(({ events }) => events);
    expect(sent.filter(({ userId }) => userId === poisoned)).toEqual(loggedOf(poisoned));
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
    await harness.logIn(poisoned);
    await harness.logIn(other);
    await harness.timers.advance(SECOND);
    expect(usersOf(harness.sender.attempts.at(-1)!)).toEqual([poisoned, other]);
    expect(acceptedOf(other)).toEqual(loggedOf(other));
    expect(await harness.deliveries('RETRYING')).toEqual([]);
  });

  it('is isolated by the next events of the shard, where nothing else is sent to the receiver', async () => {
    const { harness, refused, acceptedOf, loggedOf } = await startRefusing();
    const [poisoned, other] = [userIdOfShard(0), userIdOfShard(0, 1)];
    refused.add(poisoned);
    await harness.logIn(poisoned);
    await harness.timers.advance(5 * SECOND);
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
    await harness.logIn(other);
    await harness.timers.advance(MINUTE);
    expect(acceptedOf(other)).toEqual(loggedOf(other));
    expect(harness.engine.collectStats().isolatedUsers).toBe(1);
  });

  it('is isolated after two failures when another shard delivers meanwhile', async () => {
    const { harness, refused } = await startRefusing();
    const poisoned = userIdOfShard(0);
    refused.add(poisoned);
    await harness.logIn(poisoned);
    await harness.timers.advance(250);
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(SECOND);
    expect(harness.engine.collectStats().isolatedUsers).toBe(1);
    const [user] = await harness.deliveries('RETRYING');
    expect(harness.stateChanges).toEqual([
      [
        'A webhook receiver refuses the events of a user; they are retried apart, and the other events go on.',
        { webhook: user!.webhookId, status: 500, reason: 'It answered 500.', user: poisoned },
      ],
    ]);
  });

  it('does not rejoin while a delivery in progress skips one of its events', async () => {
    const { harness, refused, respond, acceptedOf, loggedOf } = await startRefusing();
    const [poisoned, other] = [userIdOfShard(0), userIdOfShard(0, 1)];
    refused.add(poisoned);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(10 * SECOND);
    expect(harness.engine.collectStats().isolatedUsers).toBe(1);
    const answer = deferred<undefined>();
    harness.sender.respond = async (sent) => {
      if (usersOf(sent).includes(other)) await answer.promise;
      return respond(sent);
    };
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(SECOND);
    refused.clear();
    await harness.timers.advance(10 * MINUTE);
    expect(acceptedOf(poisoned)).toEqual(loggedOf(poisoned).slice(0, 1));
    answer.resolve(undefined);
    await harness.timers.advance(MINUTE);
    for (const user of [poisoned, other]) expect(acceptedOf(user)).toEqual(loggedOf(user));
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
  });

  it('becomes DEAD after the retry period, and then rejoins the shard', async () => {
    const { harness, refused, loggedOf, acceptedOf } = await startRefusing({ retryForMs: 5 * MINUTE });
    const [poisoned, other] = [userIdOfShard(0), userIdOfShard(0, 1)];
    refused.add(poisoned);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(6 * MINUTE);
    expect(await harness.deliveries('DEAD')).toMatchObject([{ events: loggedOf(poisoned) }]);
    expect(harness.engine.collectStats()).toMatchObject({ isolatedUsers: 0, deadDeliveries: 1 });
    refused.clear();
    await harness.logIn(poisoned);
    await harness.timers.advance(SECOND);
    expect(acceptedOf(poisoned)).toContain(loggedOf(poisoned).at(-1));
  });

  it('stays isolated after a restart, and its skipped events follow in order', async () => {
    const { harness, refused, respond, loggedOf } = await startRefusing();
    const [poisoned, other] = [userIdOfShard(0), userIdOfShard(0, 1)];
    refused.add(poisoned);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(10 * SECOND);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(SECOND);
    await harness.engine.close();
    expect((await harness.readProgress(0))?.isolatedUsers).toMatchObject([
      { userId: poisoned, skippedThrough: loggedOf(poisoned).at(-1)?.cursor },
    ]);

    const sender = new FakeSender(() => harness.store.now());
    sender.respond = respond;
    const next = harness.createEngine(sender);
    next.start();
    await settleEngines();
    expect(next.collectStats().isolatedUsers).toBe(1);
    refused.clear();
    await harness.timers.advance(HOUR);
    expect(sender.events).toEqual(loggedOf(poisoned));
    expect(next.collectStats().isolatedUsers).toBe(0);
    expect((await harness.deliveries('DELIVERED')).flatMap(({ events }) => events)).toEqual([]);
    await next.close();
  });

  it('loses skipped events that retention removes, which a DEAD delivery reports', async () => {
    const { harness, refused, loggedOf, acceptedOf } = await startRefusing();
    const [poisoned, other] = [userIdOfShard(0), userIdOfShard(0, 1)];
    refused.add(poisoned);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(10 * SECOND);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(SECOND);
    await harness.store.forgets();
    const firstLost = loggedOf(poisoned)[0];
    refused.clear();
    await harness.timers.advance(HOUR);
    // Its pending delivery has its events with it.
    expect(acceptedOf(poisoned)[0]).toEqual(firstLost);
    expect((await harness.deliveries('DEAD')).map(({ lastError }) => lastError)).toContain(
      'Retention removed events of shard 0 before they were sent. They are lost.',
    );
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(SECOND);
    expect(usersOf(harness.sender.attempts.at(-1)!)).toEqual([poisoned, other]);
  });
});

describe('retention that removed all skipped events', () => {
  it('leaves later events of the user to the shard, which delivers them once', async () => {
    const { harness, refused, respond, acceptedOf, loggedOf } = await startRefusing();
    const [poisoned, other] = [userIdOfShard(0), userIdOfShard(0, 1)];
    refused.add(poisoned);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(10 * SECOND);
    for (const user of [poisoned, other]) await harness.logIn(user);
    await harness.timers.advance(SECOND);
    const answers = { [poisoned]: deferred<undefined>(), [other]: deferred<undefined>() };
    harness.sender.respond = async (sent) => {
      await answers[usersOf(sent).join()]?.promise;
      return respond(sent);
    };
    await harness.timers.advance(MINUTE);
    await harness.store.forgets();
    // The shard waits for an answer, so it does not read what follows.
    await harness.logIn(other);
    await harness.timers.advance(SECOND);
    for (let times = 0; times < 75; times++) await harness.logIn(poisoned);
    refused.clear();
    answers[poisoned]?.resolve(undefined);
    await harness.timers.advance(HOUR);
    answers[other]?.resolve(undefined);
    await harness.timers.advance(HOUR);
    // The first event was sent again, because the lease expired with its attempt in progress.
    const later = acceptedOf(poisoned).filter(({ cursor }) => cursor !== loggedOf(poisoned)[0]?.cursor);
    expect(later).toEqual(loggedOf(poisoned).slice(-150));
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
  });
});

describe('a receiver that refuses everything', () => {
  const attemptsInOneHour = async (users: number): Promise<number> => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(500);
    for (let number = 0; number < users; number++) await harness.logIn(userIdOfShard(0, number));
    await harness.timers.advance(HOUR);
    return harness.sender.attempts.length;
  };

  it('gets no more requests for a delivery of 100 users than for one of a single user', async () => {
    expect(await attemptsInOneHour(100)).toBe(await attemptsInOneHour(1));
  });

  it('gets the whole delivery in one request when it recovers', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(500);
    for (let number = 0; number < 100; number++) await harness.logIn(userIdOfShard(0, number));
    await harness.timers.advance(MINUTE);
    harness.sender.respond = acceptDelivery;
    const before = harness.sender.attempts.length;
    await harness.timers.advance(2 * MINUTE);
    // One user as a probe, then the rest.
    expect(harness.sender.attempts.slice(before).map((sent) => usersOf(sent).length)).toEqual([1, 99]);
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
  });

  it('gets few requests for users who were isolated before', async () => {
    const { harness, refused } = await startRefusing();
    for (let number = 0; number < 40; number++) refused.add(userIdOfShard(number % 8, number >> 3));
    for (const user of refused) await harness.logIn(user);
    for (let times = 0; times < 60; times++) {
      for (const shard of ALL_SHARDS) await harness.logIn(userIdOfShard(shard, 100 + times));
      await harness.timers.advance(SECOND);
    }
    expect(harness.engine.collectStats().isolatedUsers).toBe(40);
    harness.sender.respond = () => rejectWithStatus(503);
    // From here on each of them would be sent every few minutes.
    await harness.timers.advance(10 * MINUTE);
    const before = harness.sender.attempts.length;
    await harness.timers.advance(5 * HOUR);
    expect(harness.sender.attempts.length - before).toBeLessThan(20);
    harness.sender.respond = acceptDelivery;
    await harness.timers.advance(3 * HOUR);
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
    expect(await harness.deliveries('RETRYING')).toEqual([]);
  });

  it('after it accepted some users of a split, isolates none of the last three that it refused', async () => {
    const harness = await DeliveryHarness.start();
    const [first, accepted, ...rest] = Array.from({ length: 8 }, (_, number) => userIdOfShard(0, number));
    const isAccepted = (sent: SentAttempt) => sent.delivery.shard !== 0 || usersOf(sent).join() === accepted;
    harness.sender.respond = (sent) => (isAccepted(sent) ? acceptDelivery(sent) : rejectWithStatus(500));
    for (const user of [first!, accepted!, ...rest]) await harness.logIn(user);
    await harness.timers.advance(250);
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(600);
    const ofUsers = harness.sender.attempts.filter((sent) => usersOf(sent).length === 1 && sent.delivery.shard === 0);
    expect(ofUsers.map((sent) => usersOf(sent)[0])).toEqual([first, accepted, ...rest.slice(0, 3)]);
    expect(harness.engine.collectStats().isolatedUsers).toBe(1);
  });

  it.each([
    ['answers 429', rejectWithStatus(429)],
    ['asks for a pause', rejectWithStatus(503, { retryAfterMs: 1_000 })],
  ])('and %s gets one request at a time, even if it accepts other shards', async (_, report) => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = (sent) => (sent.delivery.shard === 0 ? report : acceptDelivery(sent));
    for (let number = 0; number < 10; number++) await harness.logIn(userIdOfShard(0, number));
    for (let times = 0; times < 20; times++) {
      await harness.logIn(userIdOfShard(1));
      await harness.timers.advance(10 * SECOND);
    }
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
    const times = harness.sender.attempts.filter(({ delivery }) => delivery.shard === 0).map(({ at }) => at);
    expect(new Set(times).size).toBe(times.length);
  });

  it('is attempted once, not in a loop, after its webhook has changed', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(500);
    for (let number = 0; number < 3; number++) await harness.logIn(userIdOfShard(0, number));
    await harness.timers.advance(MINUTE);
    const before = harness.sender.attempts.length;
    await harness.updateWebhook({ url: 'https://elsewhere.example/' });
    await settleEngines();
    expect(harness.sender.attempts).toHaveLength(before + 1);
  });
});

describe('the limit of isolated users', () => {
  it('holds when several shards isolate users at the same time, and no event is lost', async () => {
    const { harness, refused, respond, acceptedOf, loggedOf } = await startRefusing();
    // Answers come together, after all shards have checked the limit.
    harness.sender.respond = async (sent) => {
      await harness.timers.wait(100, new AbortController().signal);
      return respond(sent);
    };
    for (let number = 0; number < 8 * 15; number++) refused.add(userIdOfShard(number % 8, number >> 3));
    for (const user of refused) await harness.logIn(user);
    const others = ALL_SHARDS.map((shard) => userIdOfShard(shard, 100));
    await harness.timers.advance(250);
    for (let times = 0; times < 20; times++) {
      for (const user of [...refused, ...others]) await harness.logIn(user);
      await harness.timers.advance(2 * SECOND);
    }
    const { isolatedUsers } = harness.engine.collectStats();
    expect(isolatedUsers).toBeGreaterThan(75);
    expect(isolatedUsers).toBeLessThanOrEqual(100);
    const all = [...refused, ...others];
    refused.clear();
    await harness.timers.advance(5 * HOUR);
    for (const user of all) expect(new Set(acceptedOf(user))).toEqual(new Set(loggedOf(user)));
    expect(await harness.deliveries('RETRYING')).toEqual([]);
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
  });

  it('is 100 for each webhook; further refused users wait with their shard', async () => {
    const { harness, refused, acceptedOf, loggedOf } = await startRefusing();
    for (let number = 0; number < 103; number++) refused.add(userIdOfShard(0, number));
    const innocent = userIdOfShard(0, 200);
    for (const user of refused) await harness.logIn(user);
    await harness.logIn(innocent);
    for (let times = 0; times < 200; times++) {
      await harness.logIn(userIdOfShard(1));
      await harness.timers.advance(5 * SECOND);
    }
    expect(harness.engine.collectStats().isolatedUsers).toBe(100);
    await harness.logIn(innocent);
    await harness.timers.advance(MINUTE);
    expect(acceptedOf(innocent)).not.toContain(loggedOf(innocent)[1]);
    expect(acceptedOf(userIdOfShard(1))).toEqual(loggedOf(userIdOfShard(1)));
    refused.clear();
    await harness.timers.advance(3 * HOUR);
    expect(acceptedOf(innocent)).toEqual(loggedOf(innocent));
    expect(harness.engine.collectStats().isolatedUsers).toBe(0);
  });
});
