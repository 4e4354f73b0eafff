/**
 * The state machine. Everything that can happen to a user is a command, the passing of time too;
 * `step` answers what she is afterwards, what is to be logged and told, and what the caller learns.
 * It returns data and does nothing.
 */
import type { Command, Outcome } from './commands.ts';
import type { Millis } from './ids.ts';
import type { Policy } from './policy.ts';
import type { SessionRecord, UserRecord } from './records.ts';
import { NO_SLEEPS, type ProcessPauses } from './process-pauses.ts';
import { Steps } from './transitions.ts';

/**
 * @param now the store's time; never before the `now` of an earlier step of the same user within one run.
 * @param sleeps when the server itself was asleep, by `now`: that was nobody's silence.
 * @returns `session: null` when the command names a session that is not live (any more, where its expiry date has come).
 */
export const step = (
  user: UserRecord,
  command: Command,
  policy: Policy,
  now: Millis,
  sleeps: ProcessPauses = NO_SLEEPS,
): Outcome => {
  const steps = new Steps(user, policy, now, sleeps);
  // An expiry date is a promise: a sign of life that comes after it, but before the timer, is too late.
  steps.passTime((cause) => cause === 'PUSH_EXPIRED');
  return steps.outcome(apply(steps, command));
};

const apply = (steps: Steps, command: Command): SessionRecord | null => {
  switch (command.type) {
    case 'login':
      return steps.login(command);
    case 'wake':
      steps.passTime(() => true, command.dueBy);
      return null;
    case 'detach':
      return steps.detach(command.link, command.byServer);
    case 'end':
      steps.endMatching(command.platform, command.sessionId);
      if (command.revokeTokens) steps.revokeTokens();
      return null;
    case 'heartbeat':
      return steps.of(command.sessionId, (session) =>
        steps.alive(session, { ipAddress: command.ipAddress, appState: command.appState, learns: true }),
      );
    case 'life':
      return steps.of(command.sessionId, (session) =>
        command.link !== null && !session.links.includes(command.link)
          ? session
          : steps.alive(session, { ipAddress: command.ipAddress }),
      );
    case 'attach':
      return steps.of(command.sessionId, (session) =>
        steps.alive(session, {
          ipAddress: command.ipAddress,
          links: [...session.links, command.link],
        }),
      );
    case 'logout':
      return steps.of(command.sessionId, (session) => {
        // An operation of the session, so she was seen; but no RECONNECT comes before the LOGOUT.
        const seen = steps.replace(session, { lastSeenAt: steps.now });
        steps.end(seen, 'LOGOUT');
        return seen;
      });
    case 'customStatus':
      return steps.of(command.sessionId, (session) => {
        const alive = steps.alive(session, {});
        steps.customStatus(alive, command.text);
        return alive;
      });
  }
};

/**
 * The user as a server finds her after a restart: no socket is open, nobody is announced OFFLINE,
 * who was ONLINE gets one full timeout to come back, and expiry dates stay.
 */
export const afterRestart = (user: UserRecord, now: Millis): UserRecord => ({
  ...user,
  sessions: user.sessions.map((session) => sessionAfterRestart(session, now)),
});

/** What `afterRestart` does to one session; there is nothing else that it does. */
export const sessionAfterRestart = (session: SessionRecord, now: Millis): SessionRecord =>
  session.status === 'ONLINE'
    ? {
        ...session,
        links: [],
        aliveAt: now,
        detachedAt: null,
        backgroundSince: session.appState === 'BACKGROUND' ? now : null,
      }
    : session;
