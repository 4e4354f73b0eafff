// What a client costs while nothing happens: a session, its socket, ten users watched; against a socket of ws alone.
import { logIn, names } from '../client/devices.js';
import { watchMessage } from '../client/tokens.js';
import { openMany, openProtocol, RawSocket, textFrame } from '../client/web-socket.js';
import { rssBytes, sleep } from '../os.js';
import { row } from '../rows.js';

const WATCHED = 10;
const ROUNDS = 3;

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function memory(harness) {
  const count = harness.quick ? 100 : 5_000;
  const ours = [];
  const floor = [];
  for (let round = 0; round < Math.min(harness.rounds, ROUNDS); round++) {
    ours.push(await perClient(harness, await harness.porchlight(), count, clients));
    await harness.clear();
    floor.push(await perClient(harness, await harness.floor('echo', {}), count, idle));
    await harness.clear();
  }
  const figure = `a client of ${count.toLocaleString('en')}`;
  return [row({ line: harness.line, figure, unit: 'KiB RSS', ours, floor, aim: { atMost: 12 } })];
}

/**
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {import('../bench-harness.js').Server} server
 * @param {number} count
 * @param {(port: number, prefix: string, count: number) => Promise<import('../client/wire.js').BenchSocket[]>} connect
 */
export async function perClient(harness, server, count, connect) {
  // They pay for what all use: code, buffers, a heap of a working size.
  const first = await connect(server.port, 'first', count / 10);
  const before = await settled(server);
  const others = await connect(server.port, 'client', count);
  const after = await settled(server);
  harness.later(() => [...first, ...others].forEach((socket) => socket.close()));
  return (after - before) / count / 1024;
}

/**
 * RSS when there is nothing left to collect.
 * @param {import('../bench-harness.js').Server} server
 */
export async function settled(server) {
  for (let time = 0; time < 3; time++) {
    await server.ask('collect');
    await sleep(100);
  }
  return rssBytes(server.pid);
}

/**
 * @param {number} port
 * @param {string} prefix
 * @param {number} count
 */
export async function clients(port, prefix, count) {
  const ids = names(prefix, count);
  const tokens = await logIn(port, ids);
  return openMany(count, async (index) => {
    const socket = await openProtocol(port, tokens[index] ?? '');
    const watched = Array.from({ length: WATCHED }, (_, next) => ids[(index + next + 1) % count] ?? '');
    socket.send(textFrame(watchMessage('1', watched)));
    await socket.next();
    // The others keep connecting, which is not published: attaching a socket does not change the status.
    socket.onMessage = () => undefined;
    return socket;
  });
}

/**
 * @param {number} port
 * @param {string} _prefix
 * @param {number} count
 */
const idle = (port, _prefix, count) => openMany(count, () => RawSocket.open(port));
