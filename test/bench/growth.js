// The same figures with more and more sessions, and more and more watchers: nothing but memory may grow with them.
import { fill, sessionsOf } from './database.js';
import { changesTo } from './lines/fanout.js';
import { httpBeats } from './lines/heartbeat-http.js';
import { beatsOver } from './lines/heartbeat-ws.js';
import { logins } from './lines/login.js';
import { settled } from './lines/memory.js';
import { questions, questionTo } from './lines/query500.js';
import { measured } from './measure.js';
import { number, table } from './report.js';
import { spread } from './rows.js';
import { BenchHarness } from './bench-harness.js';

/** @typedef {{ users: number, watchers: number }} Size `watchers` watch one user. */
/** @typedef {{ sessions: number, watchers: number, figures: Record<string, number> }} Measured */

const MANY = {
  users: [1_000, 10_000, 100_000, 1_000_000],
  watchers: [100, 1_000, 10_000],
};
const FEW = { users: [1_000, 10_000], watchers: [100, 1_000] };

/**
 * @param {ConstructorParameters<typeof BenchHarness>[1]} settings
 * @returns {Promise<Measured[]>}
 */
export async function growth(settings) {
  /** @type {Measured[]} */
  const found = [];
  for (const size of sizes(settings.quick ? FEW : MANY)) {
    const harness = new BenchHarness(`growth-${size.users}-${size.watchers}`, settings);
    const figures = await harness.run(() => figuresOf(harness, size));
    found.push({ sessions: sessionsOf(size.users), watchers: size.watchers, figures });
  }
  return found;
}

/**
 * One of them grows while the other is as small as it gets.
 * @param {{ users: readonly number[], watchers: readonly number[] }} all
 * @returns {Size[]}
 */
function sizes({ users: [fewUsers = 0, ...moreUsers], watchers: [fewWatchers = 0, ...moreWatchers] }) {
  return [
    ...[fewUsers, ...moreUsers].map((users) => ({ users, watchers: fewWatchers })),
    ...moreWatchers.map((watchers) => ({ users: fewUsers, watchers })),
  ];
}

/**
 * @param {BenchHarness} harness
 * @param {Size} size
 */
async function figuresOf(harness, { users, watchers }) {
  harness.say(`${users.toLocaleString('en')} users, ${watchers.toLocaleString('en')} watchers`);
  const directory = harness.directory();
  await fill(harness.settings.dist, directory, users);
  const server = await harness.porchlight({ directory });
  const { port } = server;
  const changes = await changesTo(harness, port, watchers);
  /** @type {Record<string, number>} */
  const figures = { 'RSS, MiB': (await settled(server)) / 1024 / 1024, 'ready, ms': server.readyMs };

  const cost = async (/** @type {import('./measure.js').Load & { close?: () => void }} */ load, each = () => {}) => {
    const samples = [];
    if (!harness.quick) await measured(load, server.pid, harness.times);
    for (let round = 0; round < harness.rounds; round++) {
      samples.push(await measured(load, server.pid, harness.times));
      each();
    }
    load.close?.();
    return spread(samples.map(({ cpuUs }) => cpuUs)).median;
  };
  figures['beat, socket, µs'] = await cost(await beatsOver(harness, port));
  figures['beat, HTTP, µs'] = await cost(await httpBeats(port));
  figures['login, µs'] = await cost(await logins(port));
  figures['500 statuses, µs'] = await cost(await questions(port, await questionTo(port)));
  /** @type {number[]} */
  const last = [];
  figures['delivery, µs'] = await cost(changes, () => last.push(spread(changes.took).median));
  figures['last received, ms'] = spread(last).median;
  await server.ask('watchStalls');
  const beats = await httpBeats(port);
  await measured(beats, server.pid, harness.times);
  beats.close();
  figures['longest stall, ms'] = (await server.ask('stallsSeen')).max;
  return figures;
}

/** @param {readonly Measured[]} found */
export function growthTable(found) {
  const names = Object.keys(found[0]?.figures ?? {});
  const rows = found.map(({ sessions, watchers, figures }) => [
    sessions.toLocaleString('en'),
    watchers.toLocaleString('en'),
    ...names.map((name) => number(figures[name] ?? Number.NaN)),
  ]);
  return [
    table([['sessions', 'watchers of one', ...names], ...rows], 0),
    '  µs are of CPU, in all threads of the server; a stall is seen under heartbeats over HTTP.',
  ].join('\n');
}
