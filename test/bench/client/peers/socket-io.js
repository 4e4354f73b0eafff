// As much of socket.io's protocol as the bench needs, over the same bare sockets as everything else.
import { repeated } from '../../measure.js';
import { names } from '../devices.js';
import { oneByOne } from '../one-by-one.js';
import { ring, socketLoad } from '../socket-load.js';
import { userToken } from '../tokens.js';
import { openMany, RawSocket, textFrame } from '../web-socket.js';

const PATH = '/socket.io/?EIO=4&transport=websocket';
const SOCKETS = 100;
const IN_FLIGHT = 8;
const LOGINS_AT_ONCE = 50;

/**
 * @param {number} port
 * @param {string} userId
 */
async function connect(port, userId) {
  const socket = await RawSocket.open(port, PATH);
  const opened = await socket.next();
  socket.send(textFrame(`40${JSON.stringify({ token: userToken(userId) })}`));
  const answer = await socket.next();
  if (!opened.startsWith('0') || !answer.startsWith('40')) throw new Error(`Not connected: ${opened} ${answer}`);
  return socket;
}

/**
 * @param {number} port
 * @param {string} userId
 * @param {readonly string[]} watched
 */
async function watching(port, userId, watched) {
  const socket = await connect(port, userId);
  socket.send(textFrame(`420${JSON.stringify(['watch', watched])}`));
  const answer = await socket.next();
  if (!answer.startsWith('430')) throw new Error(`Not watching: ${answer}`);
  return socket;
}

/** There is no login but the handshake of a socket, so a socket is opened and closed for each. */
export function logins(/** @type {number} */ port) {
  let user = 0;
  return repeated(LOGINS_AT_ONCE, async () => (await connect(port, `new-${user++}`)).close());
}

/**
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 */
export async function beats(harness, port) {
  const sockets = await openMany(SOCKETS, (index) => connect(port, `device-${index}`));
  harness.later(() => sockets.forEach((socket) => socket.close()));
  return socketLoad(
    sockets,
    ring((id) => `42${id}["beat"]`),
    IN_FLIGHT,
    () => true,
  );
}

/**
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
export async function changes(harness, port, count) {
  const watchers = await openMany(count, (index) => watching(port, `watcher-${index}`, ['alice']));
  const alice = await connect(port, 'alice');
  harness.later(() => [...watchers, alice].forEach((socket) => socket.close()));
  let text = 0;
  return oneByOne(watchers, () =>
    alice.send(textFrame(`42["text","${((text = (text + 1) % 1_000) + 1_000).toString()}"]`)),
  );
}

/**
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
export async function watched(harness, port, count) {
  const hearers = await openMany(count, (index) => watching(port, `watcher-${index}`, ['alice']));
  harness.later(() => hearers.forEach((socket) => socket.close()));
  return { hearers, come: () => connect(port, 'alice') };
}

/**
 * @param {number} port
 * @param {string} prefix
 * @param {number} count
 */
export const idle = (port, prefix, count) => openMany(count, (index) => connect(port, `${prefix}-${index}`));

/**
 * @param {number} port
 * @param {string} prefix
 * @param {number} count
 */
export function clients(port, prefix, count) {
  const ids = names(prefix, count);
  return openMany(count, (index) =>
    watching(
      port,
      ids[index] ?? '',
      Array.from({ length: 10 }, (_, next) => ids[(index + next + 1) % count] ?? ''),
    ),
  );
}
