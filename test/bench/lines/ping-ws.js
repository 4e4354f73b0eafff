// The protocol's own ping as a sign of life, against ws answering as few bytes.
import { logIn, names } from '../client/devices.js';
import { ring, socketLoad } from '../client/socket-load.js';
import { openMany, openProtocol, RawSocket } from '../client/web-socket.js';
import { bottleneckNotes } from '../measure.js';
import { row } from '../rows.js';

const SOCKETS = 100;
const IN_FLIGHT = 8;
const PONG = '{"type":"pong"}';

/** @param {import('../stage.js').Stage} stage */
export async function pingWs(stage) {
  const ours = await stage.porchlight();
  const floor = await stage.floor('echo', { ANSWER: PONG });
  const tokens = await logIn(ours.port, names('device', SOCKETS));
  const sockets = await openMany(SOCKETS, (index) => openProtocol(ours.port, tokens[index] ?? ''));
  const echoes = await openMany(SOCKETS, () => RawSocket.open(floor.port));
  stage.later(() => [...sockets, ...echoes].forEach((socket) => socket.close()));
  const frames = ring(() => '{"type":"ping"}');
  const samples = await stage.measure({
    ours: { load: socketLoad(sockets, frames, IN_FLIGHT, () => true), server: ours },
    floor: { load: socketLoad(echoes, frames, IN_FLIGHT, () => true), server: floor },
  });
  return [
    row({
      line: stage.line,
      figure: 'a ping answered',
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      aim: { ratio: 0.6 },
      notes: bottleneckNotes(samples),
    }),
  ];
}
