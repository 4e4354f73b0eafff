/**
 * Reads the event log as a follower and checks the rules of every log: replayed in order, it is a possible history of
 * each user. Its result must be the current state that the server returns.
 */
import { expect } from 'vitest';
// eslint-disable-next-line no-restricted-imports -- the source is JavaScript, because it also runs without a build.
import { EVENT_FIELDS, type Event, UserHistory } from '../user-history.js';
import { postForData } from '../porchlight-client.ts';
import type { PorchlightProcess } from '../porchlight-process.ts';

/** An event as a follower receives it. */
export type LogEvent = Readonly<Event>;
export { EVENT_FIELDS };

interface EventPage {
  readonly events: {
    readonly nodes: readonly LogEvent[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}

/** Reads the whole log page by page, right after `after`. */
export const readLog = async (server: PorchlightProcess, after: string | null = null): Promise<LogEvent[]> => {
  const query = `query ($after: Cursor) { events(first: 500, after: $after) {
    nodes { ${EVENT_FIELDS} } pageInfo { hasNextPage endCursor } } }`;
  const log: LogEvent[] = [];
  for (let from = after; ;) {
    const { nodes, pageInfo } = (await postForData<EventPage>(server, server.apiKey, query, { after: from })).events;
    log.push(...nodes);
    if (!pageInfo.hasNextPage) return log;
    from = pageInfo.endCursor;
  }
};

/** A user after the log was replayed. */
export interface ReplayedUser {
  readonly history: UserHistory;
  readonly ended: Map<string, LogEvent>;
  /** The status as of each version. */
  readonly versions: Map<number, Pick<LogEvent, 'status' | 'customStatus'>>;
  readonly changes: Set<string>;
}

export const groupByUser = <E extends LogEvent>(log: readonly E[]): Map<string, E[]> => {
  const users = new Map<string, E[]>();
  for (const event of log) {
    const own = users.get(event.userId);
    if (own === undefined) users.set(event.userId, [event]);
    else own.push(event);
  }
  return users;
};

/**
 * Replays and checks a whole log from the first event.
 * @returns the final state of every user.
 */
export const replayLog = (log: readonly LogEvent[]): Map<string, ReplayedUser> => {
  expect(new Set(log.map(({ cursor }) => cursor)).size, 'every cursor occurs once').toBe(log.length);
  const users = new Map<string, ReplayedUser>();
  for (const [userId, events] of groupByUser(log)) {
    const life = new UserHistory();
    const user: ReplayedUser = { history: life, ended: new Map(), versions: new Map(), changes: new Set() };
    users.set(userId, user);
    for (let start = 0; start < events.length;) {
      const { changeId } = events[start] as LogEvent;
      let end = start + 1;
      while (events[end]?.changeId === changeId) end++;
      const change = events.slice(start, end);
      expect(user.changes.has(changeId), `the events of a change are consecutive: ${changeId}`).toBe(false);
      user.changes.add(changeId);
      const before = JSON.stringify({ ...life, live: [...life.liveSessions] });
      const faults = life.checkChange(change, (sessionId) => user.ended.has(sessionId));
      expect(faults, `${before}, then ${JSON.stringify(change)}`).toEqual([]);
      for (const event of change) if (event.sessionStatus === 'OFFLINE') user.ended.set(event.sessionId, event);
      user.versions.set(life.version, { status: life.status, customStatus: life.customStatus });
      start = end;
    }
  }
  return users;
};

interface QueriedUser {
  readonly userId: string;
  readonly status: string;
  readonly version: number;
  readonly customStatus: string | null;
  readonly sessions: readonly { readonly id: string; readonly status: string }[];
}

/** Checks that the server returns the state that its log leads to, for each of these users. */
export const expectCurrentState = async (
  server: PorchlightProcess,
  users: ReadonlyMap<string, ReplayedUser>,
  userIds: readonly string[],
): Promise<void> => {
  const query = `query ($ids: [ID!]!) { userStatuses(userIds: $ids) {
    userId status version customStatus sessions { id status } } }`;
  const asked = await postForData<{ userStatuses: QueriedUser[] }>(server, server.apiKey, query, { ids: userIds });
  const present = asked.userStatuses.map(({ sessions, ...user }) => ({
    ...user,
    sessions: sessions.map(({ id, status }) => [id, status]).sort(),
  }));
  expect(present).toEqual(
    userIds.map((userId) => {
      const { status, version, customStatus, liveSessions: live } = users.get(userId)?.history ?? new UserHistory();
      const sessions = [...live.values()].map((session) => [session.id, session.status]).sort();
      return { userId, status, version, customStatus, sessions };
    }),
  );
};
