// A heartbeat over HTTP keep-alive, against node:http with the same JSON in and out.
import { logIn, names } from '../client/devices.js';
import { graphqlRequest, HttpConnection, httpLoad } from '../client/http.js';
import { HEARTBEAT } from '../client/tokens.js';
import { bottleneckNotes } from '../measure.js';
import { row } from '../rows.js';

const CONNECTIONS = 50;

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function heartbeatHttp(harness) {
  const ours = await harness.porchlight();
  const tokens = await logIn(ours.port, names('device', CONNECTIONS));
  const body = JSON.stringify({ query: HEARTBEAT });
  const requests = tokens.map((token) => graphqlRequest(token, body));
  const next = (/** @type {number} */ connection) => requests[connection] ?? null;
  const floor = await harness.floor('json', { ANSWER: await oneAnswer(ours.port, next(0)) });
  const beats = await httpLoad(ours.port, CONNECTIONS, next);
  const answers = await httpLoad(floor.port, CONNECTIONS, next);
  harness.later(() => [beats, answers].forEach((load) => load.close()));
  const samples = await harness.measure({
    ours: { load: beats, server: ours },
    floor: { load: answers, server: floor },
  });
  return [
    row({
      line: harness.line,
      figure: 'a heartbeat over HTTP',
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      aim: { ratio: 1.5 },
      notes: bottleneckNotes(samples),
    }),
  ];
}

/**
 * @param {number} port
 * @param {import('node:buffer').Buffer | null} request
 */
export async function oneAnswer(port, request) {
  if (request === null) throw new Error('There is nothing to ask.');
  const connection = await HttpConnection.open(port);
  const { status, body } = await connection.ask(request);
  connection.close();
  if (status !== 200 || body.includes('"errors"')) throw new Error(`${status}: ${body}`);
  return body;
}

/**
 * Devices that beat over HTTP.
 * @param {number} port
 */
export async function httpBeats(port) {
  const body = JSON.stringify({ query: HEARTBEAT });
  const requests = (await logIn(port, names('device', CONNECTIONS))).map((token) => graphqlRequest(token, body));
  return httpLoad(port, CONNECTIONS, (connection) => requests[connection] ?? null);
}
