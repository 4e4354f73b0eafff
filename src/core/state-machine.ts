/**
 * The state machine. Everything that can happen to a user is a command, the passing of time too;
 * `step` answers what she is afterwards, what is to be logged and told, and what the caller learns.
 * It returns data and does nothing.
 */
import type { Command, CommandOutcome } from './commands.ts';
import type { Millis } from './ids.ts';
import type { Policy } from './policy.ts';
import type { SessionRecord, UserRecord } from './records.ts';
import { NO_PAUSES, type ProcessPauses } from './process-pauses.ts';
import { TransitionBuilder } from './transitions.ts';

/**
 * @param now the store's time; never before the `now` of an earlier step of the same user within one run.
 * @param sleeps when the server itself was asleep, by `now`: that was nobody's silence.
 * @returns `session: null` when the command names a session that is not live (any more, where its expiry date has come).
 */
export const applyCommand = (
  user: UserRecord,
  command: Command,
  policy: Policy,
  now: Millis,
  sleeps: ProcessPauses = NO_PAUSES,
): CommandOutcome => {
  const steps = new TransitionBuilder(user, policy, now, sleeps);
  // An expiry date is a promise: a sign of life that comes after it, but before the timer, is too late.
  steps.expireDue((cause) => cause === 'PUSH_EXPIRED');
  return steps.buildOutcome(dispatchCommand(steps, command));
};

const dispatchCommand = (steps: TransitionBuilder, command: Command): SessionRecord | null => {
  switch (command.type) {
    case 'login':
      return steps.addSession(command);
    case 'expire':
      steps.expireDue(() => true, command.dueBy);
      return null;
    case 'detachSocket':
      return steps.detachSocket(command.socketId, command.closedByServer);
    case 'endSessions':
      steps.endMatchingSessions(command.platform, command.sessionId);
      if (command.revokeTokens) steps.revokeTokens();
      return null;
    case 'heartbeat':
      return steps.withSession(command.sessionId, (session) =>
        steps.recordActivity(session, {
          ipAddress: command.ipAddress,
          appState: command.appState,
          refreshTimings: true,
        }),
      );
    case 'activity':
      return steps.withSession(command.sessionId, (session) =>
        command.socketId !== null && !session.socketIds.includes(command.socketId)
          ? session
          : steps.recordActivity(session, { ipAddress: command.ipAddress }),
      );
    case 'attachSocket':
      return steps.withSession(command.sessionId, (session) =>
        steps.recordActivity(session, {
          ipAddress: command.ipAddress,
          socketIds: [...session.socketIds, command.socketId],
        }),
      );
    case 'logout':
      return steps.withSession(command.sessionId, (session) => {
        // An operation of the session, so she was seen; but no RECONNECT comes before the LOGOUT.
        const seen = steps.updateSession(session, { lastSeenAt: steps.now });
        steps.endSession(seen, 'LOGOUT');
        return seen;
      });
    case 'setCustomStatus':
      return steps.withSession(command.sessionId, (session) => {
        const alive = steps.recordActivity(session, {});
        steps.setCustomStatus(alive, command.text);
        return alive;
      });
  }
};

/**
 * The user as a server finds her after a restart: no socket is open, nobody is announced OFFLINE,
 * who was ONLINE gets one full timeout to come back, and expiry dates stay.
 */
export const restoreUserAfterRestart = (user: UserRecord, now: Millis): UserRecord => ({
  ...user,
  sessions: user.sessions.map((session) => restoreSessionAfterRestart(session, now)),
});

/** What `afterRestart` does to one session; there is nothing else that it does. */
export const restoreSessionAfterRestart = (session: SessionRecord, now: Millis): SessionRecord =>
  session.status === 'ONLINE'
    ? {
        ...session,
        socketIds: [],
        inactiveSince: now,
        detachedAt: null,
        backgroundSince: session.appState === 'BACKGROUND' ? now : null,
      }
    : session;
