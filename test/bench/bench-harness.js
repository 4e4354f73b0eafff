// What a line of the bench works with: how large it may be, and servers that are gone when it is done.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clearTimeout } from 'node:timers';
import { measured } from './measure.js';
import { remove, temporary } from './servers/lifetime.js';
import { startFloor, startPorchlight } from './servers/process.js';

/** @typedef {import('./servers/process.js').Server} Server */
/** @typedef {import('./measure.js').Sample} Sample */
/** @typedef {{ load: import('./measure.js').Load, server: Server, before?: () => void }} Side */

const WARM_UP = { warmMs: 0, forMs: 3_000 };

export class BenchHarness {
  /** @type {Server[]} */
  #servers = [];
  /** @type {string[]} */
  #directories = [];
  /** @type {(() => void)[]} */
  #cleanups = [];

  /**
   * @param {string} line
   * @param {{ dist: string, quick: boolean, rounds: number, profileInto: string | null }} settings
   */
  constructor(line, settings) {
    this.line = line;
    this.settings = settings;
    this.quick = settings.quick;
    this.rounds = settings.rounds;
    /** How long one side is measured in a round. */
    this.times = settings.quick ? { warmMs: 200, forMs: 400 } : { warmMs: 500, forMs: 2_000 };
  }

  /** @param {string} text */
  say(text) {
    process.stderr.write(`  ${this.line}: ${text}\n`);
  }

  directory() {
    const directory = temporary();
    this.#directories.push(directory);
    return directory;
  }

  /**
   * Ours, on a database of its own unless a directory is given.
   * @param {{ directory?: string, env?: Record<string, string> }} [options]
   */
  async porchlight({ directory = this.directory(), env = {} } = {}) {
    const server = await startPorchlight(this.settings.dist, { directory, env });
    this.#servers.push(server);
    return server;
  }

  /**
   * @param {'echo' | 'json' | 'statuses' | 'hooks'} kind
   * @param {Record<string, string>} env
   */
  async floor(kind, env) {
    const server = await startFloor(kind, env);
    this.#servers.push(server);
    return server;
  }

  /**
   * Ours and the floor in turn, so that what else the machine does meets both.
   * @param {{ ours: Side, floor: Side }} sides
   * @param {(side: 'ours' | 'floor', sample: Sample) => void} [each] called with every sample.
   */
  async measure(sides, each) {
    /** @type {{ ours: Sample[], floor: Sample[] }} */
    const samples = { ours: [], floor: [] };
    const names = /** @type {const} */ (['ours', 'floor']);
    // Compilers take longer to warm up than any single round.
    if (!this.quick) for (const name of names) await this.#round(sides[name], WARM_UP);
    await this.profiled(sides.ours.server, async () => {
      for (let round = 0; round < this.rounds; round++) {
        for (const name of names) {
          const sample = await this.#round(sides[name]);
          samples[name].push(sample);
          each?.(name, sample);
        }
      }
    });
    return samples;
  }

  /** @param {Side} side */
  #round({ load, server, before }, times = this.times) {
    before?.();
    return measured(load, server.pid, times);
  }

  /**
   * With --profile, the profile of this part of a server's life.
   * @param {Server} server
   * @param {() => Promise<void>} work
   */
  async profiled(server, work) {
    const { profileInto } = this.settings;
    if (profileInto === null) return work();
    await server.ask('startProfile');
    await work();
    const profile = await server.ask('endProfile');
    mkdirSync(profileInto, { recursive: true });
    writeFileSync(join(profileInto, `${this.line}.cpuprofile`), JSON.stringify(profile));
  }

  /**
   * A server by other authors.
   * @param {(directory: string) => Promise<Server>} start
   */
  async peer(start) {
    const server = await start(this.directory());
    this.#servers.push(server);
    return server;
  }

  /** @param {() => void} cleanup called before the servers are stopped. */
  later(cleanup) {
    this.#cleanups.push(cleanup);
  }

  /**
   * Does the work, in bounded time, and clears up after it.
   * @template T
   * @param {(harness: BenchHarness) => Promise<T>} work
   * @returns {Promise<T>}
   */
  async run(work) {
    let bound;
    const tooLong = /** @type {Promise<never>} */ (
      new Promise((_resolve, reject) => {
        bound = setTimeout(() => reject(new Error('It took too long.')), this.quick ? 60_000 : 900_000);
      })
    );
    try {
      return await Promise.race([work(this), tooLong]);
    } finally {
      clearTimeout(bound);
      await this.clear();
    }
  }

  async clear() {
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    await Promise.all(this.#servers.splice(0).map((server) => server.stop()));
    for (const directory of this.#directories.splice(0)) remove(directory);
  }
}
