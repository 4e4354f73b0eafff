// A login: JWT verified, policy applied, on disk (FULL) before it is answered, 50 under way, each of another user.
import { graphqlRequest, httpLoad } from '../client/http.js';
import { loginBody, userToken } from '../client/tokens.js';
import { bottleneckNotes } from '../measure.js';
import { row } from '../rows.js';
import { oneAnswer } from './heartbeat-http.js';

const CONNECTIONS = 50;
/** More than are ever answered in a second: who runs out has nothing left to measure with. */
const PER_SECOND = 20_000;

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function login(harness) {
  const ours = await harness.porchlight();
  const body = loginBody();
  let minted = 0;
  const mint = () => graphqlRequest(userToken(`user-${String(minted++).padStart(7, '0')}`), body);
  const floor = await harness.floor('json', { ANSWER: await oneAnswer(ours.port, mint()) });
  /** @type {import('node:buffer').Buffer[]} */
  let requests = [];
  const logins = await httpLoad(ours.port, CONNECTIONS, () => requests.pop() ?? null);
  const answers = await httpLoad(floor.port, CONNECTIONS, () => requests.pop() ?? null);
  harness.later(() => [logins, answers].forEach((load) => load.close()));
  const { warmMs, forMs } = harness.times;
  const fresh = () => {
    requests = Array.from({ length: (PER_SECOND * (warmMs + forMs)) / 1_000 }, mint);
  };
  const samples = await harness.measure({
    ours: { load: logins, server: ours, before: fresh },
    floor: { load: answers, server: floor, before: fresh },
  });
  return [
    row({
      line: harness.line,
      figure: 'a login, on disk',
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      aim: { ratio: 8, atMost: 185 },
      notes: bottleneckNotes(samples),
    }),
  ];
}

/**
 * Logins of ever new users, whose tokens are made as they are needed.
 * @param {number} port
 */
export function logins(port) {
  const body = loginBody();
  let user = 0;
  return httpLoad(port, CONNECTIONS, () => graphqlRequest(userToken(`new-${user++}`), body));
}
