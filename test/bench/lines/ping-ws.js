// The protocol's own ping as activity, against ws answering with as few bytes.
import { logIn, names } from '../client/devices.js';
import { ring, socketLoad } from '../client/socket-load.js';
import { openMany, openProtocol, RawSocket } from '../client/web-socket.js';
import { bottleneckNotes } from '../measure.js';
import { row } from '../rows.js';

const SOCKETS = 100;
const IN_FLIGHT = 8;
const FRAMES = ring(() => '{"type":"ping"}');
const PONG = '{"type":"pong"}';

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function pingWs(harness) {
  const ours = await harness.porchlight();
  const floor = await harness.floor('echo', { ANSWER: PONG });
  const pings = await pingsOver(harness, ours.port);
  const echoes = await openMany(SOCKETS, () => RawSocket.open(floor.port));
  harness.later(() => echoes.forEach((socket) => socket.close()));
  const echoed = socketLoad(echoes, FRAMES, IN_FLIGHT, () => true);
  const samples = await harness.measure({
    ours: { load: pings, server: ours },
    floor: { load: echoed, server: floor },
  });
  return [
    row({
      line: harness.line,
      figure: 'a ping answered',
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      aim: { ratio: 0.6 },
      notes: bottleneckNotes(samples),
    }),
  ];
}

/**
 * Devices that ping over their sockets.
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {number} port
 */
export async function pingsOver(harness, port) {
  const tokens = await logIn(port, names('device', SOCKETS));
  const sockets = await openMany(SOCKETS, (index) => openProtocol(port, tokens[index] ?? ''));
  harness.later(() => sockets.forEach((socket) => socket.close()));
  return socketLoad(sockets, FRAMES, IN_FLIGHT, () => true);
}
