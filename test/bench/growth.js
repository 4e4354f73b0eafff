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
import { Stage } from './stage.js';

/** @typedef {{ size: string, figures: Record<string, number> }} Column */

/**
 * @param {ConstructorParameters<typeof Stage>[1]} settings
 * @returns {Promise<{ sessions: Column[], watchers: Column[] }>}
 */
export async function growth(settings) {
  const users = settings.quick ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000];
  const watchers = settings.quick ? [100, 1_000] : [100, 1_000, 10_000];
  /** @type {Column[]} */
  const bySessions = [];
  for (const count of users) {
    const figures = await new Stage(`growth-${count}`, settings).run((stage) => withUsers(stage, count));
    bySessions.push({ size: sessionsOf(count).toLocaleString('en'), figures });
  }
  /** @type {Column[]} */
  const byWatchers = [];
  for (const count of watchers) {
    const figures = await new Stage(`growth-watchers-${count}`, settings).run((stage) => toWatchers(stage, count));
    byWatchers.push({ size: count.toLocaleString('en'), figures });
  }
  return { sessions: bySessions, watchers: byWatchers };
}

/**
 * @param {Stage} stage
 * @param {number} users
 */
async function withUsers(stage, users) {
  stage.say(`making ${users.toLocaleString('en')} users`);
  const directory = stage.directory();
  await fill(stage.settings.dist, directory, users);
  const server = await stage.porchlight({ directory });
  /** @type {Record<string, number>} */
  const figures = { 'ready after a restart, ms': server.readyMs };
  figures['RSS, MiB'] = (await settled(server)) / 1024 / 1024;
  const cost = async (/** @type {import('./measure.js').Load & { close?: () => void }} */ load) => {
    const samples = [];
    await measured(load, server.pid, stage.times);
    for (let round = 0; round < stage.rounds; round++) samples.push(await measured(load, server.pid, stage.times));
    load.close?.();
    return spread(samples.map(({ cpuUs }) => cpuUs)).median;
  };
  figures['a heartbeat over a socket, µs CPU'] = await cost(await beatsOver(stage, server.port));
  figures['a heartbeat over HTTP, µs CPU'] = await cost(await httpBeats(server.port));
  figures['a login, µs CPU'] = await cost(await logins(server.port));
  figures['the status of 500 users, µs CPU'] = await cost(await questions(server.port, await questionTo(server.port)));
  await server.ask('watchStalls');
  const beats = await httpBeats(server.port);
  await measured(beats, server.pid, stage.times);
  beats.close();
  figures['longest stall under heartbeats, ms'] = (await server.ask('stallsSeen')).max;
  return figures;
}

/**
 * @param {Stage} stage
 * @param {number} count
 */
async function toWatchers(stage, count) {
  const server = await stage.porchlight();
  const changes = await changesTo(stage, server.port, count);
  await measured(changes, server.pid, stage.times);
  const costs = [];
  const last = [];
  for (let round = 0; round < stage.rounds; round++) {
    costs.push((await measured(changes, server.pid, stage.times)).cpuUs);
    last.push(spread(changes.took).median);
  }
  return { 'a delivery, µs CPU': spread(costs).median, 'the last one told after, ms': spread(last).median };
}

/** @param {{ sessions: Column[], watchers: Column[] }} found */
export function growthTable({ sessions, watchers }) {
  return [sideBySide('sessions', sessions), sideBySide('watchers of one user', watchers)].join('\n\n');
}

/**
 * @param {string} what
 * @param {readonly Column[]} columns
 */
function sideBySide(what, columns) {
  const figures = Object.keys(columns[0]?.figures ?? {});
  const rows = figures.map((figure) => [
    figure,
    ...columns.map((column) => number(column.figures[figure] ?? Number.NaN)),
  ]);
  return table([[what, ...columns.map(({ size }) => size)], ...rows]);
}
