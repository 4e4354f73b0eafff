// The floor of a mass timeout: the same rows written by SQLite alone, as durably (synchronous FULL), in large
// transactions, by one thread that does nothing else, published to no watcher, and with the rows known beforehand.
import Database from 'better-sqlite3';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

const SESSIONS_AT_ONCE = 4_096;
const EVENTS_AT_ONCE = 16;

/**
 * On a copy, which stays. Sessions on ANDROID become PUSH_ONLINE, the others end.
 * @param {string} directory of the database
 * @param {string} copyInto
 * @returns {number} ms
 */
export function rawTransitions(directory, copyInto) {
  const path = join(copyInto, 'raw.db');
  copyFileSync(join(directory, 'porchlight.db'), path);
  const database = new Database(path);
  database.pragma('synchronous = FULL');
  database.pragma('cache_size = -65536');
  const sessions = /** @type {string[][]} */ (
    database.prepare('SELECT user_id, session_id, platform, device_id FROM sessions ORDER BY user_id').raw().all()
  );
  const status = database.prepare(
    `UPDATE users SET version = ?, status = ?, changed_at = ?, reason = 'HEARTBEAT_TIMEOUT' WHERE user_id = ?`,
  );
  const drop = database.prepare(
    `UPDATE sessions SET status = 'PUSH_ONLINE', push_expires_at = ? WHERE user_id = ? AND session_id = ?`,
  );
  const end = database.prepare(
    `UPDATE sessions SET ended_at = ?, end_reason = 'HEARTBEAT_TIMEOUT' WHERE user_id = ? AND session_id = ?`,
  );
  const row = `(?, ?, ?, ?, ?, ?, 'HEARTBEAT_TIMEOUT', 'PUSH_ONLINE', 'ONLINE', 'PUSH_ONLINE', 2, NULL, NULL, NULL, ?)`;
  const insert = (/** @type {number} */ count) =>
    database.prepare(`INSERT INTO events VALUES ${Array.from({ length: count }, () => row).join(', ')}`);
  const [one, many] = [insert(1), insert(EVENTS_AT_ONCE)];
  const lastSeq = /** @type {number} */ (database.prepare('SELECT coalesce(max(seq), 0) FROM events').pluck().get());
  const now = Date.now();

  const write = database.transaction((/** @type {number} */ start) => {
    const some = sessions.slice(start, start + SESSIONS_AT_ONCE);
    for (const [user, session, platform] of some) {
      if (platform === 'ANDROID') status.run(2, 'PUSH_ONLINE', now, user);
      (platform === 'ANDROID' ? drop : end).run(now, user, session);
    }
    const values = (/** @type {string[][]} */ rows, /** @type {number} */ first) =>
      rows.flatMap(([user, session, platform, device], index) => {
        const seq = lastSeq + 1 + first + index;
        return [seq, seq, user, session, platform, device, now];
      });
    let done = 0;
    for (; done + EVENTS_AT_ONCE <= some.length; done += EVENTS_AT_ONCE) {
      many.run(...values(some.slice(done, done + EVENTS_AT_ONCE), start + done));
    }
    for (; done < some.length; done++) one.run(...values(some.slice(done, done + 1), start + done));
  });
  const began = performance.now();
  for (let start = 0; start < sessions.length; start += SESSIONS_AT_ONCE) write.immediate(start);
  const took = performance.now() - began;
  database.close();
  return took;
}
