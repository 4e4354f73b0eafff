// The status of 500 users in one query, against the same answer written by hand.
import { logIn, names } from '../client/devices.js';
import { graphqlRequest, httpLoad } from '../client/http.js';
import { API_KEY } from '../client/tokens.js';
import { bottleneckNotes } from '../measure.js';
import { row } from '../rows.js';
import { oneAnswer } from './heartbeat-http.js';

const CONNECTIONS = 10;
const QUERY = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status lastSeenAt reason } }';

/** Logs 500 users in. @returns the request that asks about them. */
export async function questionTo(/** @type {number} */ port) {
  const ids = names('friend', 500);
  await logIn(port, ids);
  return graphqlRequest(API_KEY, JSON.stringify({ query: QUERY, variables: { ids } }));
}

/**
 * @param {number} port
 * @param {import('node:buffer').Buffer} question
 */
export const questions = (port, question) => httpLoad(port, CONNECTIONS, () => question);

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function query500(harness) {
  const ours = await harness.porchlight();
  const question = await questionTo(ours.port);
  const answer = await oneAnswer(ours.port, question);
  const floor = await harness.floor('statuses', { STATE: JSON.stringify(JSON.parse(answer).data.userStatuses) });
  if ((await oneAnswer(floor.port, question)) !== answer) throw new Error('The floor answers something else.');
  const [asked, written] = [await questions(ours.port, question), await questions(floor.port, question)];
  harness.later(() => [asked, written].forEach((load) => load.close()));
  const samples = await harness.measure({
    ours: { load: asked, server: ours },
    floor: { load: written, server: floor },
  });
  return [
    row({
      line: harness.line,
      figure: 'the status of 500 users',
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      aim: { ratio: 2 },
      notes: bottleneckNotes(samples),
    }),
  ];
}
