/**
 * The state machine. Every change of a user is a command; the passing of time is one too. `applyCommand` returns the
 * new record, the events to log and publish, and the reply to the caller. It has no side effects.
 */
import type { Command, CommandOutcome } from './commands.ts';
import type { Millis } from './ids.ts';
import type { Policy } from './policy.ts';
import { NO_PAUSES, type ProcessPauses } from './process-pauses.ts';
import type { SessionRecord, UserRecord } from './records.ts';
import { TransitionBuilder } from './transitions.ts';

/**
 * @param now the store's time; never before the `now` of an earlier command of the same user while the store is open.
 * @param pauses the process pauses known by `now`; timeouts are extended by them.
 * @returns `session: null` when the command names a session that is not live, or whose expiry date has passed.
 */
export const applyCommand = (
  user: UserRecord,
  command: Command,
  policy: Policy,
  now: Millis,
  pauses: ProcessPauses = NO_PAUSES,
): CommandOutcome => {
  const builder = new TransitionBuilder(user, policy, now, pauses);
  // Activity after the expiry date comes too late, even if the timer has not fired yet.
  builder.expireDue((reason) => reason === 'PUSH_EXPIRED');
  return builder.buildOutcome(dispatchCommand(builder, command));
};

const dispatchCommand = (builder: TransitionBuilder, command: Command): SessionRecord | null => {
  switch (command.type) {
    case 'login':
      return builder.addSession(command);
    case 'expire':
      builder.expireDue(() => true, command.dueBy);
      return null;
    case 'detachSocket':
      return builder.detachSocket(command.socketId, command.closedByServer);
    case 'endSessions':
      builder.endMatchingSessions(command.platform, command.sessionId);
      if (command.revokeTokens) builder.revokeTokens();
      return null;
    case 'heartbeat':
      return builder.withSession(command.sessionId, (session) =>
        builder.recordActivity(session, {
          ipAddress: command.ipAddress,
          appState: command.appState,
          refreshTimings: true,
        }),
      );
    case 'activity':
      return builder.withSession(command.sessionId, (session) =>
        command.socketId !== null && !session.socketIds.includes(command.socketId)
          ? session
          : builder.recordActivity(session, { ipAddress: command.ipAddress }),
      );
    case 'attachSocket':
      return builder.withSession(command.sessionId, (session) =>
        builder.recordActivity(session, {
          ipAddress: command.ipAddress,
          socketIds: [...session.socketIds, command.socketId],
        }),
      );
    case 'logout':
      return builder.withSession(command.sessionId, (session) => {
        // The logout is activity, so it updates lastSeenAt; but a RECONNECT event must not come before the LOGOUT.
        const seen = builder.updateSession(session, { lastSeenAt: builder.now });
        builder.endSession(seen, 'LOGOUT');
        return seen;
      });
    case 'setCustomStatus':
      return builder.withSession(command.sessionId, (session) => {
        const active = builder.recordActivity(session, {});
        builder.setCustomStatus(active, command.text);
        return active;
      });
  }
};

/**
 * The user after a restart of the server: no socket is open, and no event is logged. ONLINE sessions get one full
 * timeout to reconnect; expiry dates stay.
 */
export const restoreUserAfterRestart = (user: UserRecord, now: Millis): UserRecord => ({
  ...user,
  sessions: user.sessions.map((session) => restoreSessionAfterRestart(session, now)),
});

/** The part of `restoreUserAfterRestart` for one session. The rest of the user does not change. */
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
