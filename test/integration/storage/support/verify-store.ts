/** Checks a store that writing-process.js wrote to: against itself, and against the acknowledged changes. */
import { expect } from 'vitest';
import type { LoggedEvent, PresenceStore } from '../../../../src/app/ports/presence-store.ts';
import { parseSessionId, type Cursor } from '../../../../src/core/ids.ts';
import { user } from '../../../contract/commands.ts';

export interface Acknowledged {
  readonly id: string;
  readonly version: number;
  readonly sessionId: string;
}

const readWholeLog = async (store: PresenceStore): Promise<readonly LoggedEvent[]> => {
  const events: LoggedEvent[] = [];
  for (let after: Cursor | null = null; ;) {
    const page = await store.eventLog.readEvents({ after, limit: 500 });
    events.push(...page.events);
    if (!page.hasMore) return events;
    after = page.events.at(-1)?.cursor ?? null;
  }
};

/** Replays the log as a backend would, and collects every event that does not follow from the previous one. */
const replay = (events: readonly LoggedEvent[]) => {
  const versions = new Map<string, number>();
  const sessions = new Map<string, string[]>();
  const seen = new Set<string>();
  const unexpected: LoggedEvent[] = [];
  for (const event of events) {
    const last = versions.get(event.userId) ?? 0;
    // A kick has the version of the login that caused it. A login of an ONLINE user does not change the version.
    const mayBe = event.reason === 'KICKED' ? [last] : event.reason === 'LOGIN' ? [last, last + 1] : [last + 1];
    const once = `${event.reason} ${event.sessionId}`;
    if (!mayBe.includes(event.version) || seen.has(once)) unexpected.push(event);
    seen.add(once);
    versions.set(event.userId, event.version);
    if (event.reason === 'LOGIN') sessions.set(event.userId, [...(sessions.get(event.userId) ?? []), event.sessionId]);
  }
  return { versions, sessions, wrong: unexpected };
};

/**
 * Checks that records and log agree, that the log has no duplicates or disorder, and that no acknowledged change is
 * missing.
 */
export const expectConsistentStore = async (
  store: PresenceStore,
  acknowledged: readonly Acknowledged[],
): Promise<readonly LoggedEvent[]> => {
  const events = await readWholeLog(store);

  const { versions, sessions, wrong } = replay(events);
  expect(wrong).toEqual([]);
  const records = await store.readUsers([...versions.keys()].map(user));
  expect(records.map(({ version }) => version)).toEqual([...versions.values()]);
  const lost = acknowledged.filter(({ id, version, sessionId: session }) => {
    const isThere = sessions.get(id)?.includes(session) ?? false;
    return !isThere || (versions.get(id) ?? 0) < version;
  });
  expect(lost).toEqual([]);
  // The latest login is the live session. It ended the one before.
  for (const record of records) {
    const [latest, previous] = sessions.get(record.id)?.toReversed() ?? [];
    expect(record.sessions.map(({ id }) => id)).toEqual([latest]);
    if (previous === undefined) continue;
    expect(await store.findEndedSession(record.id, parseSessionId(previous))).toMatchObject({ reason: 'KICKED' });
  }
  return events;
};
