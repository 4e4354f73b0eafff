// One change delivered to 1,000 watchers, each on a socket of its own, against ws sending the same bytes to 1,000.
import { logIn } from '../client/devices.js';
import { graphqlRequest, HttpConnection } from '../client/http.js';
import { oneByOne } from '../client/one-by-one.js';
import { textBody, userToken, watchMessage } from '../client/tokens.js';
import { openMany, openProtocol, RawSocket, textFrame } from '../client/web-socket.js';
import { bottleneckNotes } from '../measure.js';
import { row, spread } from '../rows.js';

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function fanout(harness) {
  const count = harness.quick ? 100 : 1_000;
  const ours = await harness.porchlight();
  const changes = await changesTo(harness, ours.port, count);
  const floor = await harness.floor('echo', { MODE: 'broadcast', ANSWER: changes.answer });
  const hearers = await openMany(count, () => RawSocket.open(floor.port));
  const control = await RawSocket.open(floor.port);
  const go = textFrame('go');
  const sends = oneByOne(hearers, () => control.send(go));
  harness.later(() => [...hearers, control].forEach((one) => one.close()));
  /** @type {{ ours: number[], floor: number[] }} */
  const last = { ours: [], floor: [] };
  const loads = { ours: changes, floor: sends };
  const samples = await harness.measure(
    { ours: { load: changes, server: ours }, floor: { load: sends, server: floor } },
    (side) => last[side].push(spread(loads[side].took).median),
  );
  const notes = bottleneckNotes(samples);
  return [
    row({
      line: harness.line,
      figure: `a delivery, ${count.toLocaleString('en')} watchers`,
      unit: 'µs CPU',
      ours: samples.ours.map(({ cpuUs }) => cpuUs),
      floor: samples.floor.map(({ cpuUs }) => cpuUs),
      aim: { ratio: 1.2 },
      notes,
    }),
    row({
      line: harness.line,
      figure: `the last of ${count.toLocaleString('en')} received after`,
      unit: 'ms',
      ours: last.ours,
      floor: last.floor,
      ...(count === 1_000 ? { aim: { atMost: 12 } } : {}),
      notes,
    }),
  ];
}

/**
 * Changes of one user whom `count` sockets watch, and the message that one of them receives for a change.
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
export async function changesTo(harness, port, count) {
  const [token = ''] = await logIn(port, ['alice']);
  const watchers = await openMany(count, (index) => watching(port, `watcher-${index}`));
  const changer = await HttpConnection.open(port);
  harness.later(() => [...watchers, changer].forEach((one) => one.close()));
  let text = 0;
  const change = () => changer.send(graphqlRequest(token, textBody(String((text = (text + 1) % 1_000) + 1_000))));
  const answer = await oneChange(watchers, change);
  return Object.assign(oneByOne(watchers, change), { answer });
}

/**
 * A socket that watches alice and has received the present status.
 * @param {number} port
 * @param {string} name
 */
export async function watching(port, name) {
  const socket = await openProtocol(port, userToken(name));
  socket.send(textFrame(watchMessage('1', ['alice'])));
  const present = await socket.next();
  if (!present.includes('statusChanges')) throw new Error(`Not watching: ${present}`);
  return socket;
}

/**
 * Makes one change; resolves with what the first watcher receives when all have received it.
 * @param {readonly RawSocket[]} watchers
 * @param {() => void} change
 */
async function oneChange(watchers, change) {
  const received = Promise.all(watchers.map((watcher) => watcher.next()));
  change();
  return (await received)[0] ?? '';
}
