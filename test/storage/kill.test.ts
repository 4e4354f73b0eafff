/** `kill -9` under load: what was acknowledged is there, and the log has neither a gap nor a repeat. */
import Database from 'better-sqlite3';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { LoggedEvent, PresenceStore } from '../../src/app/ports.ts';
import { sessionId, type Cursor } from '../../src/core/ids.ts';
import { user } from '../contract/commands.ts';
import { diagnose } from '../../src/storage/sqlite/doctor/doctor.ts';
import { openQuietly, temporaryDirectories } from './sqlite-files.ts';

const newDirectory = temporaryDirectories();
const ROUNDS = 5;

interface Acknowledged {
  readonly id: string;
  readonly version: number;
  readonly sessionId: string;
}

/** Lets a server write until it has acknowledged `count` changes, then kills it. @returns all it acknowledged. */
const writeAndKill = async (path: string, round: number, count: number): Promise<readonly Acknowledged[]> => {
  const script = fileURLToPath(new URL('./writing-process.js', import.meta.url));
  const child = spawn(process.execPath, [script, path, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const acknowledged: Acknowledged[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    // The last line may be cut off.
    if (line.endsWith('}')) acknowledged.push(JSON.parse(line) as Acknowledged);
    if (acknowledged.length === count) child.kill('SIGKILL');
  }
  await closed;
  expect(child.signalCode).toBe('SIGKILL');
  return acknowledged;
};

const wholeLog = async (store: PresenceStore): Promise<readonly LoggedEvent[]> => {
  const events: LoggedEvent[] = [];
  for (let after: Cursor | null = null; ;) {
    const page = await store.log.read({ after, limit: 500 });
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

it(`every acknowledged change survives kill -9, ${ROUNDS} times over`, async () => {
  const path = join(newDirectory(), 'presence.db');
  const acknowledged: Acknowledged[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    acknowledged.push(...(await writeAndKill(path, round, 300 * round)));
    expect(diagnose(path, false).findings).toEqual([]);
    const store = await openQuietly(path);
    const events = await wholeLog(store);

    const { versions, sessions, wrong } = replay(events);
    expect(wrong).toEqual([]);
    const records = await store.read([...versions.keys()].map(user));
    expect(records.map(({ version }) => version)).toEqual([...versions.values()]);
    const lost = acknowledged.filter(({ id, version, sessionId: session }) => {
      const isThere = sessions.get(id)?.includes(session) ?? false;
      return !isThere || (versions.get(id) ?? 0) < version;
    });
    expect(lost).toEqual([]);
    // The latest login is the one that lives; the one before it was ended by it.
    for (const record of records) {
      const [previous, latest] = sessions.get(record.id)?.slice(-2) ?? [];
      expect(record.sessions.map(({ id }) => id)).toEqual([latest]);
      expect(await store.findEnded(record.id, sessionId(previous ?? ''))).toMatchObject({ reason: 'KICKED' });
    }
    await store.close();

    const database = new Database(path, { readonly: true });
    const numbered = database
      .prepare('SELECT count(*) AS count, min(seq) AS first, max(seq) AS last FROM events')
      .get();
    database.close();
    expect(numbered).toEqual({ count: events.length, first: 1, last: events.length });
  }
  expect(acknowledged.length).toBeGreaterThan(ROUNDS * 300);
}, 180_000);

it('a database that another process serves is refused, and open to all when that one is killed', async () => {
  const path = join(newDirectory(), 'presence.db');
  const script = fileURLToPath(new URL('./writing-process.js', import.meta.url));
  const child = spawn(process.execPath, [script, path, '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  await once(child.stdout, 'data');
  child.stdout.resume();
  await expect(openQuietly(path)).rejects.toMatchObject({ kind: 'LOCKED' });
  child.kill('SIGKILL');
  await closed;
  await (await openQuietly(path)).close();
});
