// A load of changes, each made after all watchers received the last one.
import { performance } from 'node:perf_hooks';
import { failure } from '../measure.js';

/**
 * Makes the next change as soon as all have received the last one. Counts deliveries; `took` has how long each change
 * took to reach the last one.
 * @param {readonly import('./wire.js').BenchSocket[]} hearers
 * @param {() => void} change
 */
export function oneByOne(hearers, change) {
  const { failed, fail } = failure();
  let running = false;
  let waiting = 0;
  let since = 0;
  /** @type {() => void} */
  let idle = () => undefined;
  const begin = () => {
    waiting = hearers.length;
    since = performance.now();
    change();
  };
  const load = {
    failed,
    /** @type {number[]} */
    took: [],
    done: 0,
    start() {
      running = true;
      load.took.length = 0;
      for (const hearer of hearers) {
        hearer.onFailure = fail;
        hearer.onMessage = () => {
          load.done++;
          if (--waiting > 0) return;
          load.took.push(performance.now() - since);
          if (running) begin();
          else idle();
        };
      }
      begin();
    },
    /** @returns {Promise<void>} */
    stop() {
      running = false;
      return new Promise((resolve) => {
        idle = resolve;
        if (waiting === 0) resolve();
      });
    },
  };
  return load;
}
