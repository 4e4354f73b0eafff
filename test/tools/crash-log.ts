/**
 * The event log as a follower reads it, and what must hold of every log whatever has happened: told event by event,
 * it is a possible life of each user. What it leads to is what the server must say is the present.
 */
import { expect } from 'vitest';
import { ask } from './porchlight-client.ts';
import type { PorchlightProcess } from './porchlight-process.ts';

export interface LogEvent {
  readonly cursor: string;
  readonly changeId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly platform: string;
  readonly deviceId: string;
  readonly reason: string;
  readonly sessionStatus: string;
  readonly previousStatus: string;
  readonly status: string;
  readonly version: number;
  readonly kickedBy: string | null;
  readonly customStatus: string | null;
  readonly occurredAt: string;
}

export const EVENT_FIELDS = `cursor changeId userId sessionId platform deviceId reason sessionStatus previousStatus
  status version kickedBy customStatus occurredAt`;

interface EventPage {
  readonly events: {
    readonly nodes: readonly LogEvent[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}

/** All of it, page by page, right after `after`. */
export const readLog = async (server: PorchlightProcess, after: string | null = null): Promise<LogEvent[]> => {
  const query = `query ($after: Cursor) { events(first: 500, after: $after) {
    nodes { ${EVENT_FIELDS} } pageInfo { hasNextPage endCursor } } }`;
  const log: LogEvent[] = [];
  for (let from = after; ;) {
    const { nodes, pageInfo } = (await ask<EventPage>(server, server.apiKey, query, { after: from })).events;
    log.push(...nodes);
    if (!pageInfo.hasNextPage) return log;
    from = pageInfo.endCursor;
  }
};

/** A user as the log leaves her. */
export interface Told {
  status: string;
  version: number;
  customStatus: string | null;
  occurredAt: string;
  /** Status of each live session. */
  readonly live: Map<string, string>;
  readonly ended: Map<string, LogEvent>;
  /** What was true from each version on. */
  readonly versions: Map<number, Pick<LogEvent, 'status' | 'customStatus'>>;
  readonly changes: Set<string>;
}

const ENDS = ['LOGOUT', 'KICKED', 'REPLACED', 'REVOKED', 'PUSH_EXPIRED'];
const DROPS = ['DISCONNECT', 'HEARTBEAT_TIMEOUT', 'BACKGROUND_TIMEOUT'];

/** The highest of them. */
const highest = (statuses: Iterable<string>): string => {
  const all = [...statuses];
  return ['ONLINE', 'PUSH_ONLINE'].find((status) => all.includes(status)) ?? 'OFFLINE';
};

export const byUser = (log: readonly LogEvent[]): Map<string, LogEvent[]> => {
  const users = new Map<string, LogEvent[]>();
  for (const event of log) users.set(event.userId, [...(users.get(event.userId) ?? []), event]);
  return users;
};

/** Checks a whole log, from the first event on. @returns every user as it leaves her. */
export const checkLog = (log: readonly LogEvent[]): Map<string, Told> => {
  expect(new Set(log.map(({ cursor }) => cursor)).size, 'every cursor is there once').toBe(log.length);
  const users = new Map<string, Told>();
  for (const [userId, events] of byUser(log)) {
    const user: Told = {
      status: 'OFFLINE',
      version: 0,
      customStatus: null,
      occurredAt: '',
      live: new Map(),
      ended: new Map(),
      versions: new Map(),
      changes: new Set(),
    };
    users.set(userId, user);
    for (let start = 0; start < events.length;) {
      const { changeId } = events[start] as LogEvent;
      let end = start + 1;
      while (events[end]?.changeId === changeId) end++;
      checkChange(user, events.slice(start, end));
      start = end;
    }
  }
  return users;
};

const checkChange = (user: Told, change: readonly LogEvent[]): void => {
  const first = change[0] as LogEvent;
  const words = JSON.stringify({ before: { ...user, live: [...user.live], versions: user.version }, change });
  expect(user.changes.has(first.changeId), `a change is told at one place: ${words}`).toBe(false);
  user.changes.add(first.changeId);
  for (const event of change) checkSession(user, event, words);
  const status = highest(user.live.values());
  const text = status === 'OFFLINE' ? null : first.reason === 'CUSTOM_STATUS' ? first.customStatus : user.customStatus;
  const changed = status !== user.status || text !== user.customStatus;
  const version = user.version + (changed ? 1 : 0);
  change.forEach((event, index) => {
    const previousStatus = index === 0 ? user.status : status;
    expect(event, words).toMatchObject({ previousStatus, status, version, customStatus: text });
    expect(event.occurredAt >= user.occurredAt, `time does not go back: ${words}`).toBe(true);
    if (index > 0) expect(['KICKED', 'REPLACED', 'REVOKED'], words).toContain(event.reason);
    if (event.reason === 'KICKED') expect(event.kickedBy, words).toBe(first.platform);
  });
  Object.assign(user, { status, version, customStatus: text, occurredAt: first.occurredAt });
  user.versions.set(version, { status, customStatus: text });
};

const checkSession = (user: Told, event: LogEvent, words: string): void => {
  const { sessionId, reason, sessionStatus } = event;
  const before = user.live.get(sessionId);
  expect(user.ended.has(sessionId), `an ended session has no more events: ${words}`).toBe(false);
  expect(before === undefined, `a session begins with its one LOGIN: ${words}`).toBe(reason === 'LOGIN');
  if (reason === 'LOGIN') expect(sessionStatus, words).toBe('ONLINE');
  if (reason === 'RECONNECT') expect([before, sessionStatus], words).toEqual(['PUSH_ONLINE', 'ONLINE']);
  if (reason === 'CUSTOM_STATUS') expect(sessionStatus, words).toBe(before);
  if (ENDS.includes(reason)) expect(sessionStatus, words).toBe('OFFLINE');
  if (DROPS.includes(reason)) {
    expect(before, words).toBe('ONLINE');
    expect(sessionStatus, words).not.toBe('ONLINE');
  }
  if (sessionStatus === 'OFFLINE') {
    user.live.delete(sessionId);
    user.ended.set(sessionId, event);
  } else user.live.set(sessionId, sessionStatus);
};

interface UserAsked {
  readonly userId: string;
  readonly status: string;
  readonly version: number;
  readonly customStatus: string | null;
  readonly sessions: readonly { readonly id: string; readonly status: string }[];
}

/** The present that the server tells is the one that its log leads to, for each of these users. */
export const expectPresent = async (
  server: PorchlightProcess,
  users: ReadonlyMap<string, Told>,
  userIds: readonly string[],
): Promise<void> => {
  const query = `query ($ids: [ID!]!) { userStatuses(userIds: $ids) {
    userId status version customStatus sessions { id status } } }`;
  const asked = await ask<{ userStatuses: UserAsked[] }>(server, server.apiKey, query, { ids: userIds });
  const present = asked.userStatuses.map(({ sessions, ...user }) => ({
    ...user,
    sessions: sessions.map(({ id, status }) => [id, status]).sort(),
  }));
  expect(present).toEqual(
    userIds.map((userId) => {
      const {
        status = 'OFFLINE',
        version = 0,
        customStatus = null,
        live = new Map<string, string>(),
      } = users.get(userId) ?? {};
      return { userId, status, version, customStatus, sessions: [...live].sort() };
    }),
  );
};
