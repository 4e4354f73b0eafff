import { beforeEach, describe, expect, it } from 'vitest';
import type { PullStream } from '../../../../src/app/presence/pull-stream.ts';
import { StatusWatchers } from '../../../../src/app/presence/status-watchers.ts';
import type { UserId } from '../../../../src/core/ids.ts';
import type { StatusChange } from '../../../../src/core/records.ts';
import { START } from '../support/fake-store.ts';
import { ALICE, BOB, CAROL, AppHarness } from '../support/app-harness.ts';
import { errorOf, isPending, nextOf, settled } from '../support/waiting.ts';

const DONE = { done: true, value: undefined };

let harness: AppHarness;
let watchers: StatusWatchers;

beforeEach(() => {
  harness = new AppHarness();
  watchers = new StatusWatchers(harness.store);
});

const watch = (ids: readonly UserId[]): PullStream<readonly StatusChange[]> =>
  watchers.watchUsers(ids)[Symbol.asyncIterator]();

/** The relevant fields of a list, one line per change. */
const brief = (changes: readonly StatusChange[]): string[] =>
  changes.map(
    ({ userId, version, previousStatus, status, reason }) =>
      `${userId} ${version}: ${previousStatus ?? 'snapshot'} → ${status} ${reason ?? '-'}`,
  );

const delivered = async (stream: PullStream<readonly StatusChange[]>) => brief(await nextOf(stream));

describe('the first message', () => {
  it('is the present status of every user, unknown ones included, each once, with no previous status', async () => {
    await harness.login(BOB);
    const stream = watch([ALICE, BOB, ALICE, BOB]);
    expect(await nextOf(stream)).toEqual([
      {
        userId: ALICE,
        status: 'OFFLINE',
        version: 0,
        previousStatus: null,
        reason: null,
        platform: null,
        changedAt: null,
        lastSeenAt: null,
        customStatus: null,
      },
      {
        userId: BOB,
        status: 'ONLINE',
        version: 1,
        previousStatus: null,
        reason: 'LOGIN',
        platform: null,
        changedAt: START,
        lastSeenAt: START,
        customStatus: null,
      },
    ]);
    expect(await isPending(stream.next())).toBe(true);
  });

  it('is an empty list when no user is watched', async () => {
    const stream = watch([]);
    expect(await nextOf(stream)).toEqual([]);
    expect(await isPending(stream.next())).toBe(true);
  });

  it('ends the subscription when the store fails', async () => {
    const failure = new Error('disk full');
    harness.store.gates.fail('before reading', failure);
    const stream = watch([ALICE]);
    expect(await errorOf(stream.next())).toBe(failure);
    expect(await stream.next()).toEqual(DONE);
    expect(watchers.watchedUserCount).toBe(0);
  });
});

describe('a change while the snapshot is read is delivered exactly once', () => {
  it('in the snapshot, when the snapshot contains it', async () => {
    const reading = harness.store.gates.hold('before reading');
    const stream = watch([ALICE]);
    const first = delivered(stream);
    await reading;
    await harness.login();
    harness.store.gates.open('before reading');
    expect(await first).toEqual(['alice 1: snapshot → ONLINE LOGIN']);
    expect(await isPending(stream.next())).toBe(true);
  });

  it('after the snapshot, when the snapshot is older', async () => {
    const reading = harness.store.gates.hold('after reading');
    const stream = watch([ALICE]);
    const first = delivered(stream);
    await reading;
    await harness.login();
    harness.store.gates.open('after reading');
    expect(await first).toEqual(['alice 0: snapshot → OFFLINE -']);
    expect(await delivered(stream)).toEqual(['alice 1: OFFLINE → ONLINE LOGIN']);
  });

  it('as the newer of two changes, when the snapshot lies between them', async () => {
    const reading = harness.store.gates.hold('before reading');
    const stream = watch([ALICE]);
    const first = delivered(stream);
    await reading;
    const ref = await harness.session();
    const read = harness.store.gates.hold('after reading');
    harness.store.gates.open('before reading');
    await read;
    await harness.tracker.setCustomStatus(ref, 'away');
    await harness.tracker.logout(ref);
    harness.store.gates.open('after reading');
    expect(await first).toEqual(['alice 1: snapshot → ONLINE LOGIN']);
    expect(await delivered(stream)).toEqual(['alice 3: ONLINE → OFFLINE LOGOUT']);
  });

  it('as the newest of all newer changes, however many there are', async () => {
    const reading = harness.store.gates.hold('after reading');
    const stream = watch([ALICE, BOB]);
    const first = delivered(stream);
    await reading;
    const ref = await harness.session();
    for (let text = 0; text < 50; text++) await harness.tracker.setCustomStatus(ref, String(text));
    await harness.login(BOB);
    harness.store.gates.open('after reading');
    expect(await first).toEqual(['alice 0: snapshot → OFFLINE -', 'bob 0: snapshot → OFFLINE -']);
    expect(await delivered(stream)).toEqual([
      'alice 51: OFFLINE → ONLINE CUSTOM_STATUS',
      'bob 1: OFFLINE → ONLINE LOGIN',
    ]);
  });

  it('in the snapshot, when the snapshot contains it before it is published', async () => {
    const committed = harness.store.gates.hold('before publishing');
    const login = harness.login();
    await committed;
    const stream = watch([ALICE]);
    expect(await delivered(stream)).toEqual(['alice 1: snapshot → ONLINE LOGIN']);
    const second = delivered(stream);
    harness.store.gates.open('before publishing');
    const { session } = await login;
    expect(await isPending(second)).toBe(true);
    await harness.tracker.logout({ userId: ALICE, sessionId: session.id });
    expect(await second).toEqual(['alice 2: ONLINE → OFFLINE LOGOUT']);
  });

  it('also when the reader has not pulled yet', async () => {
    const stream = watch([ALICE]);
    await harness.login();
    expect(await delivered(stream)).toEqual(['alice 1: snapshot → ONLINE LOGIN']);
    expect(await isPending(stream.next())).toBe(true);
  });
});

describe('a change of a watched user', () => {
  it('resolves the pending pull with all fields', async () => {
    const ref = await harness.session();
    const stream = watch([ALICE, BOB]);
    await nextOf(stream);
    const next = nextOf(stream);
    expect(await isPending(next)).toBe(true);
    harness.store.passes(1_000);
    await harness.tracker.setCustomStatus(ref, 'at lunch');
    expect(await next).toEqual([
      {
        userId: ALICE,
        status: 'ONLINE',
        version: 2,
        previousStatus: 'ONLINE',
        reason: 'CUSTOM_STATUS',
        platform: 'ANDROID',
        changedAt: START + 1_000,
        lastSeenAt: START + 1_000,
        customStatus: 'at lunch',
      },
    ]);
  });

  it('is not delivered before it is durable', async () => {
    const stream = watch([ALICE]);
    await nextOf(stream);
    const next = delivered(stream);
    const deciding = harness.store.gates.hold('before publishing');
    const login = harness.login();
    await deciding;
    expect(await isPending(next)).toBe(true);
    harness.store.gates.open('before publishing');
    expect(await next).toEqual(['alice 1: OFFLINE → ONLINE LOGIN']);
    await login;
  });

  it('is not delivered when no field that watchers see has changed', async () => {
    const policy = harness.store.getPolicy();
    await harness.store.updatePolicy(() => ({ ...policy, multiDevice: { mode: 'CUSTOM', groups: [] } }));
    await harness.login();
    const stream = watch([ALICE]);
    await nextOf(stream);
    await harness.login(ALICE, 'WEB');
    await harness.login(ALICE, 'ANDROID');
    await harness.login(BOB);
    expect(await isPending(stream.next())).toBe(true);
  });

  it('is delivered to every watcher, and once to one that names the user twice', async () => {
    const streams = [watch([ALICE, ALICE]), watch([BOB, ALICE])];
    for (const stream of streams) await nextOf(stream);
    await harness.login();
    for (const stream of streams) {
      expect(await delivered(stream)).toEqual(['alice 1: OFFLINE → ONLINE LOGIN']);
      expect(await isPending(stream.next())).toBe(true);
    }
  });
});

describe('a slow reader', () => {
  it('receives the newest status, with the last delivered status as the previous one', async () => {
    const stream = watch([ALICE, BOB]);
    await nextOf(stream);
    const ref = await harness.session();
    await harness.session(BOB, 'WEB');
    await harness.tracker.setCustomStatus(ref, 'here');
    harness.store.passes(400_000);
    await harness.tracker.expireDueUsers([ALICE]);
    expect(await delivered(stream)).toEqual([
      'alice 3: OFFLINE → PUSH_ONLINE HEARTBEAT_TIMEOUT',
      'bob 1: OFFLINE → ONLINE LOGIN',
    ]);
    await harness.tracker.logout(ref);
    await harness.login();
    expect(await delivered(stream)).toEqual(['alice 5: PUSH_ONLINE → ONLINE LOGIN']);
  });

  it('has one pending entry per user, however many changes there are', async () => {
    const refs = [await harness.session(ALICE), await harness.session(BOB), await harness.session(CAROL)];
    const stream = watch([ALICE, BOB, CAROL]);
    await nextOf(stream);
    for (let change = 0; change < 100_000; change++) {
      await harness.tracker.setCustomStatus(refs[change % 3]!, String(change));
      if (change % 10_000 === 0) await settled();
    }
    const changes = await nextOf(stream);
    expect(changes.map(({ userId, customStatus }) => [userId, customStatus])).toEqual([
      [ALICE, '99999'],
      [BOB, '99997'],
      [CAROL, '99998'],
    ]);
    expect(await isPending(stream.next())).toBe(true);
  });
});

describe('a reader that is notified', () => {
  it('is notified once until it has taken the changes, and at once if a change is pending already', async () => {
    const watcher = watchers.watchUsers([ALICE, BOB]);
    expect(brief(await watcher.takeSnapshot())).toEqual([
      'alice 0: snapshot → OFFLINE -',
      'bob 0: snapshot → OFFLINE -',
    ]);
    expect(watcher.takeChanges()).toBeNull();
    await harness.login(ALICE);
    let notifications = 0;
    watcher.attachReader({ notifyAvailable: () => notifications++ });
    expect(notifications).toBe(1);
    await harness.login(BOB);
    expect(notifications).toBe(1);
    expect(brief(watcher.takeChanges() ?? [])).toEqual([
      'alice 1: OFFLINE → ONLINE LOGIN',
      'bob 1: OFFLINE → ONLINE LOGIN',
    ]);
    expect(watcher.takeChanges()).toBeNull();
    const { session } = await harness.login(ALICE, 'ANDROID', 'd2');
    expect(notifications).toBe(1);
    await harness.tracker.logout({ userId: ALICE, sessionId: session.id });
    expect(notifications).toBe(2);
    watcher.onClosed();
    await harness.login(ALICE);
    expect(watchers.watchedUserCount).toBe(0);
  });

  it('receives the same objects as other readers of the same change', async () => {
    const ref = await harness.session();
    const [one, other, late] = [
      watchers.watchUsers([ALICE]),
      watchers.watchUsers([ALICE, BOB]),
      watchers.watchUsers([ALICE]),
    ];
    for (const watcher of [one, other, late]) await watcher.takeSnapshot();
    harness.store.passes(400_000);
    await harness.tracker.expireDueUsers([ALICE]);
    late.takeChanges();
    await harness.tracker.logout(ref);
    const lists = [one, other, late].map((watcher) => watcher.takeChanges() ?? []);
    expect(lists.map(brief)).toEqual([
      ['alice 3: ONLINE → OFFLINE LOGOUT'],
      ['alice 3: ONLINE → OFFLINE LOGOUT'],
      ['alice 3: PUSH_ONLINE → OFFLINE LOGOUT'],
    ]);
    expect(lists[0]?.[0]).toBe(lists[1]?.[0]);
  });
});

describe('a reader that unsubscribes', () => {
  it('is removed, and no other reader is', async () => {
    const leaving = watch([ALICE, BOB, BOB]);
    const staying = watch([BOB]);
    for (const stream of [leaving, staying]) await nextOf(stream);
    expect(watchers.watchedUserCount).toBe(2);
    const waiting = leaving.next();
    expect(await isPending(waiting)).toBe(true);
    await leaving.return();
    expect(await waiting).toEqual(DONE);
    expect(watchers.watchedUserCount).toBe(1);
    await harness.login(BOB);
    expect(await delivered(staying)).toEqual(['bob 1: OFFLINE → ONLINE LOGIN']);
    expect(await leaving.next()).toEqual(DONE);
    await staying.return();
    expect(watchers.watchedUserCount).toBe(0);
  });

  it('may unsubscribe before its first read, and while the snapshot is read', async () => {
    await watch([ALICE]).return();
    expect(watchers.watchedUserCount).toBe(0);
    const reading = harness.store.gates.hold('before reading');
    const stream = watch([ALICE]);
    const first = stream.next();
    await reading;
    await stream.return();
    harness.store.gates.open('before reading');
    expect(await first).toEqual(DONE);
    expect(watchers.watchedUserCount).toBe(0);
  });
});
