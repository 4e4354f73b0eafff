/** The doctor finds nothing in what the store wrote, and exactly the right finding for each kind of damage. */
import Database from 'better-sqlite3';
import { copyFileSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { applyPolicyChange, DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { diagnoseDatabase } from '../../../src/storage/sqlite/offline/doctor/doctor.ts';
import type { FindingId } from '../../../src/storage/sqlite/offline/doctor/findings.ts';
import { login, logout, runCommand, runCommandForAll, setStatusText, user, expire } from '../../contract/commands.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
let healthy: string;

/** Creates every kind of change, so that each rule of the doctor can be broken. */
beforeAll(async () => {
  healthy = join(newDirectory(), 'presence.db');
  const clock = new VirtualClock();
  const policySeed = applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'TRIPLE' } });
  const store = await openQuietly(healthy, { clock: clock.now, policySeed, eventRetentionMs: 86_400_000 });
  await runCommand(store, user('early'), login('e', 'WEB'));
  await runCommand(store, user('early'), logout('e'));
  clock.advance(86_400_001);
  await store.purgeExpiredData();
  const many = Array.from({ length: 400 }, (_, index) => user(`one of many ${index}`));
  for (const id of many) await runCommand(store, id, login(`s of ${id}`, 'LINUX'));
  clock.advance(1_000);
  await runCommand(store, user('alice'), login('a1', 'IPHONE'));
  await runCommand(store, user('alice'), login('a2', 'ANDROID'));
  await runCommand(store, user('alice'), setStatusText('a2', 'busy'));
  await runCommand(store, user('alice'), login('a3', 'WEB'));
  await runCommand(store, user('bob'), login('b1', 'WEB'));
  await runCommand(store, user('bob'), logout('b1'));
  await runCommand(store, user('carol'), login('c1', 'MAC'));
  clock.advance(400_000);
  await runCommandForAll(store, [user('carol'), ...many.slice(0, 200)], expire);
  await store.close();
});

const copyHealthy = (): string => {
  const path = join(newDirectory(), 'presence.db');
  copyFileSync(healthy, path);
  return path;
};

const findingIds = (path: string, quick = false): readonly FindingId[] =>
  diagnoseDatabase(path, quick)
    .findings.map(({ id }) => id)
    .sort();

it('the doctor finds nothing in a healthy file, and counts its rows', () => {
  expect(diagnoseDatabase(healthy, false)).toMatchObject({
    schema: 'CURRENT',
    integrity: 'full',
    file: { walBytes: 0 },
    counted: {
      users: { ONLINE: 201, PUSH_ONLINE: 1, OFFLINE: 202 },
      sessions: { live: 203, ended: 203 },
      events: 609,
      cursor: expect.stringMatching(/\.611$/) as string,
    },
    findings: [],
  });
});

describe('the doctor finds a change made outside the store:', () => {
  it.each<readonly [what: string, sql: string, ...ids: FindingId[]]>([
    [
      'a user’s status',
      "UPDATE users SET status = 'PUSH_ONLINE' WHERE user_id = 'alice'",
      'log-and-user',
      'sessions-and-user',
    ],
    ['a user’s version', "UPDATE users SET version = 9 WHERE user_id = 'bob'", 'log-and-user'],
    ['a user’s reason', "UPDATE users SET reason = 'KICKED' WHERE user_id = 'bob'", 'log-and-user'],
    ['a user’s custom status', "UPDATE users SET custom_status = 'x' WHERE user_id = 'alice'", 'log-and-user'],
    [
      'the time of a user’s change',
      "UPDATE users SET changed_at = changed_at + 1 WHERE user_id = 'bob'",
      'log-and-user',
    ],
    ['an unknown reason', "UPDATE users SET reason = 'BORED' WHERE user_id = 'bob'", 'log-and-user', 'unknown-word'],
    ['an unknown platform', "UPDATE sessions SET platform = 'AMIGA' WHERE session_id = 'a3'", 'unknown-word'],
    ['a removed user', "DELETE FROM users WHERE user_id = 'alice'", 'session-without-user', 'user-without-row'],
    [
      'an ended session that is live again',
      "UPDATE sessions SET ended_at = NULL WHERE session_id = 'b1'",
      'sessions-and-user',
    ],
    ['a removed session', "DELETE FROM sessions WHERE session_id = 'c1'", 'sessions-and-user'],
    ['a session’s status', "UPDATE sessions SET status = 'ONLINE' WHERE session_id = 'c1'", 'sessions-and-user'],
    [
      'a removed event',
      "DELETE FROM events WHERE session_id = 'a2' AND reason = 'CUSTOM_STATUS'",
      'event-versions',
      'log-and-user',
      'log-hole',
    ],
    [
      'a removed last event of a user',
      "DELETE FROM events WHERE session_id = 'c1' AND reason <> 'LOGIN'",
      'log-and-user',
      'log-hole',
    ],
    ['a removed first event of the log', 'DELETE FROM events WHERE seq = (SELECT min(seq) FROM events)', 'log-hole'],
    ['a removed login event', "DELETE FROM events WHERE session_id = 'a3'", 'log-hole', 'session-without-login'],
    [
      'an event moved to another change',
      "UPDATE events SET change_seq = 5 WHERE session_id = 'b1' AND reason = 'LOGOUT'",
      'change-broken',
    ],
    [
      'a version that decreases',
      "UPDATE events SET version = 0 WHERE session_id = 'b1' AND reason = 'LOGOUT'",
      'event-versions',
      'log-and-user',
    ],
    [
      'a previous status that does not match the event before',
      "UPDATE events SET previous_status = 'PUSH_ONLINE' WHERE session_id = 'a3'",
      'event-statuses',
      'event-versions',
      'log-and-user',
    ],
    [
      'an event after the end of its session',
      "UPDATE events SET session_id = 'a1' WHERE session_id = 'a3'",
      'event-after-end',
      'session-without-login',
    ],
    ['a missing log id', "DELETE FROM meta WHERE key = 'log_id'", 'meta-value'],
    [
      'a policy that breaks the rules',
      "UPDATE meta SET value = replace(value, '400000', '1') WHERE key = 'policy'",
      'meta-value',
    ],
    ['a policy that is not valid JSON', "UPDATE meta SET value = '{' WHERE key = 'policy'", 'meta-value'],
    [
      'a version floor that is not a number',
      "INSERT OR REPLACE INTO meta VALUES ('version_floor', 'high')",
      'meta-value',
    ],
    [
      'a newer schema',
      "INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('x', 4102444800000)",
      'schema-newer',
    ],
    ['an older schema', 'DELETE FROM __drizzle_migrations', 'schema-older'],
  ])('%s', (_what, sql, ...ids) => {
    const path = copyHealthy();
    const connection = new Database(path);
    expect(connection.prepare(sql).run().changes).toBeGreaterThan(0);
    connection.close();
    expect(findingIds(path)).toEqual(ids.toSorted());
  });

  it('reports escaped examples and their number', () => {
    const path = copyHealthy();
    const connection = new Database(path);
    connection.exec("UPDATE users SET version = 77 WHERE user_id LIKE 'one of many%' OR user_id = 'bob'");
    connection.close();
    const [finding] = diagnoseDatabase(path, false).findings;
    expect(finding).toMatchObject({ id: 'log-and-user', severity: 'error', count: 401 });
    expect(finding?.examples).toHaveLength(5);
    expect(finding?.examples[0]).toMatch(/^"bob", event \d+: version 77, in the log 2$/);
  });
});

describe('the doctor finds damage to the file:', () => {
  const rootOf = (name: string): number => {
    const connection = new Database(healthy, { readonly: true });
    const root = connection.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').pluck().get(name) as number;
    connection.close();
    return root;
  };
  const PAGE = 4_096;
  const overwritten = (page: number): string => {
    const path = copyHealthy();
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(200, 0x5a), 0, 200, (page - 1) * PAGE);
    closeSync(file);
    return path;
  };

  it.each(['users', 'events', 'events_of_user', 'sessions_live'])('an overwritten page of %s', (name) => {
    const [finding, ...others] = diagnoseDatabase(overwritten(rootOf(name)), true).findings;
    expect([finding?.id, others]).toEqual(['damaged', []]);
    expect(finding?.examples.join()).toMatch(new RegExp(`\\b${name}\\b|malformed`));
  });

  it('an index that lacks a row, with the full check alone', () => {
    const path = copyHealthy();
    const connection = new Database(path);
    connection.unsafeMode();
    connection.pragma('writable_schema = ON');
    // While SQLite does not know the index, a row is changed without it.
    const index = connection.prepare("SELECT * FROM sqlite_schema WHERE name = 'sessions_live'").get();
    connection.exec("DELETE FROM sqlite_schema WHERE name = 'sessions_live'");
    connection.pragma('writable_schema = RESET');
    connection.exec("UPDATE sessions SET platform = 'IPAD' WHERE session_id = 'c1'");
    connection.pragma('writable_schema = ON');
    connection.prepare('INSERT INTO sqlite_schema VALUES (@type, @name, @tbl_name, @rootpage, @sql)').run(index);
    connection.close();
    const found = diagnoseDatabase(path, false).findings;
    expect(found.map(({ id }) => id)).toEqual(['damaged']);
    expect(found[0]?.examples.join()).toContain('sessions_live');
    expect(findingIds(path, true)).not.toContain('damaged');
  });

  it('a truncated file', () => {
    const path = copyHealthy();
    truncateSync(path, PAGE * Math.floor(readFileSync(path).length / PAGE / 2));
    expect(findingIds(path)).toEqual(['damaged']);
  });

  it.each<readonly [string, (path: string) => void, string]>([
    ['it does not exist', () => undefined, 'UNWRITABLE'],
    ['it is empty', (path) => writeFileSync(path, ''), 'UNWRITABLE'],
    ['it is not a database', (path) => writeFileSync(path, 'a'.repeat(5_000)), 'CORRUPT'],
    ['it is a database of another program', (path) => new Database(path).exec('CREATE TABLE t (x)').close(), 'FOREIGN'],
  ])('rejects the file when %s', (_what, make, kind) => {
    const path = join(newDirectory(), 'other.db');
    make(path);
    expect(() => diagnoseDatabase(path, false)).toThrow(expect.objectContaining({ kind }) as Error);
  });
});
