// A million users who all time out in the same second: how late the last one is, beside the time SQLite alone takes to
// write what they change, and how the others fare meanwhile.
import { graphqlRequest, HttpConnection } from '../client/http.js';
import { paced } from '../client/paced.js';
import { API_KEY } from '../client/tokens.js';
import { fill, sessionsOf, userId } from '../database.js';
import { sleep } from '../os.js';
import { rawTransitions } from '../raw-transitions.js';
import { percentile, row } from '../rows.js';

const COUNT = graphqlRequest(API_KEY, JSON.stringify({ query: '{ stats { usersOnline } }' }));
const CURSOR = graphqlRequest(API_KEY, JSON.stringify({ query: '{ latestCursor }' }));
const ASK_EVERY_MS = 50;
const WITHIN_MS = 180_000;

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function due(harness) {
  const users = harness.quick ? 5_000 : 1_000_000;
  // After a restart every session has one full timeout, from the same moment on.
  const timeoutMs = harness.quick ? 4_000 : 30_000;
  const directory = harness.directory();
  harness.say(`making ${users.toLocaleString('en')} users`);
  await fill(harness.settings.dist, directory, users, timeoutMs);
  harness.say('writing what they will write, raw');
  const floor = rawTransitions(directory, harness.directory());
  const server = await harness.porchlight({ directory });
  const connection = await HttpConnection.open(server.port);
  const ask = async (/** @type {import('node:buffer').Buffer} */ request) =>
    JSON.parse((await connection.ask(request)).body).data;
  const { latestCursor } = await ask(CURSOR);
  if ((await ask(COUNT)).stats.usersOnline !== users) throw new Error('Some timed out before it could be watched.');

  let turn = 0;
  const others = await paced(server.port, {
    connections: 50,
    perSecond: 200,
    next: () => question(userId((turn++ * 7_919) % users)),
  });
  others.start();
  const began = await untilFewer(ask, users);
  others.took.length = 0;
  await server.ask('watchStalls');
  let ended = began;
  await harness.profiled(server, async () => {
    ended = await Promise.race([untilFewer(ask, 1), others.failed]);
  });
  const stalls = await server.ask('stallsSeen');
  others.stop();
  const firstAt = Date.parse((await ask(firstEvent(latestCursor))).events.nodes[0].occurredAt);
  connection.close();
  const { line } = harness;
  const of = sessionsOf(users).toLocaleString('en');
  return [
    row({
      line,
      figure: `the last of ${of} is late by`,
      unit: 'ms',
      ours: [ended - firstAt],
      floor: [floor],
      aim: { atMost: 2_000 },
    }),
    row({
      line,
      figure: 'others meanwhile, p99',
      unit: 'ms',
      ours: [percentile(others.took, 0.99)],
      aim: { atMost: 100 },
    }),
    row({
      line,
      figure: 'longest stall meanwhile',
      unit: 'ms',
      ours: [stalls.max],
      notes: others.took.length < 20 ? [`over within ${(ended - began).toFixed(0)} ms`] : [],
    }),
  ];
}

/**
 * Waits until fewer than `count` are ONLINE. @returns when it was seen, by the wall clock that the server started with.
 * @param {(request: import('node:buffer').Buffer) => Promise<any>} ask
 * @param {number} count
 */
async function untilFewer(ask, count) {
  const giveUpAt = Date.now() + WITHIN_MS;
  while ((await ask(COUNT)).stats.usersOnline >= count) {
    if (Date.now() > giveUpAt) throw new Error('They are not all handled.');
    await sleep(ASK_EVERY_MS);
  }
  return Date.now();
}

/** @param {string} id */
const question = (id) =>
  graphqlRequest(
    API_KEY,
    JSON.stringify({ query: 'query ($id: ID!) { userStatus(userId: $id) { status } }', variables: { id } }),
  );

/** @param {string} after */
const firstEvent = (after) =>
  graphqlRequest(
    API_KEY,
    JSON.stringify({
      query: 'query ($after: Cursor) { events(after: $after, first: 1) { nodes { occurredAt } } }',
      variables: { after },
    }),
  );
