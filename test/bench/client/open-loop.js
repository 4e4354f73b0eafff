// Requests that come when they come, whether or not the ones before are answered: what a crowd does. Each takes a
// connection that is free; while none is, it waits here, and its time counts from when it was to be sent.
import { performance } from 'node:perf_hooks';
import { clearInterval } from 'node:timers';
import { failure } from '../measure.js';
import { sleep } from '../os.js';
import { HttpConnection } from './http.js';
import { openMany } from './web-socket.js';

const TICK_MS = 2;
const ANSWERED_WITHIN_MS = 30_000;

/** @typedef {{ done: number, refused: number, missed: number, took: number[] }} Arrivals */

/**
 * @param {number} port
 * @param {{ connections: number }} options
 */
export async function openLoop(port, { connections }) {
  const clients = await openMany(connections, () => HttpConnection.open(port), 200);
  const { failed, fail } = failure();
  const free = [...clients];
  /** @type {{ at: number, bytes: import('node:buffer').Buffer }[]} */
  const waiting = [];
  let waited = 0;

  /**
   * @param {Arrivals | null} found
   * @param {number} at
   * @param {import('node:buffer').Buffer} bytes
   * @param {HttpConnection} client
   */
  const ask = (found, at, bytes, client) => {
    client.onFailure = fail;
    client.onResponse = (status, body) => {
      if (body.includes('"OVERLOADED"')) {
        if (found !== null) found.refused++;
      } else if (status !== 200 || body.includes('"errors"')) {
        return fail(new Error(`${status}: ${body.toString()}`));
      } else if (found !== null) {
        found.done++;
        found.took.push(performance.now() - at);
      }
      const next = waiting[waited];
      if (next === undefined) return void free.push(client);
      waited++;
      ask(found, next.at, next.bytes, client);
    };
    client.send(bytes);
  };

  return {
    failed,
    /**
     * What was answered within this time, after the same load was there for `warmMs`, and how long it took.
     * @param {{ perSecond: number, warmMs: number, forMs: number }} rate
     * @param {() => import('node:buffer').Buffer} next
     * @returns {Promise<Arrivals>}
     */
    async during({ perSecond, warmMs, forMs }, next) {
      /** @type {Arrivals} */
      const found = { done: 0, refused: 0, missed: 0, took: [] };
      const began = performance.now();
      let due = 0;
      const ticking = setInterval(() => {
        const until = ((performance.now() - began) / 1_000) * perSecond;
        for (; due < until; due++) {
          const at = began + (due / perSecond) * 1_000;
          const client = free.pop();
          if (client === undefined) waiting.push({ at, bytes: next() });
          else ask(found, at, next(), client);
        }
      }, TICK_MS);
      await Promise.race([sleep(warmMs), failed]);
      Object.assign(found, { done: 0, refused: 0, took: [] });
      await Promise.race([sleep(forMs), failed]);
      const { done, refused } = found;
      const took = found.took.slice();
      clearInterval(ticking);
      // What was not sent yet is dropped; what was sent is awaited.
      const missed = waiting.length - waited;
      waiting.length = 0;
      waited = 0;
      const giveUpAt = performance.now() + ANSWERED_WITHIN_MS;
      while (free.length < clients.length && performance.now() < giveUpAt) await Promise.race([sleep(10), failed]);
      if (free.length < clients.length) throw new Error(`${clients.length - free.length} were never answered.`);
      return { done, refused, missed, took };
    },
    close() {
      for (const client of clients) client.close();
    },
  };
}
