// 10,000 changes a second to 1,000 watchers, each of whom watches a hundred of the thousand users who change: whether
// the delay of the changes that they receive stays constant, or grows.
import { performance } from 'node:perf_hooks';
import { clearInterval } from 'node:timers';
import { logIn, names } from '../client/devices.js';
import { LONGEST_COMPLETE } from '../client/socket-load.js';
import { userToken } from '../client/tokens.js';
import { openMany, openProtocol, textFrame } from '../client/web-socket.js';
import { failure } from '../measure.js';
import { cpuMs, rssBytes, sleep } from '../os.js';
import { percentile, row } from '../rows.js';

const WATCHED = 100;
const TICK_MS = 5;
/** Watchers whose every message is read; of the others only the bytes are. */
const READ = 20;
const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status version customStatus } }';
const CHANGE = 'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }';
const TEXT = '"customStatus":"';

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function stream(harness) {
  const count = harness.quick ? 100 : 1_000;
  const perSecond = harness.quick ? 500 : 10_000;
  const forMs = harness.quick ? 1_500 : 60_000;
  const server = await harness.porchlight();
  const ids = names('user', count);
  const tokens = await logIn(server.port, ids);
  const changers = await openMany(count, (index) => openProtocol(server.port, tokens[index] ?? ''));
  const lags = new Lags(forMs);
  const watchers = await openMany(count, (index) => watching(server.port, ids, index, lags));
  harness.later(() => [...changers, ...watchers].forEach((socket) => socket.close()));
  const changes = changing(changers, perSecond);
  await Promise.race([sleep(harness.times.warmMs), changes.failed]);

  /** @type {number[]} */
  const memory = [];
  const before = { done: changes.done, cpu: cpuMs(server.pid), own: process.cpuUsage() };
  lags.begin();
  await harness.profiled(server, async () => {
    for (let part = 0; part < Lags.PARTS; part++) {
      await Promise.race([sleep(forMs / Lags.PARTS), changes.failed]);
      memory.push(rssBytes(server.pid));
    }
  });
  const done = changes.done - before.done;
  const own = process.cpuUsage(before.own);
  changes.stop();
  const notes = [`${((cpuMs(server.pid) - before.cpu) / forMs).toFixed(2)} cores of the server`];
  if (own.user + own.system > forMs * 900) notes.push('the client was the bottleneck');
  const { line } = harness;
  const [first, last] = [lags.p99(0), lags.p99(Lags.PARTS - 1)];
  const grown = ((memory.at(-1) ?? 0) - (memory[0] ?? 0)) / 1024 / 1024;
  return [
    row({
      line,
      figure: `changes, ${perSecond.toLocaleString('en')} wanted`,
      unit: 'a second',
      ours: [(done * 1_000) / forMs],
      aim: { atLeast: perSecond * 0.98 },
      notes,
    }),
    row({ line, figure: 'lag at the start, p99', unit: 'ms', ours: [first] }),
    row({ line, figure: 'lag at the end, p99', unit: 'ms', ours: [last], aim: { atMost: Math.max(100, first * 1.5) } }),
    row({ line, figure: 'memory grown from then to then', unit: 'MiB', ours: [grown], aim: { atMost: 64 } }),
  ];
}

/** The age of changes on arrival, in several parts of the time. */
class Lags {
  static PARTS = 5;
  #forMs;
  #since = Number.POSITIVE_INFINITY;
  /** @type {number[][]} */
  #parts = Array.from({ length: Lags.PARTS }, () => []);

  /** @param {number} forMs */
  constructor(forMs) {
    this.#forMs = forMs;
  }

  begin() {
    this.#since = Date.now();
  }

  /** @param {number} madeAt */
  record(madeAt) {
    const now = Date.now();
    this.#parts[Math.floor(((now - this.#since) / this.#forMs) * Lags.PARTS)]?.push(now - madeAt);
  }

  /** @param {number} part */
  p99(part) {
    return percentile(this.#parts[part] ?? [], 0.99);
  }
}

/**
 * @param {number} port
 * @param {readonly string[]} ids
 * @param {number} index
 * @param {Lags} lags
 */
async function watching(port, ids, index, lags) {
  const socket = await openProtocol(port, userToken(`watcher-${index}`));
  const watched = Array.from({ length: WATCHED }, (_, next) => ids[(index + next) % ids.length]);
  socket.send(
    textFrame(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: WATCH, variables: { ids: watched } } })),
  );
  const present = await socket.next();
  if (!present.includes('statusChanges')) throw new Error(`Not watching: ${present}`);
  if (index < READ) {
    socket.onMessage = (bytes, start, end) => {
      for (let at = bytes.indexOf(TEXT, start); at >= 0 && at < end; at = bytes.indexOf(TEXT, at + TEXT.length)) {
        lags.record(Number(bytes.toString('latin1', at + TEXT.length, at + TEXT.length + 13)));
      }
    };
  }
  return socket;
}

/**
 * Changes at a steady rate, the users in turn; one whose last change is not answered yet is passed over.
 * @param {readonly import('../client/web-socket.js').RawSocket[]} changers
 * @param {number} perSecond
 */
function changing(changers, perSecond) {
  const { failed, fail } = failure();
  const busy = changers.map(() => false);
  const began = performance.now();
  let turn = 0;
  const load = { failed, done: 0, stop: () => clearInterval(ticking) };
  for (const [index, socket] of changers.entries()) {
    socket.onFailure = fail;
    socket.onMessage = (bytes, start, end) => {
      if (end - start < LONGEST_COMPLETE) {
        busy[index] = false;
        load.done++;
      } else if (load.done < 1_000 && bytes.includes('"error', start))
        fail(new Error(bytes.toString('utf8', start, end)));
    };
  }
  const ticking = setInterval(() => {
    const until = ((performance.now() - began) / 1_000) * perSecond;
    for (; turn < until; turn++) {
      const index = turn % changers.length;
      if (busy[index]) continue;
      busy[index] = true;
      // The same user is not changed twice in a millisecond, so each text is a new one.
      const payload = { query: CHANGE, variables: { text: String(Date.now()) } };
      changers[index]?.send(textFrame(JSON.stringify({ id: '1', type: 'subscribe', payload })));
    }
  }, TICK_MS);
  return load;
}
