// A database with as many users as one likes, made in seconds: the server itself makes one user, and SQLite repeats
// that user. It depends only on what differs between two users, not on the tables.
import Database from 'better-sqlite3';
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { graphqlRequest, HttpConnection } from './client/http.js';
import { loginBody, userToken } from './client/tokens.js';
import { startPorchlight } from './servers/process.js';

const MODEL = 'model';
const PLATFORMS = ['ANDROID', 'WEB'];
/** Of ten users, so many have the second device too. */
const WITH_SECOND = 3;

/** @param {number} index */
export const userId = (index) => `user-${String(index).padStart(7, '0')}`;

/** @param {number} users */
export const sessionsOf = (users) => users + Math.floor(users / 10) * WITH_SECOND + Math.min(users % 10, WITH_SECOND);

/**
 * @param {number} index
 * @param {number} device
 */
const sessionId = (index, device) => `session-${device}-${String(index).padStart(12, '0')}`;

/**
 * @param {number} index
 * @param {number} device
 */
function secret(index, device) {
  const bytes = Buffer.alloc(32, device);
  bytes.writeUInt32BE(index);
  return bytes;
}

/**
 * The token of a user's first device.
 * @param {number} index
 */
export const sessionToken = (index) =>
  `pls_${Buffer.from(userId(index)).toString('base64url')}.${sessionId(index, 0)}.${secret(index, 0).toString('base64url')}`;

/**
 * @param {string} dist
 * @param {string} directory
 * @param {number} users all of them ONLINE, 3 of 10 on two devices.
 * @param {number} [timeoutMs] after which a silent session times out; the usual one when it is not given.
 */
export async function fill(dist, directory, users, timeoutMs) {
  await makeModel(dist, directory, timeoutMs);
  const database = new Database(join(directory, 'porchlight.db'));
  database.pragma('synchronous = OFF');
  database.function('user_name', (index) => userId(Number(index)));
  database.function('session_name', (index, device) => sessionId(Number(index), Number(device)));
  database.function('secret_hash', (index, device) =>
    createHash('sha256')
      .update(secret(Number(index), Number(device)))
      .digest('base64url'),
  );
  database.transaction(() => {
    repeat(database, 'users', users, { user_id: 'user_name(n)' }, '', 'true');
    for (const [device, platform] of PLATFORMS.entries()) {
      const own = {
        user_id: 'user_name(n)',
        session_id: `session_name(n, ${device})`,
        token_hash: `secret_hash(n, ${device})`,
      };
      const who = device === 0 ? 'true' : `n % 10 < ${WITH_SECOND}`;
      repeat(database, 'sessions', users, own, `AND platform = '${platform}'`, who);
    }
    for (const table of ['users', 'sessions', 'events']) {
      database.prepare(`DELETE FROM ${table} WHERE user_id = ?`).run(MODEL);
    }
  })();
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
}

/**
 * @param {string} dist
 * @param {string} directory
 * @param {number | undefined} timeoutMs
 */
async function makeModel(dist, directory, timeoutMs) {
  const rows = PLATFORMS.map((platform) => ({
    platform,
    heartbeatIntervalMs: 1_000,
    heartbeatTimeoutMs: timeoutMs,
  }));
  const env = {
    PORCHLIGHT_MULTI_DEVICE: 'multi',
    ...(timeoutMs === undefined ? {} : { PORCHLIGHT_PLATFORMS: JSON.stringify(rows) }),
  };
  const server = await startPorchlight(dist, { directory, env });
  try {
    const connection = await HttpConnection.open(server.port);
    for (const platform of PLATFORMS) {
      const { body } = await connection.ask(graphqlRequest(userToken(MODEL), loginBody(platform)));
      if (body.includes('"errors"')) throw new Error(body);
    }
    connection.close();
  } finally {
    await server.stop();
  }
}

/**
 * @param {Database.Database} database
 * @param {string} table
 * @param {number} count
 * @param {Record<string, string>} own columns that differ, as expressions of `n`; the others are the model's.
 * @param {string} model
 * @param {string} who
 */
function repeat(database, table, count, own, model, who) {
  const names = database
    .prepare(`SELECT name FROM pragma_table_info(?) WHERE name <> 'id'`)
    .pluck()
    .all(table)
    .map(String);
  const missing = Object.keys(own).filter((name) => !names.includes(name));
  if (missing.length > 0) throw new Error(`The table ${table} has no ${missing.join(', ')} any more.`);
  database
    .prepare(
      `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${count})
       INSERT INTO ${table} (${names.join(', ')})
       SELECT ${names.map((name) => own[name] ?? `model.${name}`).join(', ')}
       FROM numbers, (SELECT * FROM ${table} WHERE user_id = '${MODEL}' ${model}) AS model WHERE ${who}`,
    )
    .run();
}
