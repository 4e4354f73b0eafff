// As much of Pusher's protocol as the bench needs of soketi: presence channels for online and offline, private ones for texts.
import { createHmac } from 'node:crypto';
import { repeated } from '../../measure.js';
import { names } from '../devices.js';
import { oneByOne } from '../one-by-one.js';
import { ring, socketLoad } from '../socket-load.js';
import { caughtUp } from '../received.js';
import { openMany, RawSocket, textFrame } from '../web-socket.js';

export const PUSHER = { key: 'bench', secret: 'the secret of the bench and of soketi' };

const PATH = `/app/${PUSHER.key}?protocol=7&client=bench&version=1`;
const PING = JSON.stringify({ event: 'pusher:ping', data: {} });
const SOCKETS = 100;
const IN_FLIGHT = 8;
const LOGINS_AT_ONCE = 50;

/** @param {number} port */
async function connect(port) {
  const socket = await RawSocket.open(port, PATH);
  const { event, data } = JSON.parse(await socket.next());
  if (event !== 'pusher:connection_established') throw new Error(`Not connected: ${event} ${data}`);
  return { socket, id: String(JSON.parse(data).socket_id) };
}

/**
 * @param {{ socket: RawSocket, id: string }} connection
 * @param {string} channel
 * @param {string} [userId] for presence channels
 */
async function subscribe({ socket, id }, channel, userId) {
  const member = userId === undefined ? {} : { channel_data: JSON.stringify({ user_id: userId }) };
  const signed = [id, channel, ...Object.values(member)].join(':');
  const auth = `${PUSHER.key}:${createHmac('sha256', PUSHER.secret).update(signed).digest('hex')}`;
  socket.send(textFrame(JSON.stringify({ event: 'pusher:subscribe', data: { channel, auth, ...member } })));
  const answer = await socket.next();
  if (!answer.includes('subscription_succeeded')) throw new Error(`Not subscribed: ${answer}`);
}

/**
 * A member of a presence channel of its own.
 * @param {number} port
 * @param {string} userId
 * @param {string} [channel]
 */
async function present(port, userId, channel = `presence-${userId}`) {
  const connection = await connect(port);
  await subscribe(connection, channel, userId);
  return connection;
}

/** There is no login but a socket that joins a channel, so a socket is opened and closed for each. */
export function logins(/** @type {number} */ port) {
  let user = 0;
  return repeated(LOGINS_AT_ONCE, async () => (await present(port, `new-${user++}`)).socket.close());
}

/**
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 */
export async function pings(harness, port) {
  const connections = await openMany(SOCKETS, (index) => present(port, `device-${index}`));
  const sockets = connections.map(({ socket }) => socket);
  harness.later(() => sockets.forEach((socket) => socket.close()));
  return socketLoad(
    sockets,
    ring(() => PING),
    IN_FLIGHT,
    () => true,
  );
}

/**
 * A client event to all other members of the channel.
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
export async function changes(harness, port, count) {
  const all = await openMany(count + 1, async () => {
    const connection = await connect(port);
    await subscribe(connection, 'private-alice');
    return connection.socket;
  });
  harness.later(() => all.forEach((socket) => socket.close()));
  const [alice, ...watchers] = all;
  let text = 0;
  return oneByOne(watchers, () => {
    const customStatus = String((text = (text + 1) % 1_000) + 1_000);
    const status = { userId: 'alice', status: 'ONLINE', previousStatus: 'ONLINE', reason: 'CUSTOM_STATUS', version: 1 };
    const data = [{ ...status, customStatus }];
    alice?.send(textFrame(JSON.stringify({ event: 'client-status', channel: 'private-alice', data })));
  });
}

/**
 * All are members of the channel that alice joins and leaves.
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
export async function watched(harness, port, count) {
  const members = await openMany(count, (index) => present(port, `watcher-${index}`, 'presence-all'));
  const hearers = members.map(({ socket }) => socket);
  harness.later(() => hearers.forEach((socket) => socket.close()));
  // Each has received the others' joins.
  await Promise.all(hearers.map((socket) => caughtUp(socket, textFrame(PING), 'pusher:pong')));
  return { hearers, come: async () => (await present(port, 'alice', 'presence-all')).socket };
}

/**
 * @param {number} port
 * @param {string} prefix
 * @param {number} count
 */
export const idle = (port, prefix, count) =>
  openMany(count, async (index) => (await present(port, `${prefix}-${index}`)).socket);

/**
 * @param {number} port
 * @param {string} prefix
 * @param {number} count
 */
export function clients(port, prefix, count) {
  const ids = names(prefix, count);
  return openMany(count, async (index) => {
    const connection = await present(port, ids[index] ?? '');
    for (let next = 1; next <= 10; next++) await subscribe(connection, `private-${ids[(index + next) % count]}`);
    return connection.socket;
  });
}
