// One measured interval: load runs, warms up, and only then is counted, with the CPU the server took meanwhile.
import { performance } from 'node:perf_hooks';
import { clearTimeout } from 'node:timers';
import { cpuMs, sleep } from './os.js';

/**
 * Work that goes on from `start` until `stop` has resolved. `done` counts what is answered; `failed` rejects when an
 * answer is not the expected one, so that the bench never measures how fast errors are.
 * @typedef {{ start: () => void, stop: () => Promise<void>, readonly done: number, readonly failed: Promise<never> }} Load
 */

const LONGEST_MS = 30_000;

/**
 * @typedef {object} Sample
 * @property {number} operations
 * @property {number} perSecond
 * @property {number} cpuUs server CPU per operation
 * @property {number} serverBusy cores that the server used
 * @property {number} clientBusy cores that this process used
 */

/**
 * @param {Load} load
 * @param {number} pid
 * @param {{ warmMs: number, forMs: number }} times
 * @returns {Promise<Sample>}
 */
export async function measured(load, pid, { warmMs, forMs }) {
  load.start();
  const running = (async () => {
    await sleep(warmMs);
    const before = { done: load.done, cpu: cpuMs(pid), own: process.cpuUsage(), at: performance.now() };
    await sleep(forMs);
    // On a machine that has no time for us, short rounds would measure nothing.
    while (load.done === before.done && performance.now() - before.at < LONGEST_MS) await sleep(forMs);
    const cpu = cpuMs(pid) - before.cpu;
    const own = process.cpuUsage(before.own);
    const wallMs = performance.now() - before.at;
    const operations = load.done - before.done;
    return {
      operations,
      perSecond: (operations / wallMs) * 1_000,
      cpuUs: (cpu * 1_000) / operations,
      serverBusy: cpu / wallMs,
      clientBusy: (own.user + own.system) / 1_000 / wallMs,
    };
  })();
  const sample = await Promise.race([running, load.failed]);
  if (sample.operations === 0) throw new Error('Nothing was answered within the measured interval.');
  await stopped(load);
  return sample;
}

/**
 * Waits for what is under way; what a server has lost never comes.
 * @param {Load} load
 */
async function stopped(load) {
  const { failed: late, fail } = failure();
  const bound = setTimeout(() => fail(new Error('Something was never answered.')), LONGEST_MS);
  try {
    await Promise.race([load.stop(), load.failed, late]);
  } finally {
    clearTimeout(bound);
  }
}

/**
 * A server with time to spare while the load generator has none was not at its limit: fewer things arrive at once
 * then, and each costs more than it would.
 * @param {{ ours: readonly Sample[], floor: readonly Sample[] }} samples
 */
export function bottleneckNotes(samples) {
  const notes = [];
  for (const side of /** @type {const} */ (['ours', 'floor'])) {
    if (clientWasBottleneck(samples[side])) notes.push(`${side}: the client was the bottleneck`);
  }
  return notes;
}

/** @param {readonly Sample[]} samples */
export function clientWasBottleneck(samples) {
  const starved = samples.filter(({ clientBusy, serverBusy }) => clientBusy > 0.9 && serverBusy < 0.85);
  return starved.length * 2 > samples.length;
}

/** A promise that can only fail, and the function that makes it. */
export function failure() {
  /** @type {(error: Error) => void} */
  let fail = () => undefined;
  const failed = /** @type {Promise<never>} */ (new Promise((_resolve, reject) => (fail = reject)));
  // A caller that races it receives the error; between two measurements there is none.
  failed.catch(() => undefined);
  return { failed, fail };
}

/**
 * Load made of a task that is done over and over, so many at once.
 * @param {number} atOnce
 * @param {() => Promise<void>} task
 */
export function repeated(atOnce, task) {
  const { failed, fail } = failure();
  let running = false;
  /** @type {Promise<void>[]} */
  let loops = [];
  const load = {
    failed,
    done: 0,
    start() {
      running = true;
      loops = Array.from({ length: atOnce }, async () => {
        while (running) {
          await task();
          load.done++;
        }
      });
      Promise.all(loops).catch(fail);
    },
    async stop() {
      running = false;
      await Promise.all(loops);
    },
  };
  return load;
}
