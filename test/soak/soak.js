#!/usr/bin/env node
// Mixes faults, load and attacks at random against a server of its own for a given time, and compares
// everything that any client receives with the promises of Porchlight. Exits with 1 when one is broken.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { keepBuild } from '../bench/servers/process.js';
import { planOf } from './plan.js';
import { run } from './run.js';
import { summary, writeReport } from './summary.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const HELP = `npm run soak -- [options]
  --minutes N     how long, before all fall quiet and are compared (60)
  --seed N        the same faults at the same times, and the same choices of all clients (default: a new one)
  --users N       users with devices (2000; 300 in a run of less than five minutes)
  --plan          only prints what would be done to the server, and when
  --dist <path>   another build of Porchlight, beside whose directory node_modules/ and drizzle/ are found
`;
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string' },
    users: { type: 'string' },
    plan: { type: 'boolean', default: false },
    dist: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

/** @param {string} name @param {string} value @param {number} least */
function number(name, value, least) {
  const found = Number(value);
  if (!Number.isFinite(found) || found < least) throw new Error(`--${name} must be ${least} or more.\n${HELP}`);
  return found;
}

async function main() {
  if (values.help) return void process.stdout.write(HELP);
  if (process.platform !== 'linux') throw new Error('The soak reads /proc: it needs Linux.');
  const minutes = number('minutes', values.minutes, 0.1);
  const seed = Math.floor(number('seed', values.seed ?? String(Math.floor(Math.random() * 2 ** 31)), 0));
  const users = Math.floor(number('users', values.users ?? (minutes < 5 ? '300' : '2000'), 10));
  if (values.plan) {
    for (const step of planOf(seed, minutes)) process.stdout.write(`${JSON.stringify(step)}\n`);
    return;
  }
  process.stderr.write(`A soak of ${minutes} minutes with ${users} users, seed ${seed}\n`);
  const dist = keepBuild(resolve(root, values.dist ?? 'dist'));
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-soak-'));
  try {
    const found = await run({ dist, directory, seed, minutes, users });
    process.stdout.write(`${summary(found)}\n`);
    writeReport(resolve(root, 'reports/soak.json'), found);
    process.exitCode = found.violated > 0 ? 1 : 0;
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

await main().catch((error) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = 2;
});
// A timer that is still pending must not keep the process alive.
process.exit();
