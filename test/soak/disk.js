// The disk under the server's files, made slow or full while it runs.
import { Buffer } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./disk.c', import.meta.url));

export class Disk {
  /** For the environment of the server. @type {Record<string, string>} */
  env = {};
  #file = -1;
  #fsyncMs = 0;
  #isFull = false;

  /** @param {string} directory for what is made. @throws when there is no compiler */
  constructor(directory) {
    const library = join(directory, 'disk.so');
    const made = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl'], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`The disk could not be compiled: ${made.error ?? made.stderr}`);
    const control = join(directory, 'disk.control');
    this.#file = openSync(control, 'w+');
    this.#tell();
    this.env = { LD_PRELOAD: library, SOAK_DISK: control };
  }

  /** How long every flush takes on top, in ms; 0: nothing. */
  set fsyncMs(/** @type {number} */ ms) {
    this.#fsyncMs = ms;
    this.#tell();
  }

  /** Nothing can be written. */
  set isFull(/** @type {boolean} */ isFull) {
    this.#isFull = isFull;
    this.#tell();
  }

  close() {
    closeSync(this.#file);
  }

  #tell() {
    const control = Buffer.alloc(8);
    control.writeInt32LE(this.#fsyncMs, 0);
    control.writeInt32LE(this.#isFull ? 1 : 0, 4);
    writeSync(this.#file, control, 0, 8, 0);
  }
}
