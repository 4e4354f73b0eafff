/** Claims of users whose deadline has passed. */
import { describe, expect, it } from 'vitest';
import { parseSessionId } from '../../../src/core/ids.ts';
import { DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { expire, heartbeat, login, logout, runCommand, runCommandForAll, user } from '../commands.ts';
import { ALICE, BOB, DAY, SECOND, TIMER_RESOLUTION_MS, type CreateStore } from './setup.ts';

export const deadlineContract = (make: CreateStore): void => {
  describe('claimDueUsers', () => {
    const TIMEOUT_MS = DEFAULT_POLICY.platforms.ANDROID.heartbeatTimeoutMs;

    it('returns a user when the deadline has passed, never earlier', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(TIMEOUT_MS - 1);
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(1 + TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
    });

    it('does not return a user whose heartbeat has moved the deadline', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      clock.advance(TIMEOUT_MS - 1);
      await runCommand(store, ALICE, heartbeat('a1'));
      clock.advance(TIMER_RESOLUTION_MS + 1);
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(TIMEOUT_MS - TIMER_RESOLUTION_MS - 2);
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(1 + TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
    });

    it('returns a user whose deadline has become earlier', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1', 'MINI_PROGRAM'));
      await runCommand(store, ALICE, {
        type: 'heartbeat',
        sessionId: parseSessionId('a1'),
        appState: 'BACKGROUND',
        ipAddress: null,
      });
      clock.advance((DEFAULT_POLICY.platforms.MINI_PROGRAM.backgroundTimeoutMs ?? 0) - 1);
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(1 + TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
    });

    it('returns a user once, and again after a second without an update', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      clock.advance(TIMEOUT_MS + TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(900);
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(100 + TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      await runCommand(store, ALICE, expire);
      clock.advance(2 * SECOND);
      expect(await store.claimDueUsers(10)).toEqual([]);
    });

    it('extends deadlines by process pauses', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      clock.advance(10 * SECOND);
      await runCommand(store, BOB, login('b1'));
      clock.pause(8 * DAY);
      expect(await store.claimDueUsers(10)).toEqual([]);
      await runCommand(store, BOB, heartbeat('b1'));
      clock.advance(TIMEOUT_MS - 10 * SECOND - 1);
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(1 + TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      await runCommand(store, ALICE, expire);
      expect((await store.readUsers([ALICE]))[0]).toMatchObject({ reason: 'HEARTBEAT_TIMEOUT' });
      clock.advance(10 * SECOND);
      expect(await store.claimDueUsers(10)).toEqual([BOB]);
    });

    it('does not time out a user who was claimed before a process pause and is updated after it', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      clock.advance(TIMEOUT_MS - 1);
      clock.pause(8 * DAY);
      await runCommandForAll(store, [ALICE], expire);
      expect((await store.readUsers([ALICE]))[0]?.status).toBe('ONLINE');
      expect(await store.claimDueUsers(10)).toEqual([]);
      clock.advance(1 + TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
    });

    it('does not extend the expiry date of a PUSH_ONLINE session by process pauses', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      clock.advance(TIMEOUT_MS);
      await runCommand(store, ALICE, expire);
      clock.pause(7 * DAY + TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
    });

    it('does not return a user without sessions', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      await runCommand(store, ALICE, logout('a1'));
      clock.advance(30 * DAY);
      expect(await store.claimDueUsers(10)).toEqual([]);
    });

    it('returns the earliest deadlines first, and at most the requested number', async () => {
      const { store, clock } = await make();
      const ids = Array.from({ length: 10 }, (_, index) => user(`user ${index}`));
      for (const id of [...ids].reverse()) {
        await runCommand(store, id, login(`of ${id}`));
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

    it('returns a PUSH_ONLINE user whose session expires after seven days', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      clock.advance(TIMEOUT_MS + TIMER_RESOLUTION_MS);
      await store.claimDueUsers(10);
      const { user: dropped } = await runCommand(store, ALICE, expire);
      expect(dropped.status).toBe('PUSH_ONLINE');
      for (let hour = 0; hour < 7 * 24; hour++) {
        expect(await store.claimDueUsers(10)).toEqual([]);
        clock.advance(3_600_000);
      }
      clock.advance(TIMER_RESOLUTION_MS);
      expect(await store.claimDueUsers(10)).toEqual([ALICE]);
      expect((await runCommand(store, ALICE, expire)).user).toMatchObject({
        status: 'OFFLINE',
        reason: 'PUSH_EXPIRED',
      });
    });
  });
};
