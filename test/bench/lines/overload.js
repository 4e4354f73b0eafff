// More logins than can be served: as many a second as the server does at its best, twice, and five times as many, each
// of a new user and none waiting for the others, while devices that are there already beat on. The floor is the same
// server that sheds load only when it is a minute behind.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { logIn, names } from '../client/devices.js';
import { graphqlRequest, httpLoad } from '../client/http.js';
import { openLoop } from '../client/open-loop.js';
import { loginBody, userToken } from '../client/tokens.js';
import { measured } from '../measure.js';
import { number } from '../report.js';
import { percentile, row } from '../rows.js';
import { bound } from '../servers/lifetime.js';

const TIMES = [1, 2, 5];
/** More than are served within the lag that is allowed, so that who is served late is refused, and not kept from asking. */
const CONNECTIONS = 10_000;
/** When each waits for the one before. */
const AT_ONCE = 50;
const DEVICES = 100;
const BEATS_PER_SECOND = 500;

/** @typedef {{ perSecond: number, refused: number, median: number, slow: number, beat: number, lost: number }} Seen */

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function overload(harness) {
  const sides = { ours: await side(harness, {}), floor: await side(harness, { PORCHLIGHT_MAX_LAG: '60s' }) };
  const inTurn = /** @type {const} */ (['ours', 'floor']);
  const capacity = { ours: /** @type {number[]} */ ([]), floor: /** @type {number[]} */ ([]) };
  const seen = TIMES.map((times) => ({
    times,
    ours: /** @type {Seen[]} */ ([]),
    floor: /** @type {Seen[]} */ ([]),
  }));
  for (let round = 0; round < harness.rounds; round++) {
    for (const name of inTurn) {
      const best = await sides[name].atBest();
      capacity[name].push(best);
      for (const at of seen) at[name].push(await sides[name].crowd(best * at.times));
    }
  }
  const { line } = harness;
  const rows = [
    row({ line, figure: `logins, ${AT_ONCE} at a time`, unit: '/s', ours: capacity.ours, floor: capacity.floor }),
  ];
  for (const { times, ours, floor } of seen) {
    const figures = (
      /** @type {string} */ figure,
      /** @type {string} */ unit,
      /** @type {(seen: Seen, round: number, best: readonly number[]) => number} */ of,
      /** @type {import('../rows.js').Aim} */ aim = {},
    ) =>
      row({
        line,
        figure: `${figure} at ${times} ×`,
        unit,
        ours: ours.map((one, round) => of(one, round, capacity.ours)),
        floor: floor.map((one, round) => of(one, round, capacity.floor)),
        ...(Object.keys(aim).length === 0 ? {} : { aim }),
        notes: ['floor: never refuses'],
      });
    rows.push(
      figures('logins done', '% of these', ({ perSecond }, round, best) => (100 * perSecond) / (best[round] ?? 0), {
        atLeast: 80,
      }),
      figures('refused', '%', ({ refused }) => refused),
      figures('a login, median', 'ms', ({ median }) => median),
      figures('a login, p99', 'ms', ({ slow }) => slow),
      figures('a heartbeat, p99', 'ms', ({ beat }) => beat, { atMost: 1_000 }),
      figures('heartbeats lost', '', ({ lost }) => lost, { atMost: 0 }),
    );
  }
  return rows;
}

/**
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {Record<string, string>} env
 */
async function side(harness, env) {
  const server = await harness.porchlight({ env: { PORCHLIGHT_RATE_PER_ADDRESS: '0', ...env } });
  const beats = await beating(harness, server.port);
  const { forMs } = harness.times;
  // It takes a second until a server is as far behind as it will be.
  const times = { warmMs: harness.quick ? 200 : 2_000, forMs };
  const body = loginBody();
  let user = 0;
  const mint = () => graphqlRequest(userToken(`crowd-${user++}`), body);
  return {
    /** Logins a second when each waits for the one before. */
    atBest: async () => {
      const load = await httpLoad(server.port, AT_ONCE, mint);
      const { perSecond } = await measured(load, server.pid, times);
      load.close();
      return perSecond;
    },
    /**
     * @param {number} perSecond
     * @returns {Promise<Seen>}
     */
    crowd: async (perSecond) => {
      // Beforehand: to make a token takes as long as to refuse one.
      const requests = Array.from({ length: Math.ceil((perSecond * (times.warmMs + forMs)) / 1_000) }, mint);
      // Those that are silent for long are closed.
      const load = await openLoop(server.port, { connections: harness.quick ? 1_000 : CONNECTIONS });
      await beats({ start: true });
      const { done, refused, took } = await load.during({ perSecond, ...times }, () => requests.pop() ?? mint());
      const beaten = await beats({ stop: true });
      load.close();
      harness.say(`${number(perSecond)} a second asked, ${number((done / forMs) * 1_000)} done, ${refused} refused`);
      return {
        perSecond: (done / forMs) * 1_000,
        refused: (100 * refused) / (done + refused),
        median: percentile(took, 0.5),
        slow: percentile(took, 0.99),
        beat: percentile(beaten.took, 0.99),
        lost: beaten.lost,
      };
    },
  };
}

/**
 * Devices in a process of their own. @returns the function that sends it commands.
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {number} port
 */
async function beating(harness, port) {
  const tokens = await logIn(port, names('device', DEVICES));
  const child = fork(fileURLToPath(new URL('../client/beating.js', import.meta.url)));
  const { stop } = bound(child);
  harness.later(() => void stop('SIGKILL'));
  const command = async (/** @type {object} */ what) => {
    const answered = once(child, 'message');
    child.send(what);
    const [answer] = await answered;
    return answer;
  };
  await command({ open: { port, tokens, perSecond: BEATS_PER_SECOND } });
  return command;
}
