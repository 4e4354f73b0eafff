/** A server whose disk can be made full or slow while it runs: see disk-shim.c. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./disk-shim.c', import.meta.url));

export class DiskFaults implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'porchlight-disk-'));

  constructor() {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', this.#shim, SOURCE, '-ldl']);
  }

  /** What a server is to be started with. */
  get env(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#shim, DISK_FAULTS: this.#directory, DISK_OF: 'porchlight.db' };
  }

  /** From now on nothing can be written. */
  fill(): void {
    writeFileSync(join(this.#directory, 'full'), '');
  }

  /** Every fsync takes so much longer. */
  delayFsync(ms: number): void {
    writeFileSync(join(this.#directory, 'slow'), String(ms));
  }

  repair(): void {
    for (const fault of ['full', 'slow']) rmSync(join(this.#directory, fault), { force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #shim(): string {
    return join(this.#directory, 'disk-shim.so');
  }
}
