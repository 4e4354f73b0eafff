import { beforeEach, describe, expect, it } from 'vitest';
import { EventFeed } from '../../../../src/app/presence/event-feed.ts';
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { PullStream } from '../../../../src/app/presence/pull-stream.ts';
import type { Cursor } from '../../../../src/core/ids.ts';
import { ALICE, BOB, CAROL, AppHarness } from '../support/app-harness.ts';
import { faultOf, isPending, nextOf } from '../support/waiting.ts';

const DONE = { done: true, value: undefined };
const TOO_SLOW = { code: 'OVERLOADED', retryAfterMs: 0 };
const LIMITS = { batchSize: 2, maxUnreadEvents: 3, maxUnreadMs: 1_000 };

let harness: AppHarness;
let feed: EventFeed;
let timesTooSlow: number;

beforeEach(() => {
  harness = new AppHarness();
  feed = new EventFeed(harness.store, LIMITS);
  timesTooSlow = 0;
});

const follow = (after: Cursor | null = null) => feed.subscribe(after, () => timesTooSlow++);

const followFrom = async (count: number) => follow(await harness.store.cursorAt(count));

/** The positions in the log, from 1, of the events of the next list. */
const places = async (stream: PullStream<readonly LoggedEvent[]>): Promise<number[]> =>
  (await nextOf(stream)).map(({ cursor }) => harness.store.events.findIndex((event) => event.cursor === cursor) + 1);

/** Each login is one event. */
const happen = async (times: number) => {
  for (let time = 0; time < times; time++) await harness.login(ALICE, 'ANDROID', null);
};

/** Lets every login of `happen` be one event, however many there are. */
beforeEach(async () => {
  const policy = harness.store.getPolicy();
  const platforms = { ...policy.platforms, ANDROID: { ...policy.platforms.ANDROID, maxInstances: 1_000 } };
  await harness.store.updatePolicy(() => ({ ...policy, platforms }));
});

const expectTooSlow = async (stream: PullStream<readonly LoggedEvent[]>) => {
  expect(timesTooSlow).toBe(1);
  expect(feed.subscriberCount).toBe(0);
  expect(await faultOf(stream.next())).toEqual(TOO_SLOW);
  expect(await stream.next()).toEqual(DONE);
  await happen(5);
  expect(timesTooSlow).toBe(1);
};

describe('a follower that had caught up and leaves too many events unread', () => {
  it('receives one error, and the stream ends', async () => {
    const stream = await follow();
    await happen(LIMITS.maxUnreadEvents);
    expect(timesTooSlow).toBe(0);
    await happen(1);
    await expectTooSlow(stream);
  });

  it('is one that has read to the end in the meantime', async () => {
    await happen(1);
    const stream = await followFrom(0);
    expect(await places(stream)).toEqual([1]);
    await happen(LIMITS.maxUnreadEvents + 1);
    await expectTooSlow(stream);
  });

  it('is counted anew from each pull', async () => {
    const stream = await follow();
    for (let round = 0; round < 3; round++) {
      await happen(LIMITS.maxUnreadEvents - 1);
      await places(stream);
    }
    expect(timesTooSlow).toBe(0);
  });

  it('is not one that has not caught up: the log keeps what it has yet to read', async () => {
    await happen(3);
    const stream = await followFrom(0);
    await happen(10);
    expect(await places(stream)).toEqual([1, 2]);
    await happen(10);
    expect(timesTooSlow).toBe(0);
    expect(await places(stream)).toEqual([3, 4]);
  });

  it('is not one whose pull is pending, however many events come at once', async () => {
    await happen(5);
    const stream = await follow();
    const pull = places(stream);
    expect(await isPending(pull)).toBe(true);
    await harness.tracker.endSessions(ALICE, { platform: null, sessionId: null }, false);
    expect(await pull).toEqual([6, 7, 8, 9, 10]);
    expect(timesTooSlow).toBe(0);
  });

  it('is not one that waits for the log, however slow the log is', async () => {
    const stream = await follow();
    const reading = harness.store.gates.hold('reading the log');
    const pull = places(stream);
    await reading;
    await happen(LIMITS.maxUnreadEvents + 1);
    harness.store.passes(LIMITS.maxUnreadMs + 1);
    await happen(1);
    harness.store.gates.open('reading the log');
    expect(await pull).toEqual([1, 2]);
    await happen(1);
    expect(timesTooSlow).toBe(0);
  });
});

describe('a follower that leaves a list unread for too long while more events are pending', () => {
  it('receives one error, and the stream ends', async () => {
    await happen(3);
    const stream = await followFrom(0);
    await places(stream);
    harness.store.passes(LIMITS.maxUnreadMs);
    await happen(1);
    expect(timesTooSlow).toBe(0);
    harness.store.passes(1);
    await happen(1);
    await expectTooSlow(stream);
  });

  it('is one that never began to read', async () => {
    await happen(1);
    const stream = await followFrom(0);
    harness.store.passes(LIMITS.maxUnreadMs + 1);
    await happen(1);
    await expectTooSlow(stream);
  });

  it('is not one for which no event is pending', async () => {
    await happen(1);
    const stream = await followFrom(0);
    await places(stream);
    harness.store.passes(LIMITS.maxUnreadMs + 1);
    await happen(1);
    expect(timesTooSlow).toBe(0);
    harness.store.passes(LIMITS.maxUnreadMs);
    await happen(1);
    expect(timesTooSlow).toBe(0);
    harness.store.passes(1);
    await happen(1);
    await expectTooSlow(stream);
  });

  it('is not one that always has a pending pull', async () => {
    const stream = await follow();
    const pull = places(stream);
    expect(await isPending(pull)).toBe(true);
    harness.store.passes(LIMITS.maxUnreadMs + 1);
    await happen(1);
    expect(await pull).toEqual([1]);
    expect(timesTooSlow).toBe(0);
  });
});

describe('after a follower was too slow', () => {
  it('its last cursor resumes, without a gap or a repeat', async () => {
    await happen(2);
    const stream = await followFrom(0);
    expect(await places(stream)).toEqual([1, 2]);
    await happen(LIMITS.maxUnreadEvents + 1);
    await expectTooSlow(stream);
    const again = await followFrom(2);
    expect(await places(again)).toEqual([3, 4]);
  });

  it('another follower receives everything', async () => {
    const slow = await follow();
    const quick = await follow();
    for (let event = 1; event <= 4; event++) {
      await happen(1);
      expect(await places(quick)).toEqual([event]);
    }
    expect(await faultOf(slow.next())).toEqual(TOO_SLOW);
    expect(timesTooSlow).toBe(1);
    expect(feed.subscriberCount).toBe(1);
  });

  it('nothing more is delivered when the callback closes the socket', async () => {
    const stream = await feed.subscribe(null, () => void stream.return());
    await happen(LIMITS.maxUnreadEvents + 1);
    expect(await stream.next()).toEqual(DONE);
    expect(feed.subscriberCount).toBe(0);
  });
});

it('a follower’s unread events are counted, not its changes', async () => {
  const stream = await follow();
  await harness.login(BOB, 'WEB');
  await harness.login(BOB, 'MAC');
  expect(timesTooSlow).toBe(0);
  await harness.login(CAROL);
  expect(harness.store.events).toHaveLength(LIMITS.maxUnreadEvents + 1);
  await expectTooSlow(stream);
});
