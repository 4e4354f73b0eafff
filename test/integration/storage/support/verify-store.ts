/** What a store says of the changes that writing-process.js makes, held against itself and against what was acknowledged. */
import { expect } from 'vitest';
import type { LoggedEvent, PresenceStore } from '../../../../src/app/ports/presence-store.ts';
import { parseSessionId, type Cursor } from '../../../../src/core/ids.ts';
import { user } from '../../../contract/commands.ts';

export interface Acknowledged {
  readonly id: string;
  readonly version: number;
  readonly sessionId: string;
}

const wholeLog = async (store: PresenceStore): Promise<readonly LoggedEvent[]> => {
  const events: LoggedEvent[] = [];
  for (let after: Cursor | null = null; ;) {
    const page = await store.eventLog.readEvents({ after, limit: 500 });
    events.push(...page.events);
    if (!page.hasMore) return events;
    after = page.events.at(-1)?.cursor ?? null;
  }
};

/** Follows the log as a backend would, and notes every event that does not follow from the last. */
const replay = (events: readonly LoggedEvent[]) => {
  const versions = new Map<string, number>();
  const sessions = new Map<string, string[]>();
  const seen = new Set<string>();
  const wrong: LoggedEvent[] = [];
  for (const event of events) {
    const last = versions.get(event.userId) ?? 0;
    // A kick is told with the login that did it, and a login of one who is ONLINE changes no status.
    const mayBe = event.reason === 'KICKED' ? [last] : event.reason === 'LOGIN' ? [last, last + 1] : [last + 1];
    const once = `${event.reason} ${event.sessionId}`;
    if (!mayBe.includes(event.version) || seen.has(once)) wrong.push(event);
    seen.add(once);
    versions.set(event.userId, event.version);
    if (event.reason === 'LOGIN') sessions.set(event.userId, [...(sessions.get(event.userId) ?? []), event.sessionId]);
  }
  return { versions, sessions, wrong };
};

/** State and log agree, nothing is there twice or out of order, and nothing that was acknowledged is missing. */
export const expectWhole = async (
  store: PresenceStore,
  acknowledged: readonly Acknowledged[],
): Promise<readonly LoggedEvent[]> => {
  const events = await wholeLog(store);

  const { versions, sessions, wrong } = replay(events);
  expect(wrong).toEqual([]);
  const records = await store.readUsers([...versions.keys()].map(user));
  expect(records.map(({ version }) => version)).toEqual([...versions.values()]);
  const lost = acknowledged.filter(({ id, version, sessionId: session }) => {
    const isThere = sessions.get(id)?.includes(session) ?? false;
    return !isThere || (versions.get(id) ?? 0) < version;
  });
  expect(lost).toEqual([]);
  // The latest login is the one that lives; the one before it was ended by it.
  for (const record of records) {
    const [latest, previous] = sessions.get(record.id)?.toReversed() ?? [];
    expect(record.sessions.map(({ id }) => id)).toEqual([latest]);
    if (previous === undefined) continue;
    expect(await store.findEndedSession(record.id, parseSessionId(previous))).toMatchObject({ reason: 'KICKED' });
  }
  return events;
};
