/** Commands for tests of stores. */
import type { FailedUserUpdate, PresenceStore } from '../../src/app/ports/presence-store.ts';
import type { Command, LoginCommand, CommandOutcome } from '../../src/core/commands.ts';
import { parseDeviceId, parseSessionId, parseUserId, type UserId } from '../../src/core/ids.ts';
import { applyCommand } from '../../src/core/state-machine.ts';
import type { Platform } from '../../src/core/enums.ts';

export const user = (id: string): UserId => parseUserId(id);

export const login = (
  session: string,
  platform: Platform = 'ANDROID',
  fields: Partial<LoginCommand> = {},
): LoginCommand => ({
  type: 'login',
  sessionId: parseSessionId(session),
  platform,
  deviceId: parseDeviceId(`device of ${session}`),
  tokenHash: `hash of ${session}`,
  appVersion: '1.2.3',
  osVersion: null,
  ipAddress: '192.0.2.1',
  watchScope: null,
  socketId: null,
  ...fields,
});

export const heartbeat = (session: string): Command => ({
  type: 'heartbeat',
  sessionId: parseSessionId(session),
  appState: null,
  ipAddress: null,
});

export const logout = (session: string): Command => ({ type: 'logout', sessionId: parseSessionId(session) });

export const setStatusText = (session: string, text: string): Command => ({
  type: 'setCustomStatus',
  sessionId: parseSessionId(session),
  text,
});

export const endAllSessions = (revokeTokens = false): Command => ({
  type: 'endSessions',
  platform: null,
  sessionId: null,
  revokeTokens,
});

export const expire: Command = { type: 'expire' };

export const runCommand = (store: PresenceStore, id: UserId, command: Command): Promise<CommandOutcome> =>
  store.updateUser(id, (record, policy, now) => applyCommand(record, command, policy, now, store.getProcessPauses()));

export const runCommandForAll = (
  store: PresenceStore,
  ids: readonly UserId[],
  command: Command,
): Promise<readonly FailedUserUpdate[]> =>
  store.updateUsers(ids, (record, policy, now) => applyCommand(record, command, policy, now, store.getProcessPauses()));
