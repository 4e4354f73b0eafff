/** `kill -9` under load: every acknowledged change is kept, and the log has no gaps or duplicates. */
import Database from 'better-sqlite3';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { diagnoseDatabase } from '../../../src/storage/sqlite/offline/doctor/doctor.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';
import { expectConsistentStore, type Acknowledged } from './support/verify-store.ts';

const newDirectory = temporaryDirectories();
const ROUNDS = 5;

/**
 * Lets a server write until it has acknowledged `count` changes, then kills it.
 * @returns all acknowledged changes.
 */
const writeAndKill = async (path: string, round: number, count: number): Promise<readonly Acknowledged[]> => {
  const script = fileURLToPath(new URL('./support/writing-process.js', import.meta.url));
  const child = spawn(process.execPath, [script, path, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const acknowledged: Acknowledged[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    // The last line may be incomplete.
    if (line.endsWith('}')) acknowledged.push(JSON.parse(line) as Acknowledged);
    if (acknowledged.length === count) child.kill('SIGKILL');
  }
  await closed;
  expect(child.signalCode).toBe('SIGKILL');
  return acknowledged;
};

it(`keeps every acknowledged change after kill -9, ${ROUNDS} times`, async () => {
  const path = join(newDirectory(), 'presence.db');
  const acknowledged: Acknowledged[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    acknowledged.push(...(await writeAndKill(path, round, 300 * round)));
    expect(diagnoseDatabase(path, false).findings).toEqual([]);
    const store = await openQuietly(path);
    const events = await expectConsistentStore(store, acknowledged);
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

it('rejects a database that another process serves, and opens it after that process is killed', async () => {
  const path = join(newDirectory(), 'presence.db');
  const script = fileURLToPath(new URL('./support/writing-process.js', import.meta.url));
  const child = spawn(process.execPath, [script, path, '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  await once(child.stdout, 'data');
  child.stdout.resume();
  await expect(openQuietly(path)).rejects.toMatchObject({ kind: 'LOCKED' });
  child.kill('SIGKILL');
  await closed;
  await (await openQuietly(path)).close();
});
