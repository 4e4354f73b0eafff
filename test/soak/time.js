import { clearTimeout } from 'node:timers';

/** @param {number} ms @returns {Promise<void>} */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Asks again and again until it is so. @returns whether it became so in time
 * @param {() => boolean | Promise<boolean>} isSo
 * @param {number} withinMs
 */
export async function waitUntil(isSo, withinMs, everyMs = 50) {
  for (const until = Date.now() + withinMs; ; await sleep(everyMs)) {
    if (await isSo()) return true;
    if (Date.now() > until) return false;
  }
}

/** Pauses that can be ended all at once. */
export class Pauses {
  /** @type {Set<() => void>} */
  #all = new Set();
  #isOver = false;

  /** @param {number} ms @returns {Promise<void>} */
  pause(ms) {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#all.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#all.add(end);
    });
  }

  cancelAll() {
    this.#isOver = true;
    for (const end of this.#all) end();
  }
}
