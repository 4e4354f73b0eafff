// The same work done by others: what a presence server costs that one would write, or take, instead.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as socketIo from './client/socket-io.js';
import { changesTo } from './lines/fanout.js';
import { beatsOver } from './lines/heartbeat-ws.js';
import { logins } from './lines/login.js';
import { clients, perClient } from './lines/memory.js';
import { measured } from './measure.js';
import { number, table } from './report.js';
import { spread } from './rows.js';
import { Stage } from './stage.js';

const FOLDER = fileURLToPath(new URL('./peers', import.meta.url));

/** @typedef {import('./stage.js').Server} Server */
/** @typedef {import('./measure.js').Load & { took?: number[] }} Load */
/**
 * @typedef {object} Peer
 * @property {(stage: Stage) => Promise<Server>} start
 * @property {(stage: Stage, server: Server) => Promise<Load>} logins
 * @property {(stage: Stage, server: Server) => Promise<Load>} beats
 * @property {(stage: Stage, server: Server, count: number) => Promise<Load>} changes
 * @property {typeof clients} clients
 */

/** What speaks our API is asked in our words. */
const graphql = {
  logins: (/** @type {Stage} */ _stage, /** @type {Server} */ { port }) => logins(port),
  beats: beatsOver,
  changes: changesTo,
  clients,
};

/** @type {Readonly<Record<string, Peer>>} */
const PEERS = {
  porchlight: { start: (stage) => stage.porchlight(), ...graphql },
  'naive yoga': { start: (stage) => stage.peer('naive'), ...graphql },
  'socket.io': {
    start: (stage) => stage.peer('socket-io'),
    ...socketIo,
    logins: async (_stage, { port }) => socketIo.logins(port),
  },
};

/** @typedef {Record<string, Record<string, number>>} Found by figure, then by peer. */

/**
 * @param {ConstructorParameters<typeof Stage>[1]} settings
 * @returns {Promise<Found>}
 */
export async function peers(settings) {
  install();
  const watchers = settings.quick ? 200 : 1_000;
  const run = (/** @type {string} */ name, /** @type {(stage: Stage) => Promise<Found>} */ work) =>
    new Stage(`peers-${name}`, settings).run(work);
  return {
    ...(await run('login', (stage) => costs(stage, 'a login, µs CPU', (peer, server) => peer.logins(stage, server)))),
    ...(await run('beat', (stage) =>
      costs(stage, 'a heartbeat over a socket, µs CPU', (peer, server) => peer.beats(stage, server)),
    )),
    ...(await run('fanout', (stage) =>
      costs(stage, `a delivery to ${watchers} watchers, µs CPU`, (peer, server) =>
        peer.changes(stage, server, watchers),
      ),
    )),
    ...(await memory(settings)),
  };
}

/** From the registry that npm is set to; nothing is installed for those who do not ask for it. */
function install() {
  if (existsSync(`${FOLDER}/node_modules/socket.io`)) return;
  const { status } = spawnSync('npm', ['install', '--no-package-lock', '--no-audit', '--no-fund', '--prefix', FOLDER], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error('npm could not install the peers.');
}

/**
 * @param {Stage} stage
 * @param {string} figure
 * @param {(peer: Peer, server: Server) => Promise<Load>} prepare
 * @returns {Promise<Found>}
 */
async function costs(stage, figure, prepare) {
  /** @type {{ name: string, server: Server, load: Load, cpuUs: number[], lastMs: number[] }[]} */
  const sides = [];
  for (const [name, peer] of Object.entries(PEERS)) {
    const server = await peer.start(stage);
    sides.push({ name, server, load: await prepare(peer, server), cpuUs: [], lastMs: [] });
  }
  for (let round = stage.quick ? 0 : -1; round < stage.rounds; round++) {
    for (const { server, load, cpuUs, lastMs } of sides) {
      const sample = await measured(load, server.pid, stage.times);
      // The first round is for the compilers.
      if (round < 0) continue;
      cpuUs.push(sample.cpuUs);
      if (load.took !== undefined) lastMs.push(spread(load.took).median);
    }
  }
  stage.say('done');
  /** @type {Found} */
  const found = { [figure]: Object.fromEntries(sides.map(({ name, cpuUs }) => [name, spread(cpuUs).median])) };
  if (sides.every(({ lastMs }) => lastMs.length > 0)) {
    found['the last one told after, ms'] = Object.fromEntries(
      sides.map(({ name, lastMs }) => [name, spread(lastMs).median]),
    );
  }
  return found;
}

/** @param {ConstructorParameters<typeof Stage>[1]} settings */
async function memory(settings) {
  const count = settings.quick ? 250 : 2_000;
  /** @type {Record<string, number>} */
  const kib = {};
  for (const [name, peer] of Object.entries(PEERS)) {
    kib[name] = await new Stage('peers-memory', settings).run(async (stage) =>
      perClient(stage, await peer.start(stage), count, peer.clients),
    );
  }
  return { 'a client watching ten, KiB': kib };
}

/** @param {Found} found */
export function peersTable(found) {
  const names = Object.keys(PEERS);
  const rows = Object.entries(found).map(([figure, by]) => [
    figure,
    ...names.map((name) => number(by[name] ?? Number.NaN)),
  ]);
  return table([['', ...names], ...rows]);
}
