/** Reads of users. */
import { describe, expect, it } from 'vitest';
import { createUnknownUser } from '../../../src/core/records.ts';
import { endAllSessions, heartbeat, login, logout, runCommand, setStatusText, user } from '../commands.ts';
import { ALICE, BOB, CAROL, SECOND, type CreateStore } from './setup.ts';

export const readContract = (make: CreateStore): void => {
  describe('readUsers', () => {
    it('returns the users in the requested order, with duplicates, and unknown users as unknown records', async () => {
      const { store } = await make();
      const { user: alice } = await runCommand(store, ALICE, login('a1'));
      const { user: bob } = await runCommand(store, BOB, login('b1', 'WEB'));
      expect(await store.readUsers([BOB, CAROL, ALICE, BOB])).toEqual([bob, createUnknownUser(CAROL, 0), alice, bob]);
      expect(await store.readUsers([])).toEqual([]);
    });

    it('stores every field of a user', async () => {
      const { store, clock } = await make();
      const watch = [BOB, user('🦊 of the "north"')];
      await runCommand(
        store,
        ALICE,
        login('a1', 'MAC', { watchScope: watch, appVersion: null, osVersion: '14.5', ipAddress: null }),
      );
      clock.advance(5);
      const { user: record } = await runCommand(
        store,
        ALICE,
        setStatusText('a1', 'line\nbreak\tand tab, "quoted" \u2028'),
      );
      expect((await store.readUsers([ALICE]))[0]).toEqual(record);
      expect(record.sessions[0]).toMatchObject({ watchScope: watch, platform: 'MAC', loggedInAt: clock.now() - 5 });
    });

    it('keeps the record of a user who went OFFLINE', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      clock.advance(SECOND);
      await runCommand(store, ALICE, logout('a1'));
      expect((await store.readUsers([ALICE]))[0]).toEqual({
        ...createUnknownUser(ALICE, 0),
        version: 2,
        changedAt: clock.now(),
        reason: 'LOGOUT',
        lastSeenAt: clock.now(),
      });
    });

    it('returns the record from before or after a change that is in progress, never a part of it', async () => {
      const { store } = await make();
      const { user: before } = await runCommand(store, ALICE, login('a1', 'ANDROID'));
      const change = runCommand(store, ALICE, login('a2', 'WINDOWS'));
      const [during] = await store.readUsers([ALICE]);
      const { user: after } = await change;
      expect([before, after]).toContainEqual(during);
      expect((await store.readUsers([ALICE]))[0]).toEqual(after);
    });

    it('returns the effect of a heartbeat, which causes no event', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, login('a1'));
      clock.advance(SECOND);
      await runCommand(store, ALICE, heartbeat('a1'));
      expect((await store.readUsers([ALICE]))[0]).toMatchObject({ version: 1, lastSeenAt: clock.now() });
      expect((await store.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(1);
    });

    it('stores the time of a token revocation of a user who never logged in', async () => {
      const { store, clock } = await make();
      await runCommand(store, ALICE, endAllSessions(true));
      expect(await store.readUsers([ALICE])).toEqual([
        { ...createUnknownUser(ALICE, 0), tokensRevokedBefore: clock.now() },
      ]);
    });
  });
};
