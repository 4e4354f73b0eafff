/** The policy, and the behaviour of a closed store. */
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import { applyPolicyChange, DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { login, runCommand, setStatusText } from '../commands.ts';
import { ALICE, BOB, CAROL, SECOND, type CreateStore } from './setup.ts';

export const policyAndClosingContract = (make: CreateStore): void => {
  describe('the policy', () => {
    it('is the seed at first, and the changed policy after an update', async () => {
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

    it('applies concurrent updates one after another, each to the result of the previous one', async () => {
      const { store } = await make();
      await Promise.all([
        store.updatePolicy((policy) => applyPolicyChange(policy, { multiDevice: { mode: 'DUAL' } })),
        store.updatePolicy((policy) => applyPolicyChange(policy, { pushOnlineExpiryMs: 5 * SECOND })),
      ]);
      expect(store.getPolicy()).toEqual(
        applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'DUAL' }, pushOnlineExpiryMs: 5 * SECOND }),
      );
    });

    it('does not change when an update is rejected', async () => {
      const { store } = await make();
      const refused = store.updatePolicy((policy) => applyPolicyChange(policy, { pushOnlineExpiryMs: -1 }));
      const next = store.updatePolicy((policy) => applyPolicyChange(policy, { preset: 'CLASSIC' }));
      await expect(refused).rejects.toBeInstanceOf(DomainError);
      expect(await next).toEqual(applyPolicyChange(DEFAULT_POLICY, { preset: 'CLASSIC' }));
      expect(store.getPolicy()).toEqual(await next);
    });
  });

  describe('close', () => {
    it('completes earlier calls and rejects later ones', async () => {
      const { store } = await make();
      await runCommand(store, ALICE, login('a1'));
      const before = Promise.all([
        runCommand(store, ALICE, setStatusText('a1', 'one')),
        runCommand(store, ALICE, setStatusText('a1', 'two')),
        runCommand(store, BOB, login('b1')),
      ]);
      const policy = store.updatePolicy((present) => applyPolicyChange(present, { preset: 'CLASSIC' }));
      const closed = store.close();
      const later = runCommand(store, CAROL, login('c1'));
      await expect(later).rejects.toThrow('closed');
      await expect(store.updatePolicy((present) => present)).rejects.toThrow('closed');
      expect((await before).map(({ user: { version } }) => version)).toEqual([2, 3, 1]);
      expect((await policy).platforms.WEB.heartbeatIntervalMs).toBe(120_000);
      await closed;
      await store.close();
      await expect(store.readUsers([ALICE])).rejects.toThrow('closed');
    });
  });
};
