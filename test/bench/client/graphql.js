// What is asked of Porchlight, and of a peer that speaks as much of its API, when it stands beside other peers.
import { watching } from '../lines/fanout.js';
import { logIn, names } from './devices.js';
import { LONGEST_COMPLETE } from './socket-load.js';
import { loginBody, userToken } from './tokens.js';
import { openMany, openProtocol, textFrame } from './web-socket.js';

export { changesTo as changes } from '../lines/fanout.js';
export { beatsOver as beats } from '../lines/heartbeat-ws.js';
export { logins } from '../lines/login.js';
export { clients } from '../lines/memory.js';
export { pingsOver as pings } from '../lines/ping-ws.js';

/**
 * Alice logs in over a socket. Closing it ends the session.
 * @param {number} port
 */
async function come(port) {
  const socket = await openProtocol(port, userToken('alice'));
  socket.send(textFrame(JSON.stringify({ id: '001', type: 'subscribe', payload: JSON.parse(loginBody('WEB')) })));
  await new Promise((resolve, reject) => {
    socket.onFailure = reject;
    socket.onMessage = (bytes, start, end) => {
      const said = bytes.toString('utf8', start, end);
      if (said.includes('"error')) reject(new Error(said));
      else if (end - start < LONGEST_COMPLETE) resolve(undefined);
    };
  });
  return socket;
}

/**
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
export async function watched(harness, port, count) {
  const hearers = await openMany(count, (index) => watching(port, `watcher-${index}`));
  harness.later(() => hearers.forEach((socket) => socket.close()));
  return { hearers, come: () => come(port) };
}

/**
 * Logged in, attached, and watching no user.
 * @param {number} port
 * @param {string} prefix
 * @param {number} count
 */
export async function idle(port, prefix, count) {
  const tokens = await logIn(port, names(prefix, count));
  return openMany(count, (index) => openProtocol(port, tokens[index] ?? ''));
}
