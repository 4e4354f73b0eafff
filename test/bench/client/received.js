// How long it takes until all watchers have received that a user's socket closed.
import { performance } from 'node:perf_hooks';

/** @typedef {import('./wire.js').BenchSocket} Wire */

/**
 * A user comes online, all receive it; the socket closes, all receive it. @returns how long the latter took, each time, ms.
 * @param {readonly Wire[]} hearers each receives one message for either.
 * @param {() => Promise<Wire>} come
 * @param {number} times
 */
export async function closes(hearers, come, times) {
  const took = [];
  for (let time = 0; time < times; time++) {
    const allReceivedOnline = everyone(hearers);
    const socket = await come();
    await allReceivedOnline;
    const allReceivedOffline = everyone(hearers);
    const since = performance.now();
    socket.close();
    await allReceivedOffline;
    took.push(performance.now() - since);
  }
  return took;
}

/**
 * Resolves when each has received one more message.
 * @param {readonly Wire[]} hearers
 * @returns {Promise<void>}
 */
export function everyone(hearers) {
  return new Promise((resolve, reject) => {
    let waiting = hearers.length;
    for (const hearer of hearers) {
      hearer.onFailure = reject;
      hearer.onMessage = () => {
        if (--waiting === 0) resolve();
      };
    }
  });
}

/**
 * Resolves when a socket has read everything that was said before this: its question is answered after all of it.
 * @param {Wire} wire
 * @param {Buffer} question
 * @param {string} answer what it has in it
 * @param {string} [refusal] what another answer has in it
 * @returns {Promise<void>}
 */
export function caughtUp(wire, question, answer, refusal) {
  return new Promise((resolve, reject) => {
    wire.onFailure = reject;
    wire.onMessage = (bytes, start, end) => {
      const said = bytes.toString('utf8', start, end);
      if (refusal !== undefined && said.includes(refusal)) reject(new Error(`Refused: ${said}`));
      if (!said.includes(answer)) return;
      wire.onMessage = () => undefined;
      resolve();
    };
    wire.send(question);
  });
}
