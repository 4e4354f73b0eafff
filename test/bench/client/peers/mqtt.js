// As much of MQTT 3.1.1 as the bench needs. Presence is built as MQTT's users build it: a retained message with
// the status, and a will that reports the end.
import { Buffer } from 'node:buffer';
import { repeated } from '../../measure.js';
import { names } from '../devices.js';
import { MqttSocket, PACKET, packet, text, uint16 } from './mqtt-socket.js';
import { oneByOne } from '../one-by-one.js';
import { ring, socketLoad } from '../socket-load.js';
import { openMany } from '../web-socket.js';

/** Clean session, a will, which is retained. */
const FLAGS = 0x02 | 0x04 | 0x20;
/** Longer than a client of the bench is ever silent. */
const KEEP_ALIVE_S = 3_600;

const SOCKETS = 100;
const IN_FLIGHT = 8;
const LOGINS_AT_ONCE = 50;

/** @param {string} userId */
const topic = (userId) => `presence/${userId}`;

/**
 * @param {string} userId
 * @param {string} status
 * @param {string | null} customStatus
 */
const statusOf = (userId, status, customStatus) =>
  JSON.stringify([{ userId, status, previousStatus: 'ONLINE', reason: 'CUSTOM_STATUS', version: 1, customStatus }]);

/**
 * @param {string} userId
 * @param {string} status
 */
const publish = (userId, status) => packet(PACKET.publishRetained, text(topic(userId)), Buffer.from(status));

/**
 * @param {number} port
 * @param {string} userId
 */
async function connect(port, userId) {
  const socket = await MqttSocket.open(port);
  const head = Buffer.concat([text('MQTT'), Buffer.from([4, FLAGS]), uint16(KEEP_ALIVE_S)]);
  const will = [text(topic(userId)), text(statusOf(userId, 'OFFLINE', null))];
  await socket.ask(packet(PACKET.connect, head, text(userId), ...will), PACKET.connack, '0000');
  return socket;
}

/**
 * @param {number} port
 * @param {string} userId
 * @param {readonly string[]} watched
 */
async function watching(port, userId, watched) {
  const socket = await connect(port, userId);
  const topics = watched.map((id) => Buffer.concat([text(topic(id)), Buffer.from([0])]));
  const granted = `0001${'00'.repeat(watched.length)}`;
  await socket.ask(packet(PACKET.subscribe, uint16(1), ...topics), PACKET.suback, granted);
  return socket;
}

/** There is no login but the connection itself, so one is opened and closed for each. */
export function logins(/** @type {number} */ port) {
  let user = 0;
  return repeated(LOGINS_AT_ONCE, async () => (await connect(port, `new-${user++}`)).close());
}

/**
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 */
export async function pings(harness, port) {
  const sockets = await openMany(SOCKETS, (index) => connect(port, `device-${index}`));
  harness.later(() => sockets.forEach((socket) => socket.close()));
  const requests = ring(
    () => '',
    () => packet(PACKET.pingreq),
  );
  return socketLoad(sockets, requests, IN_FLIGHT, () => true);
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
  let turn = 0;
  return oneByOne(watchers, () =>
    alice.send(publish('alice', statusOf('alice', 'ONLINE', String((turn = (turn + 1) % 1_000) + 1_000)))),
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
  const come = async () => {
    const alice = await connect(port, 'alice');
    alice.send(publish('alice', statusOf('alice', 'ONLINE', null)));
    return alice;
  };
  return { hearers, come };
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
  const watchedBy = (/** @type {number} */ index) =>
    Array.from({ length: 10 }, (_, next) => ids[(index + next + 1) % count] ?? '');
  return openMany(count, (index) => watching(port, ids[index] ?? '', watchedBy(index)));
}
