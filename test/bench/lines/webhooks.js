// Webhooks: how fast a backlog is delivered to one receiver and to three, what it costs, and whether a receiver that
// hangs slows down the others; and what logins cost, and how soon they are delivered, with three webhooks and with none.
import { performance } from 'node:perf_hooks';
import { graphqlRequest, httpLoad, HttpConnection } from '../client/http.js';
import { paced } from '../client/paced.js';
import { API_KEY, loginBody, userToken } from '../client/tokens.js';
import { bottleneckNotes } from '../measure.js';
import { cpuMs, sleep } from '../os.js';
import { percentile, row } from '../rows.js';
import { logins } from './login.js';

const CONNECTIONS = 50;
const PACE = 500;
/** Longer than an event waits for others to be sent with. */
const GATHERED_MS = 300;
const CREATE = 'mutation ($url: String!) { createWebhook(input: {url: $url}) { webhook { id } } }';
const UPDATE =
  'mutation ($id: ID!, $enabled: Boolean!) { updateWebhook(input: {id: $id, enabled: $enabled}) { secret } }';
const ALLOW = { PORCHLIGHT_WEBHOOK_ALLOW_HTTP: 'true', PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: '127.0.0.0/8' };

/** @typedef {{ perSecond: number[], cpuUs: number[], tookMs: number[], stallMs: number[] }} Delivered */

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function webhooks(harness) {
  const { line } = harness;
  const [recent, old] = harness.quick ? [1_000, 10_000] : [8_000, 50_000];
  const sides = {
    one: await delivering(harness, ['/a'], recent),
    two: await delivering(harness, ['/a', '/b'], recent),
    three: await delivering(harness, ['/a', '/b', '/c'], recent),
    dead: await delivering(harness, ['/a', '/b', '/dead'], recent),
    old: await delivering(harness, ['/a'], old),
  };
  const names = /** @type {const} */ (['one', 'two', 'three', 'dead', 'old']);
  const nothing = () => names.map((name) => [name, { perSecond: [], cpuUs: [], tookMs: [], stallMs: [] }]);
  /** @type {Record<keyof typeof sides, Delivered>} */
  const found = Object.fromEntries(nothing());
  // Once for the compilers; then in turn, so that what else the machine does meets all of them.
  for (let round = harness.quick ? 0 : -1; round < harness.rounds; round++) {
    for (const name of names) {
      const { perSecond, cpuUs, tookMs, stallMs } = await sides[name]();
      if (round < 0) continue;
      found[name].perSecond.push(perSecond);
      found[name].cpuUs.push(cpuUs);
      found[name].tookMs.push(tookMs);
      found[name].stallMs.push(stallMs);
    }
  }
  await harness.clear();
  return [
    row({ line, figure: 'events delivered to one receiver', unit: 'a second', ours: found.one.perSecond }),
    row({ line, figure: 'each', unit: 'µs CPU', ours: found.one.cpuUs }),
    row({
      line,
      figure: `a backlog of ${old.toLocaleString('en')}, from the disk`,
      unit: 'a second',
      ours: found.old.perSecond,
    }),
    row({ line, figure: 'each of that', unit: 'µs CPU', ours: found.old.cpuUs }),
    row({ line, figure: 'longest stall meanwhile', unit: 'ms', ours: found.old.stallMs }),
    row({ line, figure: 'deliveries to three receivers', unit: 'a second', ours: found.three.perSecond }),
    row({ line, figure: 'each of them', unit: 'µs CPU', ours: found.three.cpuUs }),
    row({
      line,
      figure: 'a backlog to two, a third hangs; to two alone',
      unit: 'ms',
      ours: found.dead.tookMs,
      floor: found.two.tookMs,
      aim: { ratio: 1.25 },
    }),
    ...(await besideLogins(harness)),
    await age(harness),
  ];
}

/**
 * A server with a webhook for each path. @returns what delivers a fresh backlog to those that are not dead.
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {readonly string[]} paths
 * @param {number} events so many at a time
 */
async function delivering(harness, paths, events) {
  const { server, hooks, ids, connection } = await withWebhooks(harness, paths);
  const body = loginBody();
  let user = 0;
  /** @type {import('node:buffer').Buffer[]} */
  let requests = [];
  const load = await httpLoad(server.port, CONNECTIONS, () => requests.pop() ?? null);
  harness.later(() => load.close());
  const enable = async (/** @type {boolean} */ enabled) => {
    for (const id of ids) await ask(connection, UPDATE, { id, enabled });
  };
  let written = 0;
  const alive = paths.filter((path) => !path.startsWith('/dead'));
  return async () => {
    await enable(false);
    requests = Array.from({ length: events }, () => graphqlRequest(userToken(`user-${user++}`), body));
    written += events;
    load.start();
    while (load.done < written) await Promise.race([sleep(5), load.failed]);
    await load.stop();
    await sleep(GATHERED_MS);
    await server.ask('watchStalls');
    const cpu = cpuMs(server.pid);
    const began = performance.now();
    await enable(true);
    await Promise.all(alive.map((path) => counted(hooks.port, path, written)));
    const tookMs = performance.now() - began;
    const deliveries = events * alive.length;
    const cpuUs = ((cpuMs(server.pid) - cpu) * 1_000) / deliveries;
    const { max: stallMs } = await server.ask('stallsSeen');
    return { perSecond: (deliveries / tookMs) * 1_000, cpuUs, tookMs, stallMs };
  };
}

/**
 * The same logins on a server with three webhooks, and on one without.
 * @param {import('../bench-harness.js').BenchHarness} harness
 */
async function besideLogins(harness) {
  const { server } = await withWebhooks(harness, ['/a', '/b', '/c']);
  const plain = await harness.porchlight();
  const loadWithWebhooks = await logins(server.port);
  const loadWithoutWebhooks = await logins(plain.port);
  harness.later(() => [loadWithWebhooks, loadWithoutWebhooks].forEach((load) => load.close()));
  const samples = await harness.measure({
    ours: { load: loadWithWebhooks, server },
    floor: { load: loadWithoutWebhooks, server: plain },
  });
  await harness.clear();
  const { line } = harness;
  const notes = bottleneckNotes(samples);
  return [
    row({
      line,
      figure: 'a login with three webhooks; none',
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      notes,
    }),
    row({
      line,
      figure: 'time for as many logins, three webhooks; none',
      unit: 'ms each',
      ours: samples.ours.map(({ perSecond }) => 1_000 / perSecond),
      floor: samples.floor.map(({ perSecond }) => 1_000 / perSecond),
      notes,
    }),
  ];
}

/**
 * How old the oldest event of a request is when it arrives, at a steady pace that fills no batch.
 * @param {import('../bench-harness.js').BenchHarness} harness
 */
async function age(harness) {
  const { server, hooks } = await withWebhooks(harness, ['/a']);
  const body = loginBody();
  let user = 0;
  const load = await paced(server.port, {
    connections: CONNECTIONS,
    perSecond: PACE,
    next: () => graphqlRequest(userToken(`user-${user++}`), body),
  });
  load.start();
  await Promise.race([sleep(harness.times.warmMs), load.failed]);
  await counted(hooks.port, '/a', 0);
  await Promise.race([sleep(harness.times.forMs * 2), load.failed]);
  const { ages } = await counted(hooks.port, '/a', 0);
  load.stop();
  return row({
    line: harness.line,
    figure: `delivered after, p99, at ${PACE} a second`,
    unit: 'ms',
    ours: [percentile(ages, 0.99)],
    aim: { atMost: 400 },
    notes: load.missed > 0 ? [`${load.missed} logins found no free connection`] : [],
  });
}

/**
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {readonly string[]} paths
 */
async function withWebhooks(harness, paths) {
  const hooks = await harness.floor('hooks', {});
  const server = await harness.porchlight({ env: ALLOW });
  const connection = await HttpConnection.open(server.port);
  harness.later(() => connection.close());
  /** @type {string[]} */
  const ids = [];
  for (const path of paths) {
    const made = await ask(connection, CREATE, { url: `http://127.0.0.1:${hooks.port}${path}` });
    ids.push(made.createWebhook.webhook.id);
  }
  return { server, hooks, ids, connection };
}

/**
 * @param {HttpConnection} connection
 * @param {string} query
 * @param {object} variables
 */
async function ask(connection, query, variables) {
  const { body } = await connection.ask(graphqlRequest(API_KEY, JSON.stringify({ query, variables })));
  const { data, errors } = JSON.parse(body);
  if (errors !== undefined) throw new Error(body);
  return data;
}

/**
 * @param {number} port
 * @param {string} path
 * @param {number} count
 * @returns {Promise<{ ages: number[] }>} as soon as so many events have come there.
 */
async function counted(port, path, count) {
  const response = await fetch(`http://127.0.0.1:${port}${path}?count=${count}`);
  return JSON.parse(await response.text());
}
