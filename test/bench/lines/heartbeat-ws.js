// A heartbeat over a socket: 100 sockets with 8 under way on each, against ws answering as many bytes.
import { logIn, names } from '../client/devices.js';
import { LONGEST_COMPLETE, ring, socketLoad } from '../client/socket-load.js';
import { HEARTBEAT } from '../client/tokens.js';
import { openMany, openProtocol, RawSocket, textFrame } from '../client/web-socket.js';
import { bottleneckNotes } from '../measure.js';
import { row } from '../rows.js';

const SOCKETS = 100;
const IN_FLIGHT = 8;

/** @param {string} id */
const beat = (id) => JSON.stringify({ id, type: 'subscribe', payload: { query: HEARTBEAT } });

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function heartbeatWs(harness) {
  const ours = await harness.porchlight();
  const beats = await beatsOver(harness, ours.port);
  const floor = await harness.floor('echo', { ANSWER: beats.answer });
  const echoes = await openMany(SOCKETS, () => RawSocket.open(floor.port));
  harness.later(() => echoes.forEach((socket) => socket.close()));
  const echoed = socketLoad(echoes, ring(beat), IN_FLIGHT, () => true);
  const samples = await harness.measure({
    ours: { load: beats, server: ours },
    floor: { load: echoed, server: floor },
  });
  return [
    row({
      line: harness.line,
      figure: 'a heartbeat over a socket',
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      aim: { ratio: 1.5 },
      notes: bottleneckNotes(samples),
    }),
  ];
}

/**
 * Devices that beat over their sockets, and what one is answered.
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {number} port
 */
export async function beatsOver(harness, port) {
  const tokens = await logIn(port, names('device', SOCKETS));
  const sockets = await openMany(SOCKETS, (index) => openProtocol(port, tokens[index] ?? ''));
  harness.later(() => sockets.forEach((socket) => socket.close()));
  const answer = await oneAnswer(sockets[0]);
  return Object.assign(socketLoad(sockets, ring(beat), IN_FLIGHT, isComplete), { answer });
}

/**
 * One heartbeat, until it is complete: what it was answered may come together with the completion, or before it.
 * @param {RawSocket | undefined} socket
 * @returns {Promise<string>}
 */
function oneAnswer(socket) {
  if (socket === undefined) throw new Error('There is no socket.');
  return new Promise((resolve, reject) => {
    let answer = '';
    socket.onFailure = reject;
    socket.onMessage = (bytes, start, end) => {
      if (!isComplete(start, end)) answer = bytes.toString('utf8', start, end);
      else if (answer.includes('heartbeatIntervalMs')) resolve(answer);
      else reject(new Error(`No heartbeat: ${answer}`));
    };
    socket.send(textFrame(beat('001')));
  });
}

/**
 * @param {number} start
 * @param {number} end
 */
const isComplete = (start, end) => end - start < LONGEST_COMPLETE;
