/**
 * What every presence store does, whichever it is. An adapter passes all of it or is none:
 * `presenceStoreContract('name', makeStore)` in a test file of its own.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { CommittedChange, LoggedEvent, PresenceStore } from '../../src/app/ports/presence-store.ts';
import { DomainError } from '../../src/core/errors.ts';
import { asSocketId, parseSessionId, type Cursor } from '../../src/core/ids.ts';
import { applyPolicyChange, DEFAULT_POLICY, type Policy } from '../../src/core/policy.ts';
import { applyCommand } from '../../src/core/state-machine.ts';
import { createUnknownUser, type PresenceEvent } from '../../src/core/records.ts';
import { beat, endAll, login, logout, run, runAll, say, user, wake } from './commands.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface MakeStoreOptions {
  readonly clock: VirtualClock;
  readonly policySeed: Policy;
  readonly eventRetentionMs: number;
}

export interface StoreUnderTest {
  readonly store: PresenceStore;
  /** Does all the work that retention has by now. */
  readonly purge: () => Promise<void>;
}

/** Makes a new, empty store. The suite closes it. */
export type MakeStore = (options: MakeStoreOptions) => Promise<StoreUnderTest>;

const SECOND = 1_000;
const DAY = 86_400_000;
/** The timer may be this late. */
const GRAIN_MS = 200;

const ALICE = user('alice');
const BOB = user('bob');
const CAROL = user('carol');

export const presenceStoreContract = (name: string, makeStore: MakeStore): void => {
  describe(`${name} as a presence store`, () => {
    const opened: PresenceStore[] = [];
    const make = async ({ policySeed = DEFAULT_POLICY, eventRetentionMs = 30 * DAY } = {}) => {
      const clock = new VirtualClock();
      const { store, purge } = await makeStore({ clock, policySeed, eventRetentionMs });
      opened.push(store);
      return { store, purge, clock };
    };
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((store) => store.close()));
    });

    describe('reading users', () => {
      it('answers in the order asked, duplicates and all, unknown users as unknown', async () => {
        const { store } = await make();
        const { user: alice } = await run(store, ALICE, login('a1'));
        const { user: bob } = await run(store, BOB, login('b1', 'WEB'));
        expect(await store.readUsers([BOB, CAROL, ALICE, BOB])).toEqual([bob, createUnknownUser(CAROL, 0), alice, bob]);
        expect(await store.readUsers([])).toEqual([]);
      });

      it('keeps everything that is known of a user', async () => {
        const { store, clock } = await make();
        const watch = [BOB, user('🦊 of the "north"')];
        await run(
          store,
          ALICE,
          login('a1', 'MAC', { watchScope: watch, appVersion: null, osVersion: '14.5', ipAddress: null }),
        );
        clock.advance(5);
        const { user: record } = await run(store, ALICE, say('a1', 'line\nbreak\u0000 and nul, "quoted"'));
        expect((await store.readUsers([ALICE]))[0]).toEqual(record);
        expect(record.sessions[0]).toMatchObject({ watchScope: watch, platform: 'MAC', loggedInAt: clock.now() - 5 });
      });

      it('keeps what is known of a user who went OFFLINE', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        clock.advance(SECOND);
        await run(store, ALICE, logout('a1'));
        expect((await store.readUsers([ALICE]))[0]).toEqual({
          ...createUnknownUser(ALICE, 0),
          version: 2,
          changedAt: clock.now(),
          reason: 'LOGOUT',
          lastSeenAt: clock.now(),
        });
      });

      it('shows a change whole or not at all while it is being made', async () => {
        const { store } = await make();
        const { user: before } = await run(store, ALICE, login('a1', 'ANDROID'));
        const change = run(store, ALICE, login('a2', 'WINDOWS'));
        const [during] = await store.readUsers([ALICE]);
        const { user: after } = await change;
        expect([before, after]).toContainEqual(during);
        expect((await store.readUsers([ALICE]))[0]).toEqual(after);
      });

      it('shows a sign of life, which is no event', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        clock.advance(SECOND);
        await run(store, ALICE, beat('a1'));
        expect((await store.readUsers([ALICE]))[0]).toMatchObject({ version: 1, lastSeenAt: clock.now() });
        expect((await store.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(1);
      });

      it('keeps when tokens were revoked of a user who was never seen', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, endAll(true));
        expect(await store.readUsers([ALICE])).toEqual([
          { ...createUnknownUser(ALICE, 0), tokensRevokedBefore: clock.now() },
        ]);
      });
    });

    describe('updates', () => {
      it('decide on the latest record, with the policy in force and the time', async () => {
        const { store, clock } = await make();
        const { user: alice } = await run(store, ALICE, login('a1'));
        clock.advance(7);
        await store.updateUser(ALICE, (record, policy, now) => {
          expect(record).toEqual(alice);
          expect(policy).toEqual(store.getPolicy());
          expect(now).toBe(clock.now());
          return { user: record, changes: [], endedSessions: [], session: null, mustBeDurable: false };
        });
      });

      it('of one user run one after another, in the order they were called', async () => {
        const { store } = await make();
        await run(store, ALICE, login('a1'));
        const words = Array.from({ length: 30 }, (_, index) => `word ${index}`);
        const finished: string[] = [];
        const outcomes = await Promise.all(
          words.map(async (word) => {
            const outcome = await run(store, ALICE, say('a1', word));
            finished.push(word);
            return outcome.user;
          }),
        );
        expect(outcomes.map(({ customStatus, version }) => ({ customStatus, version }))).toEqual(
          words.map((customStatus, index) => ({ customStatus, version: index + 2 })),
        );
        expect(finished).toEqual(words);
      });

      it('of one user do not wait for another', async () => {
        const { store } = await make();
        await run(store, ALICE, login('a1'));
        const finished: string[] = [];
        const many = Array.from({ length: 20 }, (_, index) =>
          run(store, ALICE, say('a1', `word ${index}`)).then(() => finished.push(`alice ${index}`)),
        );
        const one = run(store, BOB, login('b1')).then(() => finished.push('bob'));
        await Promise.all([...many, one]);
        expect(finished.indexOf('bob')).toBeLessThan(finished.indexOf('alice 19'));
      });

      it('that cannot decide change nothing and stand in nobody’s way', async () => {
        const { store } = await make();
        const { user: alice } = await run(store, ALICE, login('a1'));
        const failure = new Error('cannot decide');
        const failing = store.updateUser(ALICE, () => {
          throw failure;
        });
        const next = run(store, ALICE, say('a1', 'still here'));
        await expect(failing).rejects.toBe(failure);
        expect((await next).user.version).toBe(alice.version + 1);
        expect((await store.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(2);
      });

      it('queued behind one that cannot decide run all the same', async () => {
        const { store } = await make();
        const first = run(store, ALICE, login('a1'));
        const failing = store.updateUser(ALICE, () => {
          throw new Error('cannot decide');
        });
        const last = run(store, ALICE, say('a1', 'still here'));
        await expect(failing).rejects.toThrow('cannot decide');
        expect([(await first).user.version, (await last).user.version]).toEqual([1, 2]);
      });
    });

    describe('updates of many users at once', () => {
      it('are one update of each, told before they are answered', async () => {
        const { store, clock } = await make();
        for (const [id, session] of [[ALICE, 'a1'] as const, [BOB, 'b1'] as const])
          await run(store, id, login(session));
        clock.advance(400 * SECOND);
        const told: CommittedChange[] = [];
        store.onCommit((changes) => told.push(...changes));
        expect(await runAll(store, [ALICE, CAROL, BOB], wake)).toEqual([]);
        expect(told.map(({ user: { id, status } }) => [id, status])).toEqual([
          [ALICE, 'PUSH_ONLINE'],
          [BOB, 'PUSH_ONLINE'],
        ]);
        expect((await store.readUsers([ALICE, BOB, CAROL])).map(({ version }) => version)).toEqual([2, 2, 0]);
      });

      it('leave out whom they fail for, and say so', async () => {
        const { store } = await make();
        for (const id of [ALICE, BOB, CAROL]) await run(store, id, login(`session of ${id}`));
        const failure = new Error('not her');
        const failed = await store.updateUsers([ALICE, BOB, CAROL], (record, policy, now) => {
          if (record.id === BOB) throw failure;
          return applyCommand(record, endAll(), policy, now);
        });
        expect(failed).toEqual([{ userId: BOB, error: failure }]);
        const statuses = (await store.readUsers([ALICE, BOB, CAROL])).map(({ status }) => status);
        expect(statuses).toEqual(['OFFLINE', 'ONLINE', 'OFFLINE']);
      });

      it('wait for what was asked of a user before, and give way to what comes meanwhile', async () => {
        const { store } = await make();
        const first = run(store, ALICE, login('a1'));
        const many = runAll(store, [ALICE, BOB, ALICE], logout('a1'));
        const others = ['hello', 'bye'].map((text) => run(store, ALICE, say('a1', text)));
        expect(await many).toEqual([]);
        await Promise.all([first, ...others]);
        const { events } = await store.eventLog.readEvents({ after: null, limit: 10 });
        expect(events.map(({ reason, customStatus }) => [reason, customStatus])).toEqual([
          ['LOGIN', null],
          ['CUSTOM_STATUS', 'hello'],
          ['CUSTOM_STATUS', 'bye'],
          ['LOGOUT', null],
        ]);
      });

      it('give way once: change after change does not keep them', async () => {
        const { store } = await make();
        await run(store, ALICE, login('a1'));
        const texts = ['three', 'four', 'five'];
        const later: Promise<unknown>[] = [];
        store.onCommit((changes) => {
          const [text] = changes.some(({ events }) => events[0]?.reason === 'CUSTOM_STATUS') ? texts.splice(0, 1) : [];
          if (text !== undefined) later.push(run(store, ALICE, say('a1', text)));
        });
        const changes = [run(store, ALICE, say('a1', 'one'))];
        const many = runAll(store, [ALICE], logout('a1'));
        changes.push(run(store, ALICE, say('a1', 'two')));
        expect(await many).toEqual([]);
        await Promise.all(changes);
        await Promise.all(later);
        const { events } = await store.eventLog.readEvents({ after: null, limit: 10 });
        expect(events.map(({ reason, customStatus }) => customStatus ?? reason)).toEqual([
          'LOGIN',
          'one',
          'two',
          // It came before the first was done with.
          'three',
          'LOGOUT',
        ]);
      });

      it('time nobody out whose sign of life waits behind a change under way, though the timer was there first', async () => {
        const { store, clock } = await make({
          policySeed: applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } }),
        });
        await run(store, ALICE, login('web', 'WEB'));
        await run(store, ALICE, login('phone', 'IPHONE'));
        clock.advance(60_000 - 1);
        const change = run(store, ALICE, say('phone', 'hello'));
        clock.advance(1);
        const woken = runAll(store, [ALICE], wake);
        const life = run(store, ALICE, beat('web'));
        await Promise.all([change, woken]);
        expect((await life).session).toMatchObject({ id: 'web', status: 'ONLINE' });
        const [{ sessions } = createUnknownUser(ALICE, 0)] = await store.readUsers([ALICE]);
        expect(sessions.map(({ id }) => id)).toEqual(['web', 'phone']);
      });

      it('may be of nobody', async () => {
        const { store } = await make();
        expect(await runAll(store, [], wake)).toEqual([]);
      });
    });

    describe('the workload', () => {
      it('is how many changes are not durable yet, and for how long the oldest has been waiting', async () => {
        const { store, clock } = await make();
        const none = { pendingChanges: 0, oldestPendingMs: 0 };
        expect(store.getWriteBacklog()).toEqual(none);
        const changes = [run(store, ALICE, login('a1')), run(store, BOB, login('b1'))];
        clock.advance(70);
        changes.push(run(store, CAROL, login('c1')));
        clock.advance(5);
        expect(store.getWriteBacklog()).toEqual({ pendingChanges: 3, oldestPendingMs: 75 });
        await Promise.all(changes);
        expect(store.getWriteBacklog()).toEqual(none);
      });

      it('is none of those that could not decide', async () => {
        const { store } = await make();
        const failing = store.updateUser(ALICE, () => {
          throw new Error('cannot decide');
        });
        await expect(failing).rejects.toThrow('cannot decide');
        expect(store.getWriteBacklog()).toEqual({ pendingChanges: 0, oldestPendingMs: 0 });
      });

      it('goes down as changes become durable, however many there are', async () => {
        const { store } = await make();
        const ids = Array.from({ length: 1_000 }, (_, index) => user(`user ${index}`));
        const changes = ids.map((id) =>
          run(store, id, login(`of ${id}`)).then(() => store.getWriteBacklog().pendingChanges),
        );
        expect(store.getWriteBacklog().pendingChanges).toBe(1_000);
        const left = await Promise.all(changes);
        expect(left.at(-1)).toBe(0);
        expect(left).toEqual(left.toSorted((one, other) => other - one));
      });
    });

    describe('what is told of a commit', () => {
      it('comes once, in the order of the log, before the update is answered', async () => {
        const { store } = await make();
        const told: CommittedChange[] = [];
        store.onCommit((changes) => told.push(...changes));
        await Promise.all(
          ['a', 'b', 'c', 'd', 'e'].map(async (name) => {
            const id = user(name);
            const { user: record } = await run(store, id, login(`${name}1`));
            expect(told.at(-1) === undefined ? [] : told.map((change) => change.user)).toContainEqual(record);
            await run(store, id, login(`${name}2`, 'WEB'));
            await run(store, id, say(`${name}2`, 'hello'));
          }),
        );
        const { events } = await store.eventLog.readEvents({ after: null, limit: 100 });
        expect(events).toMatchObject(told.flatMap((change) => change.events));
        expect(events).toHaveLength(20);
        expect(new Set(events.map((event) => event.cursor)).size).toBe(20);
      });

      it('tells the change with its events, status change, lost sockets and the user after it', async () => {
        const { store } = await make();
        const told: CommittedChange[] = [];
        const link = asSocketId('link of a1');
        await run(store, ALICE, login('a1', 'ANDROID', { socketId: link }));
        store.onCommit((changes) => told.push(...changes));
        const outcome = await run(store, ALICE, logout('a1'));
        const change = outcome.changes[0];
        expect(told).toMatchObject([{ ...change, user: outcome.user }]);
        expect(told[0]?.lostSockets).toEqual([
          { socketId: link, sessionId: parseSessionId('a1'), reason: 'LOGOUT', isSessionEnded: true },
        ]);
      });

      it('ends with the subscription, and signs of life are not told', async () => {
        const { store } = await make();
        let calls = 0;
        const stop = store.onCommit(() => calls++);
        await run(store, ALICE, login('a1'));
        await run(store, ALICE, beat('a1'));
        expect(calls).toBe(1);
        stop();
        await run(store, ALICE, logout('a1'));
        expect(calls).toBe(1);
      });
    });

    describe('the event log', () => {
      const logged = async (store: PresenceStore): Promise<readonly LoggedEvent[]> => {
        await run(store, ALICE, login('a1', 'ANDROID'));
        await run(store, BOB, login('b1', 'ANDROID'));
        // One change of two events: LOGIN and KICKED.
        await run(store, ALICE, login('a2', 'WEB'));
        await run(store, BOB, say('b1', 'hello'));
        const { events } = await store.eventLog.readEvents({ after: null, limit: 100 });
        expect(events.map(({ userId, reason }) => `${userId} ${reason}`)).toEqual([
          'alice LOGIN',
          'bob LOGIN',
          'alice LOGIN',
          'alice KICKED',
          'bob CUSTOM_STATUS',
        ]);
        return events;
      };

      it('is empty at first, and its end is a place to start from', async () => {
        const { store } = await make();
        const start = await store.eventLog.getLatestCursor();
        expect(await store.eventLog.readEvents({ after: null, limit: 10 })).toEqual({ events: [], hasMore: false });
        const events = await logged(store);
        expect((await store.eventLog.readEvents({ after: start, limit: 10 })).events).toEqual(events);
        expect(await store.eventLog.getLatestCursor()).toBe(events.at(-1)?.cursor);
      });

      it('is read page by page, each starting right after the last', async () => {
        const { store } = await make();
        const events = await logged(store);
        const seen: LoggedEvent[] = [];
        let after: Cursor | null = null;
        for (const hasMore of [true, true, false]) {
          const page = await store.eventLog.readEvents({ after, limit: 2 });
          expect(page.hasMore).toBe(hasMore);
          seen.push(...page.events);
          after = page.events.at(-1)?.cursor ?? null;
        }
        expect(seen).toEqual(events);
        expect(await store.eventLog.readEvents({ after, limit: 2 })).toEqual({ events: [], hasMore: false });
      });

      it('says that there is no more when a page ends with the last event', async () => {
        const { store } = await make();
        const events = await logged(store);
        expect(await store.eventLog.readEvents({ after: null, limit: 5 })).toEqual({ events, hasMore: false });
      });

      it('gives the events of one change one changeId, and whole changes where they are asked for', async () => {
        const { store } = await make();
        const events = await logged(store);
        expect(new Set(events.map((event) => event.changeId)).size).toBe(4);
        expect(events[2]?.changeId).toBe(events[3]?.changeId);
        const cut = await store.eventLog.readEvents({ after: null, limit: 3 });
        expect(cut).toEqual({ events: events.slice(0, 3), hasMore: true });
        const whole = await store.eventLog.readEvents({ after: null, limit: 3, wholeChanges: true });
        expect(whole).toEqual({ events: events.slice(0, 4), hasMore: true });
        const rest = await store.eventLog.readEvents({
          after: events[2]?.cursor ?? null,
          limit: 1,
          wholeChanges: true,
        });
        expect(rest).toEqual({ events: events.slice(3, 4), hasMore: true });
      });

      it('can be read for one user alone', async () => {
        const { store } = await make();
        const events = await logged(store);
        const bobs = events.filter((event) => event.userId === BOB);
        expect(await store.eventLog.readEvents({ after: null, limit: 2, userId: BOB })).toEqual({
          events: bobs,
          hasMore: false,
        });
        expect(await store.eventLog.readEvents({ after: null, limit: 1, userId: BOB })).toEqual({
          events: bobs.slice(0, 1),
          hasMore: true,
        });
        const from = events[0]?.cursor ?? null;
        expect(await store.eventLog.readEvents({ after: from, limit: 1, userId: ALICE, wholeChanges: true })).toEqual({
          events: events.slice(2, 4),
          hasMore: false,
        });
        expect(await store.eventLog.readEvents({ after: null, limit: 1, userId: CAROL })).toEqual({
          events: [],
          hasMore: false,
        });
      });

      it('is scanned for what matches: whole changes, and how far it was looked at', async () => {
        const { store } = await make();
        const events = await logged(store);
        const from = async (after: Cursor | null, limit: number, matching: (event: PresenceEvent) => boolean) => {
          const {
            events: found,
            scannedThrough: through,
            hasMore,
          } = await store.eventLog.scanEvents({ after, limit, matchesEvent: matching });
          return { found, through, hasMore };
        };
        const end = events.at(-1)?.cursor;
        expect(await from(null, 10, () => true)).toEqual({ found: events, through: end, hasMore: false });
        expect(await from(null, 10, () => false)).toEqual({ found: [], through: end, hasMore: false });
        expect(await from(null, 1, ({ userId }) => userId === BOB)).toMatchObject({
          found: events.filter(({ userId }) => userId === BOB).slice(0, 1),
          hasMore: true,
        });
        // The third and the fourth are one change.
        const cut = await from(null, 3, () => true);
        expect(cut).toEqual({ found: events.slice(0, 4), through: events[3]?.cursor, hasMore: true });
        expect(await from(cut.through, 3, () => true)).toEqual({
          found: events.slice(4),
          through: end,
          hasMore: false,
        });
        const none = await from(end ?? null, 3, () => true);
        expect(none).toEqual({ found: [], through: end, hasMore: false });
      });

      it('is scanned a bounded number of events at a time', async () => {
        const { store } = await make();
        await run(store, ALICE, login('a1'));
        for (let text = 0; text < 1_500; text++) await run(store, ALICE, say('a1', `text ${text}`));
        const all = (await store.eventLog.readEvents({ after: null, limit: 2_000 })).events;
        const seen: Cursor[] = [];
        let after: Cursor | null = null;
        for (let more = true; more;) {
          const {
            events,
            scannedThrough: through,
            hasMore,
          } = await store.eventLog.scanEvents({ after, limit: 1, matchesEvent: () => false });
          expect(events).toEqual([]);
          seen.push(through);
          after = through;
          more = hasMore;
        }
        expect(seen).toEqual([all[999]?.cursor, all.at(-1)?.cursor]);
      });

      it('tells the last events of one user, the newest first', async () => {
        const { store, purge, clock } = await make();
        const alices = (await logged(store)).filter((event) => event.userId === ALICE).toReversed();
        expect(await store.eventLog.readLatestEvents(ALICE, 2)).toEqual(alices.slice(0, 2));
        expect(await store.eventLog.readLatestEvents(ALICE, 100)).toEqual(alices);
        expect(await store.eventLog.readLatestEvents(CAROL, 2)).toEqual([]);
        clock.advance(30 * DAY + 1);
        const { changes } = await run(store, ALICE, login('late'));
        await purge();
        expect(await store.eventLog.readLatestEvents(ALICE, 100)).toMatchObject(
          changes.flatMap(({ events }) => events).toReversed(),
        );
      });

      it('refuses a cursor that it did not make', async () => {
        const { store } = await make();
        const other = await make();
        await logged(store);
        const latest = await store.eventLog.getLatestCursor();
        const foreign = await other.store.eventLog.getLatestCursor();
        const changeId = (await store.eventLog.readEvents({ after: null, limit: 1 })).events[0]?.changeId ?? '';
        const odd = ['-1', '0x1', '01', '1.0', '1e0', '+1', '', '99'].map((end) => latest.replace(/\d+$/, end));
        for (const text of ['x', '0', ` ${latest}`, `${latest} `, `${latest}0`, foreign, changeId, ...odd]) {
          await expect(store.eventLog.readEvents({ after: text as Cursor, limit: 1 }), text).rejects.toMatchObject({
            details: { code: 'BAD_USER_INPUT' },
          });
        }
      });

      it('forgets events that are old enough, and says so to who would miss them', async () => {
        const { store, clock, purge } = await make({ eventRetentionMs: 10 * SECOND });
        const start = await store.eventLog.getLatestCursor();
        await run(store, ALICE, login('a1'));
        const first = await store.eventLog.getLatestCursor();
        await run(store, BOB, login('b1'));
        const second = await store.eventLog.getLatestCursor();
        clock.advance(6 * SECOND);
        await run(store, CAROL, login('c1'));
        await purge();
        expect((await store.eventLog.readEvents({ after: start, limit: 10 })).events).toHaveLength(3);

        clock.advance(4 * SECOND + 1);
        await purge();
        const kept = await store.eventLog.readEvents({ after: null, limit: 10 });
        expect(kept.events.map((event) => event.userId)).toEqual([CAROL]);
        for (const after of [start, first]) {
          await expect(store.eventLog.readEvents({ after, limit: 10 })).rejects.toMatchObject({
            details: { code: 'CURSOR_EXPIRED' },
          });
        }
        // Everything after this one is still there.
        expect(await store.eventLog.readEvents({ after: second, limit: 10 })).toEqual(kept);

        clock.advance(DAY);
        await purge();
        expect(await store.eventLog.readEvents({ after: null, limit: 10 })).toEqual({ events: [], hasMore: false });
        expect(await store.eventLog.readEvents({ after: await store.eventLog.getLatestCursor(), limit: 10 })).toEqual({
          events: [],
          hasMore: false,
        });
      });

      it('keeps an event that is exactly as old as the retention', async () => {
        const { store, clock, purge } = await make({ eventRetentionMs: 10 * SECOND });
        await run(store, ALICE, login('a1'));
        clock.advance(10 * SECOND);
        await purge();
        expect((await store.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(1);
      });
    });

    describe('deadlines', () => {
      const TIMEOUT_MS = DEFAULT_POLICY.platforms.ANDROID.heartbeatTimeoutMs;

      it('hand out a user when hers has come, never before', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(TIMEOUT_MS - 1);
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(1 + GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      });

      it('move on with a sign of life', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        clock.advance(TIMEOUT_MS - 1);
        await run(store, ALICE, beat('a1'));
        clock.advance(GRAIN_MS + 1);
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(TIMEOUT_MS - GRAIN_MS - 2);
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(1 + GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      });

      it('that come earlier than they did are not missed', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1', 'MINI_PROGRAM'));
        await run(store, ALICE, {
          type: 'heartbeat',
          sessionId: parseSessionId('a1'),
          appState: 'BACKGROUND',
          ipAddress: null,
        });
        clock.advance((DEFAULT_POLICY.platforms.MINI_PROGRAM.backgroundTimeoutMs ?? 0) - 1);
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(1 + GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      });

      it('hand out a user once, and again when nothing came of it for a second', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        clock.advance(TIMEOUT_MS + GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(900);
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(100 + GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
        await run(store, ALICE, wake);
        clock.advance(2 * SECOND);
        expect(await store.claimDueUsers(10)).toEqual([]);
      });

      it('do not come while the server itself sleeps', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        clock.advance(10 * SECOND);
        await run(store, BOB, login('b1'));
        clock.sleep(8 * DAY);
        expect(await store.claimDueUsers(10)).toEqual([]);
        await run(store, BOB, beat('b1'));
        clock.advance(TIMEOUT_MS - 10 * SECOND - 1);
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(1 + GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
        await run(store, ALICE, wake);
        expect((await store.readUsers([ALICE]))[0]).toMatchObject({ reason: 'HEARTBEAT_TIMEOUT' });
        clock.advance(10 * SECOND);
        expect(await store.claimDueUsers(10)).toEqual([BOB]);
      });

      it('that were claimed before a sleep are judged by what is known after it', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        clock.advance(TIMEOUT_MS - 1);
        clock.sleep(8 * DAY);
        await runAll(store, [ALICE], wake);
        expect((await store.readUsers([ALICE]))[0]?.status).toBe('ONLINE');
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(1 + GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      });

      it('of those who are PUSH_ONLINE are dates, and come in a sleep too', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        clock.advance(TIMEOUT_MS);
        await run(store, ALICE, wake);
        clock.sleep(7 * DAY + GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      });

      it('do not hand out a user who is gone', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        await run(store, ALICE, logout('a1'));
        clock.advance(30 * DAY);
        expect(await store.claimDueUsers(10)).toEqual([]);
      });

      it('hand out the earliest first, and no more than asked', async () => {
        const { store, clock } = await make();
        const ids = Array.from({ length: 10 }, (_, index) => user(`user ${index}`));
        for (const id of [...ids].reverse()) {
          await run(store, id, login(`of ${id}`));
          clock.advance(SECOND);
        }
        clock.advance(TIMEOUT_MS);
        const first = await store.claimDueUsers(4);
        const second = await store.claimDueUsers(4);
        const third = await store.claimDueUsers(4);
        expect([first, second, third]).toEqual([
          ids.slice(6).reverse(),
          ids.slice(2, 6).reverse(),
          ids.slice(0, 2).reverse(),
        ]);
      });

      it('come after days too', async () => {
        const { store, clock } = await make();
        await run(store, ALICE, login('a1'));
        clock.advance(TIMEOUT_MS + GRAIN_MS);
        await store.claimDueUsers(10);
        const { user: dropped } = await run(store, ALICE, wake);
        expect(dropped.status).toBe('PUSH_ONLINE');
        for (let hour = 0; hour < 7 * 24; hour++) {
          expect(await store.claimDueUsers(10)).toEqual([]);
          clock.advance(3_600_000);
        }
        clock.advance(GRAIN_MS);
        expect(await store.claimDueUsers(10)).toEqual([ALICE]);
        expect((await run(store, ALICE, wake)).user).toMatchObject({ status: 'OFFLINE', reason: 'PUSH_EXPIRED' });
      });
    });

    describe('the policy', () => {
      it('is the seed at first, and what it was changed to from then on', async () => {
        const policySeed = applyPolicyChange(DEFAULT_POLICY, { pushOnlineExpiryMs: 5 * SECOND });
        const { store } = await make({ policySeed });
        expect(store.getPolicy()).toEqual(policySeed);
        const changed = await store.updatePolicy((policy) =>
          applyPolicyChange(policy, { multiDevice: { mode: 'MULTI' } }),
        );
        expect(changed).toEqual({ ...policySeed, multiDevice: changed.multiDevice });
        expect(changed.multiDevice.mode).toBe('MULTI');
        expect(store.getPolicy()).toEqual(changed);
        await store.updateUser(ALICE, (record, policy) => {
          expect(policy).toEqual(changed);
          return { user: record, changes: [], endedSessions: [], session: null, mustBeDurable: false };
        });
      });

      it('is changed by one at a time, each on what the last one left', async () => {
        const { store } = await make();
        await Promise.all([
          store.updatePolicy((policy) => applyPolicyChange(policy, { multiDevice: { mode: 'DUAL' } })),
          store.updatePolicy((policy) => applyPolicyChange(policy, { pushOnlineExpiryMs: 5 * SECOND })),
        ]);
        expect(store.getPolicy()).toEqual(
          applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'DUAL' }, pushOnlineExpiryMs: 5 * SECOND }),
        );
      });

      it('stays as it is when a change of it is refused', async () => {
        const { store } = await make();
        const refused = store.updatePolicy((policy) => applyPolicyChange(policy, { pushOnlineExpiryMs: -1 }));
        const next = store.updatePolicy((policy) => applyPolicyChange(policy, { preset: 'CLASSIC' }));
        await expect(refused).rejects.toBeInstanceOf(DomainError);
        expect(await next).toEqual(applyPolicyChange(DEFAULT_POLICY, { preset: 'CLASSIC' }));
        expect(store.getPolicy()).toEqual(await next);
      });
    });

    describe('who is online', () => {
      it('is listed in the binary order of the ids, page by page', async () => {
        const { store } = await make();
        // In UTF-16 the emoji (a surrogate pair) would come before U+FF5E; in UTF-8 it comes after.
        const ids = ['!', 'Z', 'a', 'aa', 'é', '～', '🦊', '🦊a'].map(user);
        for (const id of [...ids].reverse()) await run(store, id, login(`of ${id}`));
        const all = await store.listOnlineUsers({ after: null, limit: 100 });
        expect(all.users.map(({ id }) => id)).toEqual(ids);
        expect(all.hasMore).toBe(false);
        for (let index = 0; index < ids.length; index += 3) {
          const page = await store.listOnlineUsers({ after: ids[index - 1] ?? null, limit: 3 });
          expect(page.users.map(({ id }) => id)).toEqual(ids.slice(index, index + 3));
          expect(page.hasMore).toBe(index + 3 < ids.length);
        }
        // A place between two ids, held by nobody.
        const between = await store.listOnlineUsers({ after: user('b'), limit: 1 });
        expect(between.users.map(({ id }) => id)).toEqual(['é']);
      });

      it('is told as the whole record', async () => {
        const { store } = await make();
        const { user: alice } = await run(store, ALICE, login('a1', 'MAC', { socketId: asSocketId('one') }));
        expect(await store.listOnlineUsers({ after: null, limit: 1 })).toEqual({ users: [alice], hasMore: false });
      });

      it('can be asked by status, which is the user’s, and by platform, which is of a live session', async () => {
        const { store } = await make({
          policySeed: applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } }),
        });
        const drop = async (id: typeof ALICE, name: string): Promise<void> => {
          await run(store, id, { type: 'detachSocket', socketId: asSocketId(name), closedByServer: false });
        };
        await run(store, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('a1') }));
        await drop(ALICE, 'a1');
        await run(store, BOB, login('b1', 'ANDROID', { socketId: asSocketId('b1') }));
        await drop(BOB, 'b1');
        await run(store, BOB, login('b2', 'WEB'));
        await run(store, CAROL, login('c1', 'IPHONE'));
        await run(store, user('dora'), login('d1'));
        await run(store, user('dora'), logout('d1'));

        const ids = async (query: Partial<Parameters<typeof store.listOnlineUsers>[0]>): Promise<readonly string[]> =>
          (await store.listOnlineUsers({ after: null, limit: 10, ...query })).users.map(({ id }) => id);
        expect(await ids({})).toEqual([ALICE, BOB, CAROL]);
        expect(await ids({ status: 'ONLINE' })).toEqual([BOB, CAROL]);
        expect(await ids({ status: 'PUSH_ONLINE' })).toEqual([ALICE]);
        expect(await ids({ platform: 'ANDROID' })).toEqual([ALICE, BOB]);
        expect(await ids({ platform: 'ANDROID', status: 'ONLINE' })).toEqual([BOB]);
        expect(await ids({ platform: 'LINUX' })).toEqual([]);
        expect(await ids({ platform: 'ANDROID', after: ALICE })).toEqual([BOB]);
      });

      it('is counted', async () => {
        const { store, clock } = await make({
          policySeed: applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } }),
        });
        const none = { online: 0, pushOnline: 0 };
        const { sessions: empty } = store.getPresenceCounts();
        expect(new Set(Object.values(empty).map((count) => JSON.stringify(count)))).toEqual(
          new Set([JSON.stringify(none)]),
        );
        await run(store, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('a1') }));
        await run(store, ALICE, login('a2', 'WEB'));
        await run(store, BOB, login('b1', 'ANDROID'));
        expect(store.getPresenceCounts()).toEqual({
          usersOnline: 2,
          usersPushOnline: 0,
          sessions: { ...empty, ANDROID: { online: 2, pushOnline: 0 }, WEB: { online: 1, pushOnline: 0 } },
        });
        await run(store, ALICE, { type: 'detachSocket', socketId: asSocketId('a1'), closedByServer: false });
        await run(store, ALICE, logout('a2'));
        clock.advance(SECOND);
        await run(store, BOB, beat('b1'));
        expect(store.getPresenceCounts()).toEqual({
          usersOnline: 1,
          usersPushOnline: 1,
          sessions: { ...empty, ANDROID: { online: 1, pushOnline: 1 } },
        });
        await run(store, ALICE, endAll());
        await run(store, BOB, endAll());
        expect(store.getPresenceCounts()).toEqual({ usersOnline: 0, usersPushOnline: 0, sessions: empty });
      });
    });

    describe('sessions that ended', () => {
      it('are known for 7 days, and why they ended', async () => {
        const { store, clock, purge } = await make({ eventRetentionMs: SECOND });
        await run(store, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('one') }));
        expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toBeNull();
        clock.advance(SECOND);
        const { endedSessions: ended, session } = await run(store, ALICE, login('a2', 'WEB'));
        expect(session?.id).toBe('a2');
        const kicked = await store.findEndedSession(ALICE, parseSessionId('a1'));
        // An ended session has no sockets.
        expect(kicked).toEqual({ ...ended[0], session: { ...ended[0]?.session, socketIds: [] } });
        expect(kicked).toMatchObject({ reason: 'KICKED', kickedBy: 'WEB', endedAt: clock.now() });
        await run(store, ALICE, logout('a2'));

        clock.advance(7 * DAY - 1);
        await purge();
        expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toEqual(kicked);
        clock.advance(1);
        expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toBeNull();
        await purge();
        expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toBeNull();
      });

      it('are their user’s alone', async () => {
        const { store } = await make();
        await run(store, ALICE, login('a1'));
        await run(store, ALICE, logout('a1'));
        expect(await store.findEndedSession(BOB, parseSessionId('a1'))).toBeNull();
        expect(await store.findEndedSession(ALICE, parseSessionId('a2'))).toBeNull();
      });
    });

    describe('users who are long OFFLINE', () => {
      it('are remembered for as long as events are, and 7 days at least', async () => {
        for (const [eventRetentionMs, rememberedMs] of [
          [SECOND, 7 * DAY],
          [30 * DAY, 30 * DAY],
        ] as const) {
          const { store, clock, purge } = await make({ eventRetentionMs });
          await run(store, ALICE, login('a1'));
          const { user: alice } = await run(store, ALICE, logout('a1'));
          clock.advance(rememberedMs - 1);
          await purge();
          expect(await store.readUsers([ALICE])).toEqual([alice]);
          clock.advance(2);
          await purge();
          expect(await store.readUsers([ALICE])).toEqual([createUnknownUser(ALICE, 2)]);
        }
      });

      it('are never given a version again that was told before', async () => {
        const { store, clock, purge } = await make();
        await run(store, ALICE, login('a1'));
        for (const word of ['one', 'two', 'three']) await run(store, ALICE, say('a1', word));
        await run(store, ALICE, logout('a1'));
        await run(store, BOB, login('b1'));
        await run(store, BOB, logout('b1'));
        clock.advance(31 * DAY);
        await purge();
        expect((await run(store, BOB, login('b2'))).user.version).toBe(6);
        expect((await run(store, ALICE, login('a2'))).user.version).toBe(6);
        expect((await run(store, ALICE, logout('a2'))).user).toMatchObject({ version: 7, versionFloor: 0 });
        expect(await store.readUsers([CAROL])).toEqual([createUnknownUser(CAROL, 5)]);
      });

      it('are forgotten but for the tokens that were revoked', async () => {
        const { store, clock, purge } = await make();
        await run(store, ALICE, login('a1'));
        await run(store, ALICE, endAll(true));
        const revokedAt = clock.now();
        clock.advance(31 * DAY);
        await purge();
        expect(await store.readUsers([ALICE])).toEqual([
          { ...createUnknownUser(ALICE, 2), tokensRevokedBefore: revokedAt },
        ]);
        expect((await run(store, ALICE, login('a2'))).user).toMatchObject({
          version: 3,
          tokensRevokedBefore: revokedAt,
        });
      });

      it('are not forgotten while a session lives', async () => {
        const { store, clock, purge } = await make({ eventRetentionMs: SECOND });
        const { user: alice } = await run(store, ALICE, login('a1'));
        clock.advance(60 * DAY);
        await purge();
        expect(await store.readUsers([ALICE])).toEqual([alice]);
      });
    });

    describe('closing', () => {
      it('finishes what was called before and refuses what is called later', async () => {
        const { store } = await make();
        await run(store, ALICE, login('a1'));
        const before = Promise.all([
          run(store, ALICE, say('a1', 'one')),
          run(store, ALICE, say('a1', 'two')),
          run(store, BOB, login('b1')),
        ]);
        const policy = store.updatePolicy((present) => applyPolicyChange(present, { preset: 'CLASSIC' }));
        const closed = store.close();
        const later = run(store, CAROL, login('c1'));
        await expect(later).rejects.toThrow('closed');
        await expect(store.updatePolicy((present) => present)).rejects.toThrow('closed');
        expect((await before).map(({ user: { version } }) => version)).toEqual([2, 3, 1]);
        expect((await policy).platforms.WEB.heartbeatIntervalMs).toBe(120_000);
        await closed;
        await store.close();
        await expect(store.readUsers([ALICE])).rejects.toThrow('closed');
      });
    });
  });
};
