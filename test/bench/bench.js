#!/usr/bin/env node
// Measures what Porchlight's work costs, beside the least that it could cost on the same machine in the same minute.
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compareBuilds, comparisonTable } from './compare-builds.js';
import { growth, growthTable } from './growth.js';
import { LINES } from './lines.js';
import { peers, peersTable } from './peers.js';
import { profileSummary } from './profile.js';
import { rowsTable, writeJson } from './report.js';
import { keepBuild } from './servers/process.js';
import { BenchHarness } from './bench-harness.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const HELP = `npm run bench -- [options]
  --only a,b      only these lines: ${Object.keys(LINES).join(', ')}
  --rounds N      rounds of each line, ours and floor in turn (5)
  --quick         one short round of everything, smaller, under a minute: to see that it runs
  --growth        instead: the same figures at 1,000 to 1,000,000 users, and 100 to 10,000 watchers
  --peers         instead: the same work done by others: a naive yoga server, socket.io and soketi (installed from
                  npm now), mosquitto and ejabberd (where Debian's packages of them are installed)
  --profile       runs our server with --cpu-prof, into reports/profiles/, and names where its time goes
  --dist <path>   another build of Porchlight, beside whose directory node_modules/ and drizzle/ are found
  --against <path>  also measures this build, in turns with the other one (as many turns as --rounds), and prints ratios
`;
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    dist: { type: 'string' },
    against: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

/** @returns {readonly string[]} */
function chosen() {
  const names = values.only?.split(',') ?? Object.keys(LINES);
  const unknown = names.filter((name) => !Object.hasOwn(LINES, name));
  if (unknown.length > 0) throw new Error(`No such line: ${unknown.join(', ')}.\n${HELP}`);
  return names;
}

async function main() {
  if (values.help) return void process.stdout.write(HELP);
  if (process.platform !== 'linux') throw new Error('The bench reads /proc: it needs Linux.');
  const names = chosen();
  const profileInto = values.profile ? resolve(root, 'reports/profiles') : null;
  if (profileInto !== null) rmSync(profileInto, { recursive: true, force: true });
  const rounds = values.rounds === undefined ? (values.quick ? 1 : 5) : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds must be 1 or more.`);
  const settings = { dist: keepBuild(resolve(root, values.dist ?? 'dist')), quick: values.quick, rounds, profileInto };
  const remark = values.quick ? '  A quick run shows that the bench runs; what it measured says little.\n' : '';
  if (values.growth) {
    const found = await growth(settings);
    process.stdout.write(`${growthTable(found)}\n${remark}`);
    return writeJson(resolve(root, 'reports/bench-growth.json'), { quick: values.quick, rounds, growth: found });
  }
  if (values.peers) {
    const found = await peers(settings);
    process.stdout.write(`${peersTable(found)}\n${remark}`);
    process.exitCode = found.failed.length > 0 ? 1 : 0;
    return writeJson(resolve(root, 'reports/bench-peers.json'), { quick: values.quick, rounds, ...found });
  }
  if (values.against !== undefined) {
    const found = await compareBuilds(names, settings, keepBuild(resolve(root, values.against)));
    process.stdout.write(`${comparisonTable(found.rows)}\n${remark}`);
    process.exitCode = found.failed.length > 0 ? 1 : 0;
    return writeJson(resolve(root, 'reports/bench-against.json'), { quick: values.quick, rounds, ...found });
  }
  /** @type {import('./rows.js').Row[]} */
  const rows = [];
  /** @type {string[]} */
  const failed = [];
  for (const name of names) {
    const began = performance.now();
    try {
      rows.push(
        ...(await new BenchHarness(name, settings).run((harness) => LINES[name]?.(harness) ?? Promise.resolve([]))),
      );
      process.stderr.write(`${name}: ${((performance.now() - began) / 1_000).toFixed(0)} s\n`);
    } catch (error) {
      failed.push(name);
      process.stderr.write(`${name} failed: ${error instanceof Error ? error.stack : error}\n`);
    }
  }
  process.stdout.write(`${rowsTable(rows)}\n`);
  process.stdout.write(remark);
  if (profileInto !== null) process.stdout.write(`\n${profileSummary(profileInto)}\n`);
  writeJson(resolve(root, 'reports/bench.json'), { quick: values.quick, rounds, rows, failed });
  process.exitCode = failed.length > 0 ? 1 : 0;
}

await main().catch((error) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 2;
});
// What hung in a line that was given up must not keep the process.
process.exit();
