/** Commit listeners and the event log. */
import { describe, expect, it } from 'vitest';
import type { CommittedChange, LoggedEvent, PresenceStore } from '../../../src/app/ports/presence-store.ts';
import { asSocketId, parseSessionId, type Cursor } from '../../../src/core/ids.ts';
import type { PresenceEvent } from '../../../src/core/records.ts';
import { heartbeat, login, logout, runCommand, setStatusText, user } from '../commands.ts';
import { ALICE, BOB, CAROL, DAY, SECOND, type CreateStore } from './setup.ts';

export const eventLogContract = (make: CreateStore): void => {
  describe('an onCommit listener', () => {
    it('is called once for each change, in the order of the log, before the update resolves', async () => {
      const { store } = await make();
      const published: CommittedChange[] = [];
      store.onCommit((changes) => published.push(...changes));
      await Promise.all(
        ['a', 'b', 'c', 'd', 'e'].map(async (name) => {
          const id = user(name);
          const { user: record } = await runCommand(store, id, login(`${name}1`));
          expect(published.at(-1) === undefined ? [] : published.map((change) => change.user)).toContainEqual(record);
          await runCommand(store, id, login(`${name}2`, 'WEB'));
          await runCommand(store, id, setStatusText(`${name}2`, 'hello'));
        }),
      );
      const { events } = await store.eventLog.readEvents({ after: null, limit: 100 });
      expect(events).toMatchObject(published.flatMap((change) => change.events));
      expect(events).toHaveLength(20);
      expect(new Set(events.map((event) => event.cursor)).size).toBe(20);
    });

    it('receives the events, the status change, the lost sockets and the user after the change', async () => {
      const { store } = await make();
      const published: CommittedChange[] = [];
      const link = asSocketId('link of a1');
      await runCommand(store, ALICE, login('a1', 'ANDROID', { socketId: link }));
      store.onCommit((changes) => published.push(...changes));
      const outcome = await runCommand(store, ALICE, logout('a1'));
      const change = outcome.changes[0];
      expect(published).toMatchObject([{ ...change, user: outcome.user }]);
      expect(published[0]?.lostSockets).toEqual([
        { socketId: link, sessionId: parseSessionId('a1'), reason: 'LOGOUT', isSessionEnded: true },
      ]);
    });

    it('is not called for heartbeats, nor after its removal', async () => {
      const { store } = await make();
      let calls = 0;
      const stop = store.onCommit(() => calls++);
      await runCommand(store, ALICE, login('a1'));
      await runCommand(store, ALICE, heartbeat('a1'));
      expect(calls).toBe(1);
      stop();
      await runCommand(store, ALICE, logout('a1'));
      expect(calls).toBe(1);
    });
  });

  describe('the event log', () => {
    const logged = async (store: PresenceStore): Promise<readonly LoggedEvent[]> => {
      await runCommand(store, ALICE, login('a1', 'ANDROID'));
      await runCommand(store, BOB, login('b1', 'ANDROID'));
      // One change with two events: LOGIN and KICKED.
      await runCommand(store, ALICE, login('a2', 'WEB'));
      await runCommand(store, BOB, setStatusText('b1', 'hello'));
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

    it('is empty at first, and its latest cursor can be used to read later events', async () => {
      const { store } = await make();
      const start = await store.eventLog.getLatestCursor();
      expect(await store.eventLog.readEvents({ after: null, limit: 10 })).toEqual({ events: [], hasMore: false });
      const events = await logged(store);
      expect((await store.eventLog.readEvents({ after: start, limit: 10 })).events).toEqual(events);
      expect(await store.eventLog.getLatestCursor()).toBe(events.at(-1)?.cursor);
    });

    it('returns pages, each starting right after the cursor of the previous one', async () => {
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

    it('reports hasMore: false when a page ends with the last event', async () => {
      const { store } = await make();
      const events = await logged(store);
      expect(await store.eventLog.readEvents({ after: null, limit: 5 })).toEqual({ events, hasMore: false });
    });

    it('gives the events of one change the same changeId, and returns whole changes on request', async () => {
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

    it('returns the events of one user on request', async () => {
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

    it('scans for matching events in whole changes, and returns the last examined position', async () => {
      const { store } = await make();
      const events = await logged(store);
      const from = async (after: Cursor | null, limit: number, matching: (event: PresenceEvent) => boolean) => {
        const {
          events: found,
          scannedThrough,
          hasMore,
        } = await store.eventLog.scanEvents({ after, limit, matchesEvent: matching });
        return { found, scannedThrough, hasMore };
      };
      const end = events.at(-1)?.cursor;
      expect(await from(null, 10, () => true)).toEqual({ found: events, scannedThrough: end, hasMore: false });
      expect(await from(null, 10, () => false)).toEqual({ found: [], scannedThrough: end, hasMore: false });
      expect(await from(null, 1, ({ userId }) => userId === BOB)).toMatchObject({
        found: events.filter(({ userId }) => userId === BOB).slice(0, 1),
        hasMore: true,
      });
      // The third and the fourth event belong to one change.
      const cut = await from(null, 3, () => true);
      expect(cut).toEqual({ found: events.slice(0, 4), scannedThrough: events[3]?.cursor, hasMore: true });
      expect(await from(cut.scannedThrough, 3, () => true)).toEqual({
        found: events.slice(4),
        scannedThrough: end,
        hasMore: false,
      });
      const none = await from(end ?? null, 3, () => true);
      expect(none).toEqual({ found: [], scannedThrough: end, hasMore: false });
    });

    it('examines at most about a thousand events in one scan', async () => {
      const { store } = await make();
      await runCommand(store, ALICE, login('a1'));
      for (let text = 0; text < 1_500; text++) await runCommand(store, ALICE, setStatusText('a1', `text ${text}`));
      const all = (await store.eventLog.readEvents({ after: null, limit: 2_000 })).events;
      const seen: Cursor[] = [];
      let after: Cursor | null = null;
      for (let more = true; more;) {
        const { events, scannedThrough, hasMore } = await store.eventLog.scanEvents({
          after,
          limit: 1,
          matchesEvent: () => false,
        });
        expect(events).toEqual([]);
        seen.push(scannedThrough);
        after = scannedThrough;
        more = hasMore;
      }
      expect(seen).toEqual([all[999]?.cursor, all.at(-1)?.cursor]);
    });

    it('returns the latest events of one user, the newest first', async () => {
      const { store, removeExpiredData, clock } = await make();
      const alices = (await logged(store)).filter((event) => event.userId === ALICE).toReversed();
      expect(await store.eventLog.readLatestEventsOfUser(ALICE, 2)).toEqual(alices.slice(0, 2));
      expect(await store.eventLog.readLatestEventsOfUser(ALICE, 100)).toEqual(alices);
      expect(await store.eventLog.readLatestEventsOfUser(CAROL, 2)).toEqual([]);
      clock.advance(30 * DAY + 1);
      const { changes } = await runCommand(store, ALICE, login('late'));
      await removeExpiredData();
      expect(await store.eventLog.readLatestEventsOfUser(ALICE, 100)).toMatchObject(
        changes.flatMap(({ events }) => events).toReversed(),
      );
    });

    it('rejects a cursor that it did not create with BAD_USER_INPUT', async () => {
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

    it('removes events older than the retention, and rejects a cursor before them with CURSOR_EXPIRED', async () => {
      const { store, clock, removeExpiredData } = await make({ eventRetentionMs: 10 * SECOND });
      const start = await store.eventLog.getLatestCursor();
      await runCommand(store, ALICE, login('a1'));
      const first = await store.eventLog.getLatestCursor();
      await runCommand(store, BOB, login('b1'));
      const second = await store.eventLog.getLatestCursor();
      clock.advance(6 * SECOND);
      await runCommand(store, CAROL, login('c1'));
      await removeExpiredData();
      expect((await store.eventLog.readEvents({ after: start, limit: 10 })).events).toHaveLength(3);

      clock.advance(4 * SECOND + 1);
      await removeExpiredData();
      const kept = await store.eventLog.readEvents({ after: null, limit: 10 });
      expect(kept.events.map((event) => event.userId)).toEqual([CAROL]);
      for (const after of [start, first]) {
        await expect(store.eventLog.readEvents({ after, limit: 10 })).rejects.toMatchObject({
          details: { code: 'CURSOR_EXPIRED' },
        });
      }
      // All events after this cursor are still stored.
      expect(await store.eventLog.readEvents({ after: second, limit: 10 })).toEqual(kept);

      clock.advance(DAY);
      await removeExpiredData();
      expect(await store.eventLog.readEvents({ after: null, limit: 10 })).toEqual({ events: [], hasMore: false });
      expect(await store.eventLog.readEvents({ after: await store.eventLog.getLatestCursor(), limit: 10 })).toEqual({
        events: [],
        hasMore: false,
      });
    });

    it('keeps an event that is exactly as old as the retention', async () => {
      const { store, clock, removeExpiredData } = await make({ eventRetentionMs: 10 * SECOND });
      await runCommand(store, ALICE, login('a1'));
      clock.advance(10 * SECOND);
      await removeExpiredData();
      expect((await store.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(1);
    });
  });
};
