/**
 * What must hold of a user's whole life, whatever the oracle thinks: checked on the records and the
 * log alone, so that one mistake made twice, in the state machine and in the oracle, is still seen.
 */
import type { Command, CommandOutcome } from '../../../../src/core/commands.ts';
import type { PresenceEvent, SessionRecord, UserRecord } from '../../../../src/core/records.ts';
import { hold, same } from './must.ts';

export class Chronicle {
  readonly #ended = new Set<string>();
  readonly #lostLinks = new Set<string>();
  #lastEvent: PresenceEvent | null = null;

  note(before: UserRecord, command: Command, outcome: CommandOutcome): void {
    const after = outcome.user;
    this.#links(after, outcome);
    this.#ends(before, after, outcome);
    this.#chain(outcome);
    checkStatus(after);
    checkChanges(before, after, outcome);
    checkText(before, after, outcome);
    checkLogin(command, outcome);
    checkSessions(before, after, outcome);
    // Seen means heard from: time, closing sockets and backends are not the user.
    const silent = command.type === 'detachSocket' || command.type === 'expire' || command.type === 'endSessions';
    if (silent) same(after.lastSeenAt, before.lastSeenAt, 'nobody is seen without a sign of life');
    hold((after.lastSeenAt ?? 0) >= (before.lastSeenAt ?? 0), 'last seen never goes back');
  }

  /** A user that the store forgot starts over: no event, and no session that could still speak. */
  forgotten(): void {
    this.#lastEvent = null;
  }

  #links(after: UserRecord, outcome: CommandOutcome): void {
    for (const { socketId: link } of outcome.changes.flatMap(({ lostSockets: lostLinks }) => lostLinks)) {
      hold(!this.#lostLinks.has(link), `a lost link is told once: ${link}`);
      this.#lostLinks.add(link);
    }
    const held = after.sessions.flatMap(({ socketIds: links }) => links);
    same(new Set(held).size, held.length, 'a link belongs to one session at most');
    for (const link of held) hold(!this.#lostLinks.has(link), `a lost link is attached no more: ${link}`);
  }

  #ends(before: UserRecord, after: UserRecord, outcome: CommandOutcome): void {
    const events = outcome.changes.flatMap((change) => change.events);
    for (const event of events) {
      hold(!this.#ended.has(event.sessionId), `nothing happens to an ended session: ${event.reason}`);
      if (event.sessionStatus === 'OFFLINE') this.#ended.add(event.sessionId);
    }
    const gone = before.sessions.filter((session) => !after.sessions.some(({ id }) => id === session.id));
    const told = events.filter(({ sessionStatus }) => sessionStatus === 'OFFLINE');
    same(told.map(idOf).toSorted(), gone.map(({ id }) => id).toSorted(), 'every end is told, and no other');
    same(
      outcome.endedSessions.map(({ session, reason, endedAt, kickedBy }) => [session.id, reason, endedAt, kickedBy]),
      told.map(({ sessionId, reason, occurredAt, kickedBy }) => [sessionId, reason, occurredAt, kickedBy]),
      'ended sessions are listed as their events tell it',
    );
  }

  #chain(outcome: CommandOutcome): void {
    for (const event of outcome.changes.flatMap((change) => change.events)) {
      if (this.#lastEvent) same(event.previousStatus, this.#lastEvent.status, 'previousStatus chains');
      this.#lastEvent = event;
    }
  }
}

const idOf = (event: PresenceEvent): string => event.sessionId;

const checkStatus = (user: UserRecord): void => {
  const statuses = user.sessions.map(({ status }) => status);
  const highest = (['ONLINE', 'PUSH_ONLINE'] as const).find((status) => statuses.includes(status)) ?? 'OFFLINE';
  same(user.status, highest, "the status is the highest of the sessions'");
};

const checkChanges = (before: UserRecord, after: UserRecord, outcome: CommandOutcome): void => {
  let version = Math.max(before.version, before.versionFloor);
  let { status, customStatus } = before;
  for (const { events, statusChange } of outcome.changes) {
    hold(events.length > 0, 'no change without an event');
    if (statusChange) {
      version += 1;
      same(statusChange.version, version, 'each version is exactly one higher');
      same(statusChange.previousStatus, status, 'a change follows from the status before it');
      const news = statusChange.status !== status || statusChange.customStatus !== customStatus;
      hold(news, 'nobody is told of a change that is none');
      ({ status, customStatus } = statusChange);
    }
    const last = events.at(-1);
    same([last?.status, last?.customStatus], [status, customStatus], 'no event speaks of a change that is not told');
  }
  same([after.status, after.customStatus], [status, customStatus], 'no change without its event');
  const changed = outcome.changes.some(({ statusChange }) => statusChange);
  same(after.version, changed ? version : before.version, 'the version counts the changes');
};

const checkText = (before: UserRecord, after: UserRecord, outcome: CommandOutcome): void => {
  if (after.status === 'OFFLINE') same(after.customStatus, null, 'an OFFLINE user has no custom text');
  if (before.customStatus === after.customStatus) return;
  const events = outcome.changes.flatMap((change) => change.events);
  const why = events.some(({ reason, status }) => reason === 'CUSTOM_STATUS' || status === 'OFFLINE');
  hold(why, 'the text changes when it is set or when the user becomes OFFLINE, at no other time');
};

const checkLogin = (command: Command, outcome: CommandOutcome): void => {
  const change = outcome.changes.find(({ events }) => events.some(({ reason }) => reason === 'LOGIN'));
  same(change !== undefined, command.type === 'login', 'LOGIN is told of a login, and of nothing else');
  if (!change || command.type !== 'login') return;
  const [first, ...rest] = change.events;
  same(first?.reason, 'LOGIN', 'LOGIN comes first');
  for (const event of rest) {
    hold(event.reason === 'KICKED' || event.reason === 'REPLACED', 'a login kicks or replaces');
    same(
      [event.previousStatus, event.status, event.version],
      ['ONLINE', 'ONLINE', first?.version],
      'KICKED and REPLACED carry the result of the login as an unchanged status',
    );
  }
  hold(outcome.changes.at(-1) === change, 'a login and all that it ends are one change');
  same(outcome.user.sessions.at(-1)?.id, command.sessionId, 'the newest login is the last session');
  const lost = outcome.changes.flatMap(({ lostSockets: lostLinks }) => lostLinks.map(({ socketId: link }) => link));
  hold(command.socketId === null || !lost.includes(command.socketId), 'a socket is not closed by its own login');
};

const checkSessions = (before: UserRecord, after: UserRecord, outcome: CommandOutcome): void => {
  const events = outcome.changes.flatMap((change) => change.events);
  for (const session of after.sessions) {
    const known: SessionRecord | undefined = before.sessions.find(({ id }) => id === session.id);
    const told = events.filter((event) => event.sessionId === session.id && event.reason !== 'CUSTOM_STATUS');
    const statuses = [...(known ? [known.status] : []), ...told.map(({ sessionStatus }) => sessionStatus)];
    same(statuses.at(-1), session.status, 'no session changes without an event');
    same(new Set(statuses).size, statuses.length, 'no event of a session that did not change');
    if (session.status === 'ONLINE') continue;
    same(session.socketIds, [], 'a PUSH_ONLINE session is not attached');
    if (known?.status !== 'PUSH_ONLINE') continue;
    same(session.pushExpiresAt, known.pushExpiresAt, 'a PUSH_ONLINE session keeps its expiry date');
  }
  const logins = after.sessions.map(({ loggedInAt }) => loggedInAt);
  same(
    logins,
    logins.toSorted((one, other) => one - other),
    'sessions stand in the order of their logins',
  );
};
