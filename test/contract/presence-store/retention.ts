/** Ended sessions, and the records of users who are OFFLINE. */
import { describe, expect, it } from 'vitest';
import { asSocketId, parseSessionId } from '../../../src/core/ids.ts';
import { createUnknownUser } from '../../../src/core/records.ts';
import { endAllSessions, login, logout, runCommand, setStatusText } from '../commands.ts';
import { ALICE, BOB, CAROL, DAY, SECOND, type CreateStore } from './setup.ts';

export const retentionContract = (make: CreateStore): void => {
  describe('ended sessions', () => {
    it('finds an ended session and its reason for 7 days', async () => {
      const { store, clock, removeExpiredData } = await make({ eventRetentionMs: SECOND });
      await runCommand(store, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('one') }));
      expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toBeNull();
      clock.advance(SECOND);
      const { endedSessions: ended, session } = await runCommand(store, ALICE, login('a2', 'WEB'));
      expect(session?.id).toBe('a2');
      const kicked = await store.findEndedSession(ALICE, parseSessionId('a1'));
      // An ended session has no sockets.
      expect(kicked).toEqual({ ...ended[0], session: { ...ended[0]?.session, socketIds: [] } });
      expect(kicked).toMatchObject({ reason: 'KICKED', kickedBy: 'WEB', endedAt: clock.now() });
      await runCommand(store, ALICE, logout('a2'));

      clock.advance(7 * DAY - 1);
      await removeExpiredData();
      expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toEqual(kicked);
      clock.advance(1);
      expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toBeNull();
      await removeExpiredData();
      expect(await store.findEndedSession(ALICE, parseSessionId('a1'))).toBeNull();
    });

    it('finds an ended session only with the id of its user', async () => {
      const { store } = await make();
      await runCommand(store, ALICE, login('a1'));
      await runCommand(store, ALICE, logout('a1'));
      expect(await store.findEndedSession(BOB, parseSessionId('a1'))).toBeNull();
      expect(await store.findEndedSession(ALICE, parseSessionId('a2'))).toBeNull();
    });
  });

  describe('records of users who are OFFLINE', () => {
    it('keeps the record for the event retention, and at least for 7 days', async () => {
      for (const [eventRetentionMs, rememberedMs] of [
        [SECOND, 7 * DAY],
        [30 * DAY, 30 * DAY],
      ] as const) {
        const { store, clock, removeExpiredData } = await make({ eventRetentionMs });
        await runCommand(store, ALICE, login('a1'));
        const { user: alice } = await runCommand(store, ALICE, logout('a1'));
        clock.advance(rememberedMs - 1);
        await removeExpiredData();
        expect(await store.readUsers([ALICE])).toEqual([alice]);
        clock.advance(2);
        await removeExpiredData();
        expect(await store.readUsers([ALICE])).toEqual([createUnknownUser(ALICE, 2)]);
      }
    });

    it('never repeats a version after the record was removed', async () => {
      const { store, clock, removeExpiredData } = await make();
      await runCommand(store, ALICE, login('a1'));
      for (const word of ['one', 'two', 'three']) await runCommand(store, ALICE, setStatusText('a1', word));
      await runCommand(store, ALICE, logout('a1'));
      await runCommand(store, BOB, login('b1'));
      await runCommand(store, BOB, logout('b1'));
      clock.advance(31 * DAY);
      await removeExpiredData();
      expect((await runCommand(store, BOB, login('b2'))).user.version).toBe(6);
      expect((await runCommand(store, ALICE, login('a2'))).user.version).toBe(6);
      expect((await runCommand(store, ALICE, logout('a2'))).user).toMatchObject({ version: 7, versionFloor: 0 });
      expect(await store.readUsers([CAROL])).toEqual([createUnknownUser(CAROL, 5)]);
    });

    it('keeps the time of the token revocation when the record is removed', async () => {
      const { store, clock, removeExpiredData } = await make();
      await runCommand(store, ALICE, login('a1'));
      await runCommand(store, ALICE, endAllSessions(true));
      const revokedAt = clock.now();
      clock.advance(31 * DAY);
      await removeExpiredData();
      expect(await store.readUsers([ALICE])).toEqual([
        { ...createUnknownUser(ALICE, 2), tokensRevokedBefore: revokedAt },
      ]);
      expect((await runCommand(store, ALICE, login('a2'))).user).toMatchObject({
        version: 3,
        tokensRevokedBefore: revokedAt,
      });
    });

    it('keeps the record while a session is live', async () => {
      const { store, clock, removeExpiredData } = await make({ eventRetentionMs: SECOND });
      const { user: alice } = await runCommand(store, ALICE, login('a1'));
      clock.advance(60 * DAY);
      await removeExpiredData();
      expect(await store.readUsers([ALICE])).toEqual([alice]);
    });
  });
};
