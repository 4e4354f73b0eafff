/**
 * Invariants of a user's whole history. They are checked on the records and events alone, without the oracle, so that a
 * mistake made in both the state machine and the oracle is detected.
 */
import type { Command, CommandOutcome } from '../../../../src/core/commands.ts';
import type { PresenceEvent, SessionRecord, UserRecord } from '../../../../src/core/records.ts';
import { assertRule, assertEqual } from './must.ts';

export class InvariantChecker {
  readonly #ended = new Set<string>();
  readonly #lostSocketIds = new Set<string>();
  #lastEvent: PresenceEvent | null = null;

  checkOutcome(before: UserRecord, command: Command, outcome: CommandOutcome): void {
    const after = outcome.user;
    this.#checkSockets(after, outcome);
    this.#checkSessionEnds(before, after, outcome);
    this.#checkEventChain(outcome);
    checkStatus(after);
    checkChanges(before, after, outcome);
    checkText(before, after, outcome);
    checkLogin(command, outcome);
    checkSessions(before, after, outcome);
    // Only activity of the user changes lastSeenAt: not the passing of time, closed sockets or backends.
    const isWithoutActivity =
      command.type === 'detachSocket' || command.type === 'expire' || command.type === 'endSessions';
    if (isWithoutActivity) assertEqual(after.lastSeenAt, before.lastSeenAt, 'lastSeenAt changes only with activity');
    assertRule((after.lastSeenAt ?? 0) >= (before.lastSeenAt ?? 0), 'lastSeenAt never goes back');
  }

  /** The history of a removed user starts again without events. */
  onRecordRemoved(): void {
    this.#lastEvent = null;
  }

  #checkSockets(after: UserRecord, outcome: CommandOutcome): void {
    for (const { socketId: socketId } of outcome.changes.flatMap(({ lostSockets: lostSockets }) => lostSockets)) {
      assertRule(!this.#lostSocketIds.has(socketId), `a lost socket is reported once: ${socketId}`);
      this.#lostSocketIds.add(socketId);
    }
    const held = after.sessions.flatMap(({ socketIds: socketIds }) => socketIds);
    assertEqual(new Set(held).size, held.length, 'a socket belongs to at most one session');
    for (const socketId of held)
      assertRule(!this.#lostSocketIds.has(socketId), `a lost socket is not attached: ${socketId}`);
  }

  #checkSessionEnds(before: UserRecord, after: UserRecord, outcome: CommandOutcome): void {
    const events = outcome.changes.flatMap((change) => change.events);
    for (const event of events) {
      assertRule(!this.#ended.has(event.sessionId), `no event of an ended session: ${event.reason}`);
      if (event.sessionStatus === 'OFFLINE') this.#ended.add(event.sessionId);
    }
    const endedSessions = before.sessions.filter((session) => !after.sessions.some(({ id }) => id === session.id));
    const sessionEvents = events.filter(({ sessionStatus }) => sessionStatus === 'OFFLINE');
    assertEqual(
      sessionEvents.map(idOf).toSorted(),
      endedSessions.map(({ id }) => id).toSorted(),
      'every ended session has one OFFLINE event',
    );
    assertEqual(
      outcome.endedSessions.map(({ session, reason, endedAt, kickedBy }) => [session.id, reason, endedAt, kickedBy]),
      sessionEvents.map(({ sessionId, reason, occurredAt, kickedBy }) => [sessionId, reason, occurredAt, kickedBy]),
      'endedSessions agrees with the events',
    );
  }

  #checkEventChain(outcome: CommandOutcome): void {
    for (const event of outcome.changes.flatMap((change) => change.events)) {
      if (this.#lastEvent) assertEqual(event.previousStatus, this.#lastEvent.status, 'previousStatus chains');
      this.#lastEvent = event;
    }
  }
}

const idOf = (event: PresenceEvent): string => event.sessionId;

const checkStatus = (user: UserRecord): void => {
  const statuses = user.sessions.map(({ status }) => status);
  const highest = (['ONLINE', 'PUSH_ONLINE'] as const).find((status) => statuses.includes(status)) ?? 'OFFLINE';
  assertEqual(user.status, highest, "the status is the highest of the sessions'");
};

const checkChanges = (before: UserRecord, after: UserRecord, outcome: CommandOutcome): void => {
  let version = Math.max(before.version, before.versionFloor);
  let { status, customStatus } = before;
  for (const { events, statusChange } of outcome.changes) {
    assertRule(events.length > 0, 'no change without an event');
    if (statusChange) {
      version += 1;
      assertEqual(statusChange.version, version, 'each version is exactly one higher');
      assertEqual(statusChange.previousStatus, status, 'a change follows from the status before it');
      const isChanged = statusChange.status !== status || statusChange.customStatus !== customStatus;
      assertRule(isChanged, 'a status change changes the status or the custom status');
      ({ status, customStatus } = statusChange);
    }
    const last = events.at(-1);
    assertEqual([last?.status, last?.customStatus], [status, customStatus], 'the events agree with the status change');
  }
  assertEqual([after.status, after.customStatus], [status, customStatus], 'no change without its event');
  const changed = outcome.changes.some(({ statusChange }) => statusChange);
  assertEqual(after.version, changed ? version : before.version, 'the version counts the changes');
};

const checkText = (before: UserRecord, after: UserRecord, outcome: CommandOutcome): void => {
  if (after.status === 'OFFLINE') assertEqual(after.customStatus, null, 'an OFFLINE user has no custom status');
  if (before.customStatus === after.customStatus) return;
  const events = outcome.changes.flatMap((change) => change.events);
  const why = events.some(({ reason, status }) => reason === 'CUSTOM_STATUS' || status === 'OFFLINE');
  assertRule(why, 'the text changes when it is set or when the user becomes OFFLINE, at no other time');
};

const checkLogin = (command: Command, outcome: CommandOutcome): void => {
  const change = outcome.changes.find(({ events }) => events.some(({ reason }) => reason === 'LOGIN'));
  assertEqual(
    change !== undefined,
    command.type === 'login',
    'a LOGIN event occurs for a login command and for no other',
  );
  if (!change || command.type !== 'login') return;
  const [first, ...rest] = change.events;
  assertEqual(first?.reason, 'LOGIN', 'LOGIN comes first');
  for (const event of rest) {
    assertRule(event.reason === 'KICKED' || event.reason === 'REPLACED', 'a login kicks or replaces');
    assertEqual(
      [event.previousStatus, event.status, event.version],
      ['ONLINE', 'ONLINE', first?.version],
      'KICKED and REPLACED carry the result of the login as an unchanged status',
    );
  }
  assertRule(outcome.changes.at(-1) === change, 'a login and the sessions it ends are one change');
  assertEqual(outcome.user.sessions.at(-1)?.id, command.sessionId, 'the newest login is the last session');
  const lost = outcome.changes.flatMap(({ lostSockets: lostSockets }) =>
    lostSockets.map(({ socketId: socketId }) => socketId),
  );
  assertRule(command.socketId === null || !lost.includes(command.socketId), 'a socket is not closed by its own login');
};

const checkSessions = (before: UserRecord, after: UserRecord, outcome: CommandOutcome): void => {
  const events = outcome.changes.flatMap((change) => change.events);
  for (const session of after.sessions) {
    const known: SessionRecord | undefined = before.sessions.find(({ id }) => id === session.id);
    const sessionEvents = events.filter((event) => event.sessionId === session.id && event.reason !== 'CUSTOM_STATUS');
    const statuses = [...(known ? [known.status] : []), ...sessionEvents.map(({ sessionStatus }) => sessionStatus)];
    assertEqual(statuses.at(-1), session.status, 'no session changes without an event');
    assertEqual(new Set(statuses).size, statuses.length, 'no event of a session that did not change');
    if (session.status === 'ONLINE') continue;
    assertEqual(session.socketIds, [], 'a PUSH_ONLINE session is not attached');
    if (known?.status !== 'PUSH_ONLINE') continue;
    assertEqual(session.pushExpiresAt, known.pushExpiresAt, 'a PUSH_ONLINE session keeps its expiry date');
  }
  const logins = after.sessions.map(({ loggedInAt }) => loggedInAt);
  assertEqual(
    logins,
    logins.toSorted((one, other) => one - other),
    'sessions are in the order of their logins',
  );
};
