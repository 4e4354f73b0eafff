// What is done to the server: each step of the plan, as it is carried out.
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { endSessions } from '../clients/backend.js';
import { Histogram } from '../judge/journal.js';
import { waitUntil, sleep } from '../time.js';

/** @typedef {import('../world.js').SoakWorld} World */
/** @typedef {import('../plan.js').Step} Step */
/** @typedef {{ devices: readonly import('../clients/device.js').Device[], followers: readonly import('../clients/follower.js').Follower[], disk: import('./disk.js').Disk }} Cast */

const BACK_WITHIN_MS = 60_000;

export class Faults {
  /** Spawned until ready. */
  starts = new Histogram();
  /** Ready until nine of ten of those who had a socket have one again. */
  recoveries = new Histogram();
  #world;
  #cast;
  /** What is done to the process as a whole is done by one at a time. @type {Promise<unknown>} */
  #last = Promise.resolve();
  #copies = 0;
  #directory;

  /** @param {World} world @param {Cast} cast @param {string} directory for copies */
  constructor(world, cast, directory) {
    this.#world = world;
    this.#cast = cast;
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  /** @param {Step} step @returns {Promise<void>} resolves when it is over; never rejects */
  async carryOut(step) {
    const { journal } = this.#world;
    journal.count(`fault: ${step.kind}`);
    journal.fault(JSON.stringify(step));
    try {
      await this.#do(step);
    } catch (error) {
      // What a fault does to the server is judged elsewhere: here it could not be carried out.
      this.#world.reportError(error, `fault: ${step.kind}`, Date.now() - 5_000, null);
    }
  }

  /** Resolves when nothing is being done to the process. */
  settled() {
    return this.#last;
  }

  /** @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  #alone(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** @param {Step} step @returns {Promise<unknown>} */
  async #do({ kind, forMs = 0, gapMs = 0, delayMs = 0, change }) {
    const { server, disturbances, journal } = this.#world;
    const random = this.#world.random(`fault at ${forMs} ${gapMs}`);
    switch (kind) {
      case 'kill':
        return this.#alone(() => this.#restart('SIGKILL', gapMs));
      case 'stop':
        return this.#alone(() => this.#restart('SIGTERM', gapMs));
      case 'sleep':
        return this.#alone(async () => {
          const end = disturbances.begin('sleep');
          await server.pauseProcess(() => sleep(forMs));
          end();
        });
      case 'storm': {
        const attached = this.#attached();
        for (const device of this.#cast.devices) device.storm();
        return this.#back('storm', attached);
      }
      case 'policy':
        await server.up();
        return this.#world.policy(change ?? {});
      case 'revokeMany':
        for (let count = 0; count < 20; count++) await endSessions(this.#world, random, count % 2 === 0);
        return;
      case 'feedCut':
        for (const follower of this.#cast.followers) follower.cut();
        return;
      case 'slowDisk':
        return this.#withDisk('slowDisk', forMs, (disk, isBad) => (disk.fsyncMs = isBad ? delayMs : 0));
      case 'fullDisk':
        // A server that starts on a full disk cannot: that is another test's.
        return this.#alone(() => this.#withDisk('fullDisk', forMs, (disk, isBad) => (disk.isFull = isBad)));
      case 'longReader':
        return this.#longReader(forMs);
      case 'writerLock':
        return this.#writerLock(forMs);
      case 'copy':
        return this.#alone(() => this.#copy());
      case 'backup':
        return this.#backup();
      default:
        return journal.count(`not possible here: ${kind}`);
    }
  }

  /** @param {'SIGKILL' | 'SIGTERM'} signal @param {number} gapMs how long no server runs */
  async #restart(signal, gapMs) {
    const { server, disturbances, journal, policies } = this.#world;
    const end = disturbances.begin('down');
    const attached = this.#attached();
    try {
      const exit = await server.end(signal);
      if (signal === 'SIGTERM' && exit.code !== 0) journal.violate('exit', `after SIGTERM: ${JSON.stringify(exit)}`);
      await sleep(gapMs);
      const epoch = await this.#start();
      this.starts.add(epoch.readyAt - epoch.spawnedAt);
      if (policies.isUnsure) await this.#world.policy(null);
    } finally {
      end();
    }
    await this.#back('restart', attached);
  }

  /** The server must start. If it does not, it is started once more. */
  async #start() {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#world.server.start();
      } catch (error) {
        this.#world.journal.violate('start', String(error));
        if (tries === 5) throw error;
        await sleep(1_000);
      }
    }
  }

  #attached() {
    return this.#cast.devices.filter(({ isAttached }) => isAttached).length;
  }

  /** Waits until all clients are connected again. @param {string} what @param {number} attached how many sockets were attached before */
  async #back(what, attached) {
    const { journal, isOver } = this.#world;
    const began = Date.now();
    const areBack = await waitUntil(
      () => this.#world.isOver || this.#attached() >= 0.9 * attached,
      Math.min(BACK_WITHIN_MS, 10_000),
    );
    if (areBack && what === 'restart') this.recoveries.add(Date.now() - began);
    if (!areBack && !isOver) journal.count(`${what}: fewer were back after ten seconds`);
  }

  /**
   * @param {string} kind
   * @param {number} forMs
   * @param {(disk: import('./disk.js').Disk, isBad: boolean) => void} make
   */
  async #withDisk(kind, forMs, make) {
    const { disk } = this.#cast;
    const end = this.#world.disturbances.begin(kind);
    try {
      make(disk, true);
      await sleep(forMs);
    } finally {
      make(disk, false);
      end();
    }
  }

  /** Holds one read snapshot for long: SQLite cannot fold its write-ahead log into the file. @param {number} forMs */
  async #longReader(forMs) {
    const reader = new Database(this.#world.server.database, { readonly: true, timeout: 0 });
    try {
      reader.exec('BEGIN');
      reader.prepare('SELECT count(*) FROM sqlite_master').get();
      await this.#world.pauses.pause(forMs);
      reader.exec('COMMIT');
    } finally {
      reader.close();
    }
  }

  /** Another process holds the write lock. @param {number} forMs */
  async #writerLock(forMs) {
    const { server, disturbances, journal } = this.#world;
    const writer = new Database(server.database, { timeout: 0 });
    try {
      let isHeld = false;
      await waitUntil(
        () => {
          try {
            writer.exec('BEGIN IMMEDIATE');
            return (isHeld = true);
          } catch {
            // The server is writing at this very moment.
            return false;
          }
        },
        5_000,
        3,
      );
      if (!isHeld) return journal.count('not possible here: writerLock');
      const end = disturbances.begin('writerLock');
      await sleep(forMs);
      writer.exec('ROLLBACK');
      end();
    } finally {
      writer.close();
    }
  }

  /** What would be on the disk if the power failed now: all files as of one moment. */
  async #copy() {
    const { server, disturbances } = this.#world;
    if (!server.isUp) return;
    const copy = join(this.#directory, `copy-${++this.#copies}.db`);
    const end = disturbances.begin('sleep');
    await server.pauseProcess(async () => {
      for (const suffix of ['', '-wal']) {
        // Not synchronously: it may be large, and the clients must go on.
        if (existsSync(server.database + suffix)) await copyFile(server.database + suffix, copy + suffix);
      }
    });
    end();
    await this.#examine(copy, 'a copy of the files');
  }

  async #backup() {
    const { server, journal } = this.#world;
    await server.up();
    const copy = join(this.#directory, `backup-${++this.#copies}.db`);
    const since = Date.now();
    const { code, said } = await server.command(['backup', copy]);
    if (isUnknownCommand(code, said)) return journal.count('not possible here: backup');
    if (code !== 0 && !this.#world.disturbances.between(since, Date.now()))
      journal.violate('backup', `exit ${code}: ${said.slice(-2_000)}`);
    if (code === 0) await this.#examine(copy, 'a backup');
  }

  /** @param {string} copy @param {string} what */
  async #examine(copy, what) {
    const { server, journal } = this.#world;
    const { code, said } = await server.command(['doctor', copy]);
    if (isUnknownCommand(code, said)) journal.count('not possible here: doctor');
    else if (code !== 0) journal.violate('doctor', `${what}: exit ${code}: ${said.slice(-3_000)}`);
    else journal.count('copies found healthy');
    for (const suffix of ['', '-wal', '-shm']) rmSync(copy + suffix, { force: true });
  }
}

/** @param {number | null} code @param {string} said */
export const isUnknownCommand = (code, said) => code === 2 && /unknown command|no such command/i.test(said);
