// The same work done by others: what a presence server costs that one would write, or take, instead.
import { closes } from './client/received.js';
import { perClient } from './lines/memory.js';
import { clientWasBottleneck, measured } from './measure.js';
import { PEERS } from './peer-kinds.js';
import { number, table } from './report.js';
import { spread } from './rows.js';
import { install } from './servers/peers.js';
import { BenchHarness } from './bench-harness.js';

/** @typedef {import('./peer-kinds.js').Peer} Peer */
/** @typedef {import('./peer-kinds.js').Load} Load */
/** @typedef {import('./bench-harness.js').Server} Server */
/** @typedef {Record<string, Record<string, number | null>>} Figures by figure, then by peer; null: it has none. */
/** @typedef {{ figures: Figures, missing: Record<string, string>, failed: string[], notes: string[] }} Found */
/** @typedef {(harness: BenchHarness, peer: Peer, server: Server) => Promise<Load> | undefined} Prepare */

const COME_AND_GO = 10;

/**
 * @param {ConstructorParameters<typeof BenchHarness>[1]} settings
 * @returns {Promise<Found>}
 */
export async function peers(settings) {
  install();
  const run = new Run(settings);
  const watchers = settings.quick ? 200 : 1_000;
  const of = watchers.toLocaleString('en');
  await run.costs('a login, µs CPU', (_stage, { words }, { port }) => Promise.resolve(words.logins(port)));
  await run.costs('a heartbeat as a call, µs CPU', (harness, { words }, { port }) => words.beats?.(harness, port));
  await run.costs('a keep-alive of the protocol, µs CPU', (harness, { words }, { port }) =>
    words.pings?.(harness, port),
  );
  await run.costs(
    `a delivery to ${of} watchers, µs CPU`,
    (harness, { words }, { port }) => words.changes(harness, port, watchers),
    `the last of ${of} receives a change, ms`,
  );
  await run.oneAfterAnother(`the last of ${of} receives a closed socket, ms`, async (harness, { words }, server) => {
    const { hearers, come } = await words.watched(harness, server.port, watchers);
    // The first are for the compilers.
    await closes(hearers, come, settings.quick ? 1 : COME_AND_GO);
    return spread(await closes(hearers, come, settings.quick ? 2 : COME_AND_GO * settings.rounds)).median;
  });
  const clients = settings.quick ? 250 : 2_000;
  await run.oneAfterAnother('an idle client, KiB RSS', (harness, { words }, server) =>
    perClient(harness, server, clients, words.idle),
  );
  await run.oneAfterAnother('a client watching ten, KiB RSS', async (harness, { words }, server) =>
    words.clients === undefined ? null : perClient(harness, server, clients, words.clients),
  );
  return run.found;
}

class Run {
  #settings;
  /** @type {[string, Peer][]} */
  #present = [];
  /** @type {Found} */
  found = { figures: {}, missing: {}, failed: [], notes: [] };

  /** @param {ConstructorParameters<typeof BenchHarness>[1]} settings */
  constructor(settings) {
    this.#settings = settings;
    for (const [name, peer] of Object.entries(PEERS)) {
      const why = peer.missing();
      if (why === null) this.#present.push([name, peer]);
      else this.found.missing[name] = why;
      if (why === null && peer.note !== undefined) this.found.notes.push(`${name}: ${peer.note}`);
    }
  }

  /**
   * All of them at the same time, each measured in turn: what else the machine does meets all.
   * @param {string} figure
   * @param {Prepare} prepare
   * @param {string} [lastFigure] how long it took until the last one received it, where the load says so
   */
  async costs(figure, prepare, lastFigure) {
    await new BenchHarness(figure, this.#settings).run(async (harness) => {
      /** @type {{ name: string, server: Server, load: Load, samples: import('./measure.js').Sample[], lastMs: number[] }[]} */
      const sides = [];
      for (const [name, peer] of this.#present) {
        await this.#tried(figure, name, async () => {
          const server = await peer.start(harness);
          const load = await prepare(harness, peer, server);
          if (load === undefined) return server.stop();
          sides.push({ name, server, load, samples: [], lastMs: [] });
        });
      }
      for (let round = harness.quick ? 0 : -1; round < harness.rounds; round++) {
        for (const side of [...sides]) {
          const done = await this.#tried(figure, side.name, async () => {
            const sample = await measured(side.load, side.server.pid, harness.times);
            // The first round is for the compilers.
            if (round < 0) return;
            side.samples.push(sample);
            if (side.load.took !== undefined) side.lastMs.push(spread(side.load.took).median);
          });
          if (!done) sides.splice(sides.indexOf(side), 1);
        }
      }
      for (const { name, samples, lastMs, load } of sides) {
        load.close?.();
        this.#note(figure, name, spread(samples.map(({ cpuUs }) => cpuUs)).median);
        if (lastFigure !== undefined) this.#note(lastFigure, name, spread(lastMs).median);
        if (clientWasBottleneck(samples)) this.found.notes.push(`${name}, ${figure}: the client was the bottleneck`);
      }
      harness.say('done');
    });
  }

  /**
   * @param {string} figure
   * @param {(harness: BenchHarness, peer: Peer, server: Server) => Promise<number | null>} work
   */
  async oneAfterAnother(figure, work) {
    for (const [name, peer] of this.#present) {
      await this.#tried(figure, name, () =>
        new BenchHarness(figure, this.#settings).run(async (harness) => {
          this.#note(figure, name, await work(harness, peer, await peer.start(harness)));
          harness.say(name);
        }),
      );
    }
  }

  /**
   * @param {string} figure
   * @param {string} name
   * @param {number | null} value
   */
  #note(figure, name, value) {
    (this.found.figures[figure] ??= {})[name] = value;
  }

  /**
   * One that fails does not take the others' figures with it. @returns whether it did not.
   * @param {string} figure
   * @param {string} name
   * @param {() => Promise<void>} work
   */
  async #tried(figure, name, work) {
    try {
      await work();
      return true;
    } catch (error) {
      this.found.failed.push(`${name}, ${figure}: ${error instanceof Error ? error.message : error}`);
      this.#note(figure, name, Number.NaN);
      return false;
    }
  }
}

/** @param {Found} found */
export function peersTable({ figures, missing, failed, notes }) {
  const names = Object.keys(PEERS);
  const cell = (/** @type {Record<string, number | null>} */ by, /** @type {string} */ name) => {
    if (Object.hasOwn(missing, name)) return 'ABSENT';
    const value = by[name] ?? null;
    if (value === null) return '-';
    return Number.isNaN(value) ? 'FAILED' : number(value);
  };
  const rows = Object.entries(figures).map(([figure, by]) => [figure, ...names.map((name) => cell(by, name))]);
  return [
    table([['', ...names], ...rows]),
    ...Object.entries(missing).map(([name, why]) => `  ${name} is ABSENT: ${why}`),
    ...failed.map((what) => `  FAILED: ${what}`),
    ...notes.map((note) => `  ${note}`),
  ].join('\n');
}
