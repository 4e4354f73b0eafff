// Devices that send heartbeats over sockets, a fixed number a second in all, in a process of their own: a process under
// heavy load measures its own delay. Controlled by messages: { start: … }, then { stop: true }, answered with the results.
import { performance } from 'node:perf_hooks';
import { clearInterval } from 'node:timers';
import { sleep } from '../os.js';
import { LONGEST_COMPLETE } from './socket-load.js';
import { HEARTBEAT } from './tokens.js';
import { openMany, openProtocol, textFrame } from './web-socket.js';

const TICK_MS = 5;
/** A heartbeat without an answer by then is lost. */
const LAST_ANSWER_MS = 10_000;

/** @typedef {{ port: number, tokens: readonly string[], perSecond: number }} Beating */
/** @typedef {{ took: number[], lost: number }} Beaten */

/** @param {Beating} options */
async function beating({ port, tokens, perSecond }) {
  const sockets = await openMany(tokens.length, (index) => openProtocol(port, tokens[index] ?? ''), 20);
  /** @type {number[]} */
  let took = [];
  let lost = 0;
  let underWay = 0;
  /** @type {number[][]} when each beat of a socket that is not answered was to be sent, the oldest first. */
  const sent = sockets.map(() => []);
  for (const [index, socket] of sockets.entries()) {
    socket.onFailure = () => (lost += sent[index]?.length ?? 0);
    socket.onMessage = (bytes, start, end) => {
      if (end - start < LONGEST_COMPLETE) {
        const at = sent[index]?.shift() ?? 0;
        underWay--;
        took.push(performance.now() - at);
      } else if (bytes.toString('utf8', start, end).includes('"error')) lost++;
    };
  }
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let ticking;
  return {
    start() {
      took = [];
      lost = 0;
      const began = performance.now();
      let due = 0;
      ticking = setInterval(() => {
        const until = ((performance.now() - began) / 1_000) * perSecond;
        for (; due < until; due++) {
          const index = due % sockets.length;
          sent[index]?.push(began + (due / perSecond) * 1_000);
          underWay++;
          const id = String(100 + (due % 899));
          sockets[index]?.send(textFrame(JSON.stringify({ id, type: 'subscribe', payload: { query: HEARTBEAT } })));
        }
      }, TICK_MS);
    },
    async stop() {
      clearInterval(ticking);
      const giveUpAt = performance.now() + LAST_ANSWER_MS;
      while (underWay > 0 && performance.now() < giveUpAt) await sleep(10);
      return { took, lost: lost + underWay };
    },
  };
}

/** @type {Awaited<ReturnType<typeof beating>> | undefined} */
let beats;
process.on('message', async (/** @type {{ open?: Beating, start?: true, stop?: true }} */ { open, start, stop }) => {
  if (open !== undefined) beats = await beating(open);
  if (start) beats?.start();
  process.send?.(stop ? await beats?.stop() : {});
});
process.once('disconnect', () => process.exit());
