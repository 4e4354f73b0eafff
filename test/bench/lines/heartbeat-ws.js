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

/** @param {import('../stage.js').Stage} stage */
export async function heartbeatWs(stage) {
  const ours = await stage.porchlight();
  const tokens = await logIn(ours.port, names('device', SOCKETS));
  const sockets = await openMany(SOCKETS, (index) => openProtocol(ours.port, tokens[index] ?? ''));
  const floor = await stage.floor('echo', { ANSWER: await oneAnswer(sockets[0]) });
  const echoes = await openMany(SOCKETS, () => RawSocket.open(floor.port));
  const frames = ring(beat);
  const isComplete = (/** @type {number} */ start, /** @type {number} */ end) => end - start < LONGEST_COMPLETE;
  const beats = socketLoad(sockets, frames, IN_FLIGHT, isComplete);
  const echoed = socketLoad(echoes, frames, IN_FLIGHT, () => true);
  stage.later(() => [...sockets, ...echoes].forEach((socket) => socket.close()));
  const samples = await stage.measure({ ours: { load: beats, server: ours }, floor: { load: echoed, server: floor } });
  return [
    row({
      line: stage.line,
      figure: 'a heartbeat over a socket',
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      aim: { ratio: 1.5 },
      notes: bottleneckNotes(samples),
    }),
  ];
}

/** @param {RawSocket | undefined} socket */
async function oneAnswer(socket) {
  socket?.send(textFrame(beat('001')));
  const answer = (await socket?.next()) ?? '';
  if (!answer.includes('heartbeatIntervalMs')) throw new Error(`No heartbeat: ${answer}`);
  await socket?.next();
  return answer;
}
