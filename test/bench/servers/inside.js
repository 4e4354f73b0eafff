// Loaded into every measured server before anything else: answers, over the channel to the bench, what cannot be seen
// from outside. Costs nothing until it is asked.
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { performance } from 'node:perf_hooks';
import { clearInterval } from 'node:timers';

const TICK_MS = 2;
/** @type {ReturnType<typeof setInterval> | undefined} */
let ticking;
/** @type {number[]} */
let stalls = [];

/** How long this thread has been ready to run and had no core, in ms: the machine's doing, and no stall of ours. */
function waitedForCore() {
  const [, nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ');
  return Number(nanoseconds) / 1e6;
}

function watchStalls() {
  clearInterval(ticking);
  stalls = [];
  let last = performance.now();
  let waited = waitedForCore();
  ticking = setInterval(() => {
    const now = performance.now();
    const waitedUntilNow = waitedForCore();
    stalls.push(Math.max(0, now - last - TICK_MS - (waitedUntilNow - waited)));
    last = now;
    waited = waitedUntilNow;
  }, TICK_MS);
  ticking.unref();
}

function stallsSeen() {
  clearInterval(ticking);
  stalls.sort((one, other) => one - other);
  return { max: stalls.at(-1) ?? 0, p99: stalls[Math.floor(stalls.length * 0.99)] ?? 0, ticks: stalls.length };
}

/** Twice: what the first finds unreachable may hold on to more. */
function collect() {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage();
}

const inspector = new Session();

async function startProfile() {
  inspector.connect();
  await inspector.post('Profiler.enable');
  await inspector.post('Profiler.start');
}

async function endProfile() {
  const { profile } = await inspector.post('Profiler.stop');
  inspector.disconnect();
  return profile;
}

/** @type {Record<string, () => unknown>} */
const answers = { watchStalls, stallsSeen, collect, startProfile, endProfile };

process.on('message', (/** @type {{ id: number, ask: string }} */ { id, ask }) => {
  void Promise.resolve(answers[ask]?.()).then((answer) => process.send?.({ id, answer: answer ?? null }));
});
// A bench that was killed clears nothing up.
process.on('disconnect', () => process.exit(1));
// It must not keep a server running that wants to end.
process.channel?.unref();
