// So many requests a second, whatever the answers take: how a server does under a load that it can bear. A request
// that finds every connection busy is missed, not queued.
import { performance } from 'node:perf_hooks';
import { clearInterval } from 'node:timers';
import { failure } from '../measure.js';
import { openMany } from './web-socket.js';
import { HttpConnection } from './http.js';

const TICK_MS = 5;

/**
 * @param {number} port
 * @param {{ connections: number, perSecond: number, next: () => import('node:buffer').Buffer | null }} options
 */
export async function paced(port, { connections, perSecond, next }) {
  const clients = await openMany(connections, () => HttpConnection.open(port));
  const { failed, fail } = failure();
  /** @type {HttpConnection[]} */
  const free = [...clients];
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let ticking;
  const load = {
    failed,
    done: 0,
    missed: 0,
    /** @type {number[]} how long each answer took, in ms. */
    took: [],
    /** @param {() => void} [onTick] */
    start(onTick) {
      const began = performance.now();
      let due = 0;
      ticking = setInterval(() => {
        const until = ((performance.now() - began) / 1_000) * perSecond;
        for (; due < until; due++) {
          const client = free.pop();
          const bytes = client === undefined ? null : next();
          if (client === undefined || bytes === null) load.missed++;
          else ask(client, bytes);
        }
        onTick?.();
      }, TICK_MS);
    },
    /** Those under way are given up. */
    stop() {
      clearInterval(ticking);
      for (const client of clients) client.close();
    },
  };
  const ask = (/** @type {HttpConnection} */ client, /** @type {import('node:buffer').Buffer} */ bytes) => {
    const sentAt = performance.now();
    client.onFailure = fail;
    client.onResponse = (status, body) => {
      if (status !== 200 || body.includes('"errors"')) return fail(new Error(`${status}: ${body.toString()}`));
      load.done++;
      load.took.push(performance.now() - sentAt);
      free.push(client);
    };
    client.send(bytes);
  };
  return load;
}
