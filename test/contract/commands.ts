/** What the tests of stores do to users: the domain's own commands. */
import type { FailedUpdate, PresenceStore } from '../../src/app/ports/presence-store.ts';
import type { Command, Login, Outcome } from '../../src/core/commands.ts';
import { deviceId, sessionId, userId, type UserId } from '../../src/core/ids.ts';
import { step } from '../../src/core/state-machine.ts';
import type { Platform } from '../../src/core/enums.ts';

export const user = (id: string): UserId => userId(id);

export const login = (session: string, platform: Platform = 'ANDROID', also: Partial<Login> = {}): Login => ({
  type: 'login',
  sessionId: sessionId(session),
  platform,
  deviceId: deviceId(`device of ${session}`),
  tokenHash: `hash of ${session}`,
  appVersion: '1.2.3',
  osVersion: null,
  ipAddress: '192.0.2.1',
  watch: null,
  link: null,
  ...also,
});

export const beat = (session: string): Command => ({
  type: 'heartbeat',
  sessionId: sessionId(session),
  appState: null,
  ipAddress: null,
});

export const logout = (session: string): Command => ({ type: 'logout', sessionId: sessionId(session) });

export const say = (session: string, text: string): Command => ({
  type: 'customStatus',
  sessionId: sessionId(session),
  text,
});

export const endAll = (revokeTokens = false): Command => ({
  type: 'end',
  platform: null,
  sessionId: null,
  revokeTokens,
});

export const wake: Command = { type: 'wake' };

export const run = (store: PresenceStore, id: UserId, command: Command): Promise<Outcome> =>
  store.update(id, (record, policy, now) => step(record, command, policy, now, store.sleeps()));

export const runAll = (
  store: PresenceStore,
  ids: readonly UserId[],
  command: Command,
): Promise<readonly FailedUpdate[]> =>
  store.updateAll(ids, (record, policy, now) => step(record, command, policy, now, store.sleeps()));
