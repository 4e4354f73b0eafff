// How the server and this process are doing: memory, CPU, and whether the machine gives them their turns.
import { clearInterval } from 'node:timers';

const LOOKED_AT_EVERY_MS = 250;
const SAMPLED_EVERY_MS = 5_000;
/** Less than that is no excuse for anything. */
const LAGGED_MS = 1_000;
/** How far back it is known when the machine was busy with something else. */
const REMEMBERED = 240;
const WARM_UP_MS = 120_000;
const MIB = 1_048_576;
/** As many users all the time need as much memory all the time, but for what the garbage collector has not come to. */
const MAY_GROW = 1.5;
const MAY_GROW_MIB = 64;
/** In less time growth cannot be distinguished from fluctuation. */
const MIN_OBSERVATION_MS = 600_000;

/** @typedef {{ at: number, rss: number }} Sample */

export class ProcessVitals {
  #world;
  #began = Date.now();
  /** Of each start. @type {{ since: number, samples: Sample[] }[]} */
  #runs = [];
  #pid = 0;
  #waited = 0;
  /** @type {{ from: number, to: number, ms: number }[]} */
  #waits = [];
  #allWaited = 0;
  #looked = Date.now();
  #sampled = 0;
  #cpu = 0;
  #cpuBefore = 0;
  #timer;

  /** @param {import('../world.js').SoakWorld} world */
  constructor(world) {
    this.#world = world;
    this.#timer = setInterval(() => this.#look(), LOOKED_AT_EVERY_MS);
  }

  stop() {
    clearInterval(this.#timer);
  }

  #look() {
    const { server, disturbances } = this.#world;
    const now = Date.now();
    const before = this.#looked;
    this.#looked = now;
    if (now - before > LOOKED_AT_EVERY_MS + LAGGED_MS) disturbances.add('the soak itself lags', before, now);
    if (server.pid !== this.#pid) {
      this.#pid = server.pid;
      this.#waited = 0;
      this.#cpu += this.#cpuBefore;
      this.#cpuBefore = 0;
      this.#runs.push({ since: now, samples: [] });
    }
    const waited = server.waitedForCore();
    const more = this.#waited === 0 ? 0 : Math.max(0, waited - this.#waited);
    this.#waited = waited;
    this.#waits.push({ from: before, to: now, ms: more });
    this.#allWaited += more;
    if (this.#waits.length > 2 * REMEMBERED) this.#waits.splice(0, REMEMBERED);
    this.#cpuBefore = server.cpuMs() || this.#cpuBefore;
    if (now - this.#sampled < SAMPLED_EVERY_MS) return;
    this.#sampled = now;
    const rss = server.rss();
    if (rss !== null) this.#runs.at(-1)?.samples.push({ at: now, rss });
  }

  /** How long the server's threads were ready to run between these times and had no core, in ms. @param {number} from @param {number} to */
  waited(from, to) {
    let sum = 0;
    for (const wait of this.#waits) if (wait.to >= from && wait.from <= to) sum += wait.ms;
    return sum;
  }

  /** @param {readonly import('../clients/device.js').Device[]} devices */
  line(devices) {
    const { journal, model, server } = this.#world;
    const minutes = ((Date.now() - this.#began) / 60_000).toFixed(1);
    const attached = devices.filter(({ isAttached }) => isAttached).length;
    const rss = Math.round((server.rss() ?? 0) / MIB);
    const kinds = [...journal.violationCounts].map(([kind, count]) => `${kind} ${count}`).join(', ');
    return (
      `${minutes} min: ${model.events} events, ${journal.faults.length} faults, ${attached} devices on sockets, ` +
      `${rss} MiB, server ${Math.round(this.#cpuShare() * 100)} % of a core, soak ${Math.round(ownCpuShare(this.#began) * 100)} %, ` +
      `${journal.violated} violations${kinds === '' ? '' : ` (${kinds})`}`
    );
  }

  #cpuShare() {
    return (this.#cpu + this.#cpuBefore) / (Date.now() - this.#began);
  }

  /** Of the longest run, when it is warm: is there more at its end than as many users need? */
  expectSteadyMemory() {
    const { journal } = this.#world;
    const longest = this.#runs.toSorted((one, other) => length(other) - length(one))[0];
    if (longest === undefined || length(longest) < MIN_OBSERVATION_MS) return;
    const warm = longest.samples.filter(({ at }) => at > longest.since + WARM_UP_MS).map(({ rss }) => rss / MIB);
    const third = Math.floor(warm.length / 3);
    const [early, late] = [median(warm.slice(0, third)), median(warm.slice(-third))];
    if (late > MAY_GROW * early + MAY_GROW_MIB)
      journal.violate('memory', `${late.toFixed(0)} MiB at the end of the longest run, ${early.toFixed(0)} at first`);
  }

  summary() {
    const samples = this.#runs.flatMap((run) => run.samples);
    // The longest time between two starts shows the trend of memory.
    const longest = this.#runs.toSorted((one, other) => length(other) - length(one))[0];
    const warm = longest === undefined ? [] : longest.samples.filter(({ at }) => at > longest.since + WARM_UP_MS);
    const mib = (/** @type {number | undefined} */ bytes) =>
      bytes === undefined ? null : Math.round((bytes / MIB) * 10) / 10;
    return {
      rssMiB: {
        first: mib(samples[0]?.rss),
        last: mib(samples.at(-1)?.rss),
        max: samples.length === 0 ? null : mib(Math.max(...samples.map(({ rss }) => rss))),
        longestRunMinutes: longest === undefined ? 0 : Math.round(length(longest) / 6_000) / 10,
        afterWarmUp: mib(warm[0]?.rss),
        atItsEnd: mib(warm.at(-1)?.rss),
        slopeMiBPerHour: slope(warm),
      },
      cpu: {
        serverShare: this.#cpuShare(),
        soakShare: ownCpuShare(this.#began),
        waitedForCoreMs: Math.round(this.#allWaited),
      },
    };
  }
}

/** @param {{ since: number, samples: Sample[] }} run */
const length = ({ since, samples }) => (samples.at(-1)?.at ?? since) - since;

/** @param {readonly number[]} values */
const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;

/** By least squares; null when there is too little to say. @param {readonly Sample[]} samples */
function slope(samples) {
  if (samples.length < 60) return null;
  const first = /** @type {Sample} */ (samples[0]);
  const hours = samples.map(({ at }) => (at - first.at) / 3_600_000);
  const mibs = samples.map(({ rss }) => rss / MIB);
  const mean = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [hour, mib] = [mean(hours), mean(mibs)];
  let above = 0;
  let below = 0;
  hours.forEach((value, index) => {
    above += (value - hour) * ((mibs[index] ?? mib) - mib);
    below += (value - hour) ** 2;
  });
  return Math.round((above / below) * 10) / 10;
}

/** @param {number} began */
function ownCpuShare(began) {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000 / (Date.now() - began);
}
