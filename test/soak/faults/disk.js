// The disk under the server's files, made slow or full while it runs: see ../tools/disk-shim.c.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../../support/faults/disk-shim.c', import.meta.url));

export class Disk {
  /** For the environment of the server. @type {Readonly<Record<string, string>>} */
  env;
  #faults;

  /** @param {string} directory for what is made. @throws when there is no compiler */
  constructor(directory) {
    const library = join(directory, 'disk.so');
    const made = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl'], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`The disk could not be compiled: ${made.error ?? made.stderr}`);
    this.#faults = join(directory, 'disk');
    mkdirSync(this.#faults);
    this.env = { LD_PRELOAD: library, DISK_FAULTS: this.#faults, DISK_OF: 'porchlight.db' };
  }

  /** How long every flush takes on top, in ms; 0: nothing. */
  set fsyncMs(/** @type {number} */ ms) {
    this.#put('slow', ms > 0 ? String(ms) : null);
  }

  /** Nothing can be written. */
  set isFull(/** @type {boolean} */ isFull) {
    this.#put('full', isFull ? '' : null);
  }

  /** @param {'slow' | 'full'} fault @param {string | null} how null: not any more */
  #put(fault, how) {
    const file = join(this.#faults, fault);
    if (how === null) rmSync(file, { force: true });
    else writeFileSync(file, how);
  }
}
