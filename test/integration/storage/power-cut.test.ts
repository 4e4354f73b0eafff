/**
 * A power failure at any moment: a copy of the files, made while their server is stopped during its work, opens, is
 * consistent, and has every change acknowledged by then. A copy with a torn last write lacks only that write.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { diagnoseDatabase } from '../../../src/storage/sqlite/offline/doctor/doctor.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';
import { expectConsistentStore, type Acknowledged } from './support/verify-store.ts';

const newDirectory = temporaryDirectories();
const CUTS = Number(process.env.PORCHLIGHT_POWER_CUTS ?? 6);
const TORN_OF_EACH = 2;

interface Copy {
  readonly path: string;
  readonly acknowledged: readonly Acknowledged[];
}

/** Does not copy the -shm file, which does not survive a power failure. */
const copyFiles = (path: string): string => {
  const copy = join(newDirectory(), 'presence.db');
  for (const end of ['', '-wal']) copyFileSync(`${path}${end}`, `${copy}${end}`);
  return copy;
};

const stopped = (pid: number): boolean => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
};

/**
 * Copies the files at several moments of a server's work.
 * @returns the copies, each with the changes acknowledged by then.
 */
const cutPower = async (cuts: number): Promise<readonly Copy[]> => {
  const path = join(newDirectory(), 'presence.db');
  const script = fileURLToPath(new URL('./support/writing-process.js', import.meta.url));
  const child = spawn(process.execPath, [script, path, '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const acknowledged: Acknowledged[] = [];
  const copies: Copy[] = [];
  let next = 100;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.endsWith('}')) acknowledged.push(JSON.parse(line) as Acknowledged);
    if (acknowledged.length < next || copies.length === cuts) continue;
    next += 100 + Math.floor(Math.random() * 400);
    child.kill('SIGSTOP');
    while (!stopped(child.pid ?? 0)) await new Promise(setImmediate);
    copies.push({ path: copyFiles(path), acknowledged: [...acknowledged] });
    child.kill('SIGCONT');
    if (copies.length === cuts) child.kill('SIGKILL');
  }
  await closed;
  return copies;
};

it(
  `opens the files as of a power failure, consistent and with every acknowledged change (${CUTS} times)`,
  { timeout: 60_000 + CUTS * 10_000 },
  async () => {
    const copies = await cutPower(CUTS);
    expect(copies).toHaveLength(CUTS);
    for (const { path, acknowledged } of copies) {
      for (let torn = 0; torn < TORN_OF_EACH; torn++) {
        const piece = copyFiles(path);
        truncateSync(`${piece}-wal`, Math.floor(Math.random() * statSync(`${piece}-wal`).size));
        expect(diagnoseDatabase(piece, false).findings).toEqual([]);
        const store = await openQuietly(piece);
        await expectConsistentStore(store, []);
        await store.close();
      }
      const store = await openQuietly(path);
      await expectConsistentStore(store, acknowledged);
      await store.close();
    }
  },
);
