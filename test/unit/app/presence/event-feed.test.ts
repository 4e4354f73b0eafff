import { beforeEach, describe, expect, it } from 'vitest';
import { EventFeed, DEFAULT_EVENT_FEED_LIMITS, type EventFeedLimits } from '../../../../src/app/presence/event-feed.ts';
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { PullStream } from '../../../../src/app/presence/pull-stream.ts';
import { parseCursor } from '../../../../src/core/ids.ts';
import { ALICE, BOB, CAROL, AppHarness } from '../support/app-harness.ts';
import { errorOf, faultOf, isPending, nextOf } from '../support/waiting.ts';

const DONE = { done: true, value: undefined };
const never = () => {
  throw new Error('No follower was too slow.');
};

let harness: AppHarness;

beforeEach(() => {
  harness = new AppHarness();
});

const feed = (limits: Partial<EventFeedLimits> = {}) =>
  new EventFeed(harness.store, { ...DEFAULT_EVENT_FEED_LIMITS, ...limits });

const brief = (events: readonly LoggedEvent[]) => events.map(({ userId, reason }) => `${userId} ${reason}`);
const delivered = async (stream: PullStream<readonly LoggedEvent[]>) => brief(await nextOf(stream));

describe('the start of a feed', () => {
  it('is the present when there is no cursor', async () => {
    await harness.login(ALICE);
    const stream = await feed().subscribe(null, never);
    const next = delivered(stream);
    expect(await isPending(next)).toBe(true);
    await harness.login(BOB);
    expect(await next).toEqual(['bob LOGIN']);
  });

  it('is the time of the request, also for events before the first pull', async () => {
    const following = feed();
    const looking = harness.store.gates.hold('reading the log');
    const start = following.subscribe(null, never);
    await looking;
    harness.store.gates.open('reading the log');
    const stream = await start;
    await harness.login(ALICE);
    await harness.login(BOB);
    expect(await delivered(stream)).toEqual(['alice LOGIN', 'bob LOGIN']);
  });

  it('is right after the cursor, in the past or at the end', async () => {
    for (const user of [ALICE, BOB, CAROL]) await harness.login(user);
    const all = await nextOf(await feed().subscribe(await harness.store.cursorAt(0), never));
    expect(all).toEqual(harness.store.events);
    expect(brief(all)).toEqual(['alice LOGIN', 'bob LOGIN', 'carol LOGIN']);
    expect(await delivered(await feed().subscribe(all[1]!.cursor, never))).toEqual(['carol LOGIN']);
    const atTheEnd = await feed().subscribe(all[2]!.cursor, never);
    expect(await isPending(atTheEnd.next())).toBe(true);
  });

  it('is rejected for a cursor that is too old, before anything is delivered', async () => {
    const following = feed();
    for (const user of [ALICE, BOB]) await harness.login(user);
    await harness.store.forgets();
    await harness.login(CAROL);
    expect(await faultOf(following.subscribe(await harness.store.cursorAt(1), never))).toEqual({
      code: 'CURSOR_EXPIRED',
    });
    expect(following.subscriberCount).toBe(0);
    expect(await delivered(await following.subscribe(await harness.store.cursorAt(2), never))).toEqual(['carol LOGIN']);
  });

  it('is rejected for a text that is no cursor of this log', async () => {
    expect(await faultOf(feed().subscribe(parseCursor('nonsense'), never))).toEqual({ code: 'BAD_USER_INPUT' });
  });
});

describe('a list of a feed', () => {
  /** Two changes of two events each, between changes of one event. */
  const kicks = async () => {
    await harness.login(ALICE, 'ANDROID');
    await harness.login(ALICE, 'WEB');
    await harness.login(BOB, 'IPAD');
    await harness.login(ALICE, 'MAC');
  };

  it('has at most the batch size, but never splits a change', async () => {
    await kicks();
    const stream = await feed({ batchSize: 2 }).subscribe(await harness.store.cursorAt(0), never);
    expect(await delivered(stream)).toEqual(['alice LOGIN', 'alice LOGIN', 'alice KICKED']);
    expect(await delivered(stream)).toEqual(['bob LOGIN', 'alice LOGIN', 'alice KICKED']);
    expect(await isPending(stream.next())).toBe(true);
  });

  it('has at most the batch size when changes fit', async () => {
    for (const user of [ALICE, BOB, CAROL]) await harness.login(user);
    const stream = await feed({ batchSize: 2 }).subscribe(await harness.store.cursorAt(0), never);
    expect(await delivered(stream)).toEqual(['alice LOGIN', 'bob LOGIN']);
    expect(await delivered(stream)).toEqual(['carol LOGIN']);
  });

  it('starts with the rest of a change when the cursor is in the middle of it', async () => {
    await kicks();
    const stream = await feed({ batchSize: 1 }).subscribe(await harness.store.cursorAt(2), never);
    expect(await delivered(stream)).toEqual(['alice KICKED']);
    expect(await delivered(stream)).toEqual(['bob LOGIN']);
  });

  it('is delivered live as it is in the log', async () => {
    const stream = await feed({ batchSize: 1 }).subscribe(null, never);
    const first = nextOf(stream);
    expect(await isPending(first)).toBe(true);
    await kicks();
    const all = [...(await first), ...(await nextOf(stream)), ...(await nextOf(stream)), ...(await nextOf(stream))];
    expect(all).toEqual(harness.store.events);
    expect(brief(all)).toEqual([
      'alice LOGIN',
      'alice LOGIN',
      'alice KICKED',
      'bob LOGIN',
      'alice LOGIN',
      'alice KICKED',
    ]);
  });
});

describe('a follower', () => {
  it('that unsubscribes is removed, and no other is', async () => {
    const following = feed();
    const leaving = await following.subscribe(null, never);
    const staying = await following.subscribe(null, never);
    const waiting = leaving.next();
    expect(await isPending(waiting)).toBe(true);
    await leaving.return();
    expect(await waiting).toEqual(DONE);
    expect(following.subscriberCount).toBe(1);
    await harness.login();
    expect(await delivered(staying)).toEqual(['alice LOGIN']);
    expect(await leaving.next()).toEqual(DONE);
    await staying.return();
    expect(following.subscriberCount).toBe(0);
  });

  it('receives the error of the store, and is removed', async () => {
    const following = feed();
    const stream = await following.subscribe(null, never);
    const failure = new Error('disk full');
    harness.store.gates.fail('reading the log', failure);
    expect(await errorOf(stream.next())).toBe(failure);
    expect(await stream.next()).toEqual(DONE);
    expect(following.subscriberCount).toBe(0);
  });

  it('receives CURSOR_EXPIRED when the retention passes it while it reads', async () => {
    for (const user of [ALICE, BOB, CAROL]) await harness.login(user);
    const following = feed({ batchSize: 1 });
    const stream = await following.subscribe(await harness.store.cursorAt(0), never);
    await nextOf(stream);
    await harness.store.forgets();
    expect(await faultOf(stream.next())).toEqual({ code: 'CURSOR_EXPIRED' });
    expect(following.subscriberCount).toBe(0);
  });
});
