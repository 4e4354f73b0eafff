/** Lists and counts of online users. */
import { describe, expect, it } from 'vitest';
import { asSocketId } from '../../../src/core/ids.ts';
import { applyPolicyChange, DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { endAllSessions, heartbeat, login, logout, runCommand, user } from '../commands.ts';
import { ALICE, BOB, CAROL, SECOND, type CreateStore } from './setup.ts';

export const onlineUsersContract = (make: CreateStore): void => {
  describe('online users', () => {
    it('lists users in the binary order of their ids, page by page', async () => {
      const { store } = await make();
      // In UTF-16 the emoji (a surrogate pair) would come before U+FF5E; in UTF-8 it comes after.
      const ids = ['!', 'Z', 'a', 'aa', 'é', '～', '🦊', '🦊a'].map(user);
      for (const id of [...ids].reverse()) await runCommand(store, id, login(`of ${id}`));
      const all = await store.listOnlineUsers({ after: null, limit: 100 });
      expect(all.users.map(({ id }) => id)).toEqual(ids);
      expect(all.hasMore).toBe(false);
      for (let index = 0; index < ids.length; index += 3) {
        const page = await store.listOnlineUsers({ after: ids[index - 1] ?? null, limit: 3 });
        expect(page.users.map(({ id }) => id)).toEqual(ids.slice(index, index + 3));
        expect(page.hasMore).toBe(index + 3 < ids.length);
      }
      // The cursor may be an id that does not exist.
      const between = await store.listOnlineUsers({ after: user('b'), limit: 1 });
      expect(between.users.map(({ id }) => id)).toEqual(['é']);
    });

    it('returns complete records', async () => {
      const { store } = await make();
      const { user: alice } = await runCommand(store, ALICE, login('a1', 'MAC', { socketId: asSocketId('one') }));
      expect(await store.listOnlineUsers({ after: null, limit: 1 })).toEqual({ users: [alice], hasMore: false });
    });

    it('filters by the status of the user and by the platform of a live session', async () => {
      const { store } = await make({
        policySeed: applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } }),
      });
      const drop = async (id: typeof ALICE, name: string): Promise<void> => {
        await runCommand(store, id, { type: 'detachSocket', socketId: asSocketId(name), closedByServer: false });
      };
      await runCommand(store, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('a1') }));
      await drop(ALICE, 'a1');
      await runCommand(store, BOB, login('b1', 'ANDROID', { socketId: asSocketId('b1') }));
      await drop(BOB, 'b1');
      await runCommand(store, BOB, login('b2', 'WEB'));
      await runCommand(store, CAROL, login('c1', 'IPHONE'));
      await runCommand(store, user('dora'), login('d1'));
      await runCommand(store, user('dora'), logout('d1'));

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

    it('counts users and sessions by status and platform', async () => {
      const { store, clock } = await make({
        policySeed: applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } }),
      });
      const none = { online: 0, pushOnline: 0 };
      const { sessions: empty } = store.getPresenceCounts();
      expect(new Set(Object.values(empty).map((count) => JSON.stringify(count)))).toEqual(
        new Set([JSON.stringify(none)]),
      );
      await runCommand(store, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('a1') }));
      await runCommand(store, ALICE, login('a2', 'WEB'));
      await runCommand(store, BOB, login('b1', 'ANDROID'));
      expect(store.getPresenceCounts()).toEqual({
        usersOnline: 2,
        usersPushOnline: 0,
        sessions: { ...empty, ANDROID: { online: 2, pushOnline: 0 }, WEB: { online: 1, pushOnline: 0 } },
      });
      await runCommand(store, ALICE, { type: 'detachSocket', socketId: asSocketId('a1'), closedByServer: false });
      await runCommand(store, ALICE, logout('a2'));
      clock.advance(SECOND);
      await runCommand(store, BOB, heartbeat('b1'));
      expect(store.getPresenceCounts()).toEqual({
        usersOnline: 1,
        usersPushOnline: 1,
        sessions: { ...empty, ANDROID: { online: 1, pushOnline: 1 } },
      });
      await runCommand(store, ALICE, endAllSessions());
      await runCommand(store, BOB, endAllSessions());
      expect(store.getPresenceCounts()).toEqual({ usersOnline: 0, usersPushOnline: 0, sessions: empty });
    });
  });
};
