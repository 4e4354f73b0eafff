// Whether the event loop waits for the disk: logins, each of which is on the disk before it is answered, while
// another process keeps the disk busy; against as many heartbeats, which write nothing.
import { Buffer } from 'node:buffer';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { logIn, names } from '../client/devices.js';
import { graphqlRequest } from '../client/http.js';
import { paced } from '../client/paced.js';
import { HEARTBEAT, loginBody, userToken } from '../client/tokens.js';
import { sleep } from '../os.js';
import { percentile, row } from '../rows.js';

const PER_SECOND = 300;
const BLOCK = Buffer.alloc(4 * 1024 * 1024, 1);

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function diskStall(harness) {
  const server = await harness.porchlight();
  const [token = ''] = await logIn(server.port, names('device', 1));
  const beat = graphqlRequest(token, JSON.stringify({ query: HEARTBEAT }));
  const body = loginBody();
  let user = 0;
  const login = () => graphqlRequest(userToken(`user-${user++}`), body);
  const stopWriting = keepBusy(join(harness.directory(), 'busy'));
  await during(harness, server, login);
  const logins = [];
  const beats = [];
  for (let round = 0; round < harness.rounds; round++) {
    logins.push(await during(harness, server, login));
    beats.push(await during(harness, server, () => beat));
  }
  await stopWriting();
  const { line } = harness;
  return [
    row({
      line,
      figure: 'longest stall, logins and a busy disk',
      unit: 'ms',
      ours: logins.map(({ max }) => max),
      floor: beats.map(({ max }) => max),
      aim: { ratio: 2 },
    }),
    row({
      line,
      figure: 'stall of the loop, p99',
      unit: 'ms',
      ours: logins.map(({ p99 }) => p99),
      floor: beats.map(({ p99 }) => p99),
    }),
    row({
      line,
      figure: 'a login meanwhile, p99',
      unit: 'ms',
      ours: logins.map(({ took }) => took),
      floor: beats.map(({ took }) => took),
    }),
  ];
}

/**
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {import('../bench-harness.js').Server} server
 * @param {() => Buffer} next
 */
async function during(harness, server, next) {
  const load = await paced(server.port, { connections: 200, perSecond: PER_SECOND, next });
  load.start();
  await Promise.race([sleep(harness.times.warmMs), load.failed]);
  await server.ask('watchStalls');
  await Promise.race([sleep(harness.times.forMs), load.failed]);
  const { max, p99 } = await server.ask('stallsSeen');
  load.stop();
  return { max, p99, took: percentile(load.took, 0.99) };
}

/**
 * Writes and syncs without a pause, over the same few megabytes.
 * @param {string} path
 */
function keepBusy(path) {
  let busy = true;
  const writing = (async () => {
    const file = await open(path, 'w');
    while (busy) {
      await file.write(BLOCK, 0, BLOCK.length, 0);
      await file.sync();
    }
    await file.close();
  })();
  return async () => {
    busy = false;
    await writing;
  };
}
