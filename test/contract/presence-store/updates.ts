/** Updates of users, one by one and in bulk, and the write backlog. */
import { describe, expect, it } from 'vitest';
import type { CommittedChange } from '../../../src/app/ports/presence-store.ts';
import { applyPolicyChange, DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { createUnknownUser } from '../../../src/core/records.ts';
import { applyCommand } from '../../../src/core/state-machine.ts';
import {
  endAllSessions,
  expire,
  heartbeat,
  login,
  logout,
  runCommand,
  runCommandForAll,
  setStatusText,
  user,
} from '../commands.ts';
import { ALICE, BOB, CAROL, SECOND, type CreateStore } from './setup.ts';

export const updateContract = (make: CreateStore): void => {
  describe('updateUser', () => {
    it('calls decide with the latest record, the policy in force and the current time', async () => {
      const { store, clock } = await make();
      const { user: alice } = await runCommand(store, ALICE, login('a1'));
      clock.advance(7);
      await store.updateUser(ALICE, (record, policy, now) => {
        expect(record).toEqual(alice);
        expect(policy).toEqual(store.getPolicy());
        expect(now).toBe(clock.now());
        return { user: record, changes: [], endedSessions: [], session: null, mustBeDurable: false };
      });
    });

    it('runs updates of one user one after another, in the order of the calls', async () => {
      const { store } = await make();
      await runCommand(store, ALICE, login('a1'));
      const words = Array.from({ length: 30 }, (_, index) => `word ${index}`);
      const finished: string[] = [];
      const outcomes = await Promise.all(
        words.map(async (word) => {
          const outcome = await runCommand(store, ALICE, setStatusText('a1', word));
          finished.push(word);
          return outcome.user;
        }),
      );
      expect(outcomes.map(({ customStatus, version }) => ({ customStatus, version }))).toEqual(
        words.map((customStatus, index) => ({ customStatus, version: index + 2 })),
      );
      expect(finished).toEqual(words);
    });

    it('does not make the update of one user wait for updates of another', async () => {
      const { store } = await make();
      await runCommand(store, ALICE, login('a1'));
      const finished: string[] = [];
      const many = Array.from({ length: 20 }, (_, index) =>
        runCommand(store, ALICE, setStatusText('a1', `word ${index}`)).then(() => finished.push(`alice ${index}`)),
      );
      const one = runCommand(store, BOB, login('b1')).then(() => finished.push('bob'));
      await Promise.all([...many, one]);
      expect(finished.indexOf('bob')).toBeLessThan(finished.indexOf('alice 19'));
    });

    it('changes nothing when decide throws, and runs the next update', async () => {
      const { store } = await make();
      const { user: alice } = await runCommand(store, ALICE, login('a1'));
      const failure = new Error('cannot decide');
      const failing = store.updateUser(ALICE, () => {
        throw failure;
      });
      const next = runCommand(store, ALICE, setStatusText('a1', 'still here'));
      await expect(failing).rejects.toBe(failure);
      expect((await next).user.version).toBe(alice.version + 1);
      expect((await store.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(2);
    });

    it('runs an update that is queued behind one whose decide throws', async () => {
      const { store } = await make();
      const first = runCommand(store, ALICE, login('a1'));
      const failing = store.updateUser(ALICE, () => {
        throw new Error('cannot decide');
      });
      const last = runCommand(store, ALICE, setStatusText('a1', 'still here'));
      await expect(failing).rejects.toThrow('cannot decide');
      expect([(await first).user.version, (await last).user.version]).toEqual([1, 2]);
    });
  });

  describe('updateUsers', () => {
    it('updates each user, and publishes the changes before the promise resolves', async () => {
      const { store, clock } = await make();
      for (const [id, session] of [[ALICE, 'a1'] as const, [BOB, 'b1'] as const])
        await runCommand(store, id, login(session));
      clock.advance(400 * SECOND);
      const published: CommittedChange[] = [];
      store.onCommit((changes) => published.push(...changes));
      expect(await runCommandForAll(store, [ALICE, CAROL, BOB], expire)).toEqual([]);
      expect(published.map(({ user: { id, status } }) => [id, status])).toEqual([
        [ALICE, 'PUSH_ONLINE'],
        [BOB, 'PUSH_ONLINE'],
      ]);
      expect((await store.readUsers([ALICE, BOB, CAROL])).map(({ version }) => version)).toEqual([2, 2, 0]);
    });

    it('returns the users for whom decide throws, and updates the others', async () => {
      const { store } = await make();
      for (const id of [ALICE, BOB, CAROL]) await runCommand(store, id, login(`session of ${id}`));
      const failure = new Error('rejected');
      const failed = await store.updateUsers([ALICE, BOB, CAROL], (record, policy, now) => {
        if (record.id === BOB) throw failure;
        return applyCommand(record, endAllSessions(), policy, now);
      });
      expect(failed).toEqual([{ userId: BOB, error: failure }]);
      const statuses = (await store.readUsers([ALICE, BOB, CAROL])).map(({ status }) => status);
      expect(statuses).toEqual(['OFFLINE', 'ONLINE', 'OFFLINE']);
    });

    it('runs after the updates called earlier, and after those called while a change is in progress', async () => {
      const { store } = await make();
      const first = runCommand(store, ALICE, login('a1'));
      const many = runCommandForAll(store, [ALICE, BOB, ALICE], logout('a1'));
      const others = ['hello', 'bye'].map((text) => runCommand(store, ALICE, setStatusText('a1', text)));
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

    it('gives way only once, so that further changes do not delay it without end', async () => {
      const { store } = await make();
      await runCommand(store, ALICE, login('a1'));
      const texts = ['three', 'four', 'five'];
      const later: Promise<unknown>[] = [];
      store.onCommit((changes) => {
        const [text] = changes.some(({ events }) => events[0]?.reason === 'CUSTOM_STATUS') ? texts.splice(0, 1) : [];
        if (text !== undefined) later.push(runCommand(store, ALICE, setStatusText('a1', text)));
      });
      const changes = [runCommand(store, ALICE, setStatusText('a1', 'one'))];
      const many = runCommandForAll(store, [ALICE], logout('a1'));
      changes.push(runCommand(store, ALICE, setStatusText('a1', 'two')));
      expect(await many).toEqual([]);
      await Promise.all(changes);
      await Promise.all(later);
      const { events } = await store.eventLog.readEvents({ after: null, limit: 10 });
      expect(events.map(({ reason, customStatus }) => customStatus ?? reason)).toEqual([
        'LOGIN',
        'one',
        'two',
        // It was called before the first change was durable.
        'three',
        'LOGOUT',
      ]);
    });

    it('does not time out a session whose heartbeat waits behind a change in progress, although the timer fired first', async () => {
      const { store, clock } = await make({
        policySeed: applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } }),
      });
      await runCommand(store, ALICE, login('web', 'WEB'));
      await runCommand(store, ALICE, login('phone', 'IPHONE'));
      clock.advance(60_000 - 1);
      const change = runCommand(store, ALICE, setStatusText('phone', 'hello'));
      clock.advance(1);
      const expiry = runCommandForAll(store, [ALICE], expire);
      const activity = runCommand(store, ALICE, heartbeat('web'));
      await Promise.all([change, expiry]);
      expect((await activity).session).toMatchObject({ id: 'web', status: 'ONLINE' });
      const [{ sessions } = createUnknownUser(ALICE, 0)] = await store.readUsers([ALICE]);
      expect(sessions.map(({ id }) => id)).toEqual(['web', 'phone']);
    });

    it('accepts an empty list of users', async () => {
      const { store } = await make();
      expect(await runCommandForAll(store, [], expire)).toEqual([]);
    });
  });

  describe('getWriteBacklog', () => {
    it('counts the changes that are not durable yet and reports the age of the oldest', async () => {
      const { store, clock } = await make();
      const none = { pendingChanges: 0, oldestPendingMs: 0 };
      expect(store.getWriteBacklog()).toEqual(none);
      const changes = [runCommand(store, ALICE, login('a1')), runCommand(store, BOB, login('b1'))];
      clock.advance(70);
      changes.push(runCommand(store, CAROL, login('c1')));
      clock.advance(5);
      expect(store.getWriteBacklog()).toEqual({ pendingChanges: 3, oldestPendingMs: 75 });
      await Promise.all(changes);
      expect(store.getWriteBacklog()).toEqual(none);
    });

    it('does not count updates whose decide throws', async () => {
      const { store } = await make();
      const failing = store.updateUser(ALICE, () => {
        throw new Error('cannot decide');
      });
      await expect(failing).rejects.toThrow('cannot decide');
      expect(store.getWriteBacklog()).toEqual({ pendingChanges: 0, oldestPendingMs: 0 });
    });

    it('decreases as changes become durable, for a thousand changes', async () => {
      const { store } = await make();
      const ids = Array.from({ length: 1_000 }, (_, index) => user(`user ${index}`));
      const changes = ids.map((id) =>
        runCommand(store, id, login(`of ${id}`)).then(() => store.getWriteBacklog().pendingChanges),
      );
      expect(store.getWriteBacklog().pendingChanges).toBe(1_000);
      const left = await Promise.all(changes);
      expect(left.at(-1)).toBe(0);
      expect(left).toEqual(left.toSorted((one, other) => other - one));
    });
  });
};
