/** Makes the disk of a server full or slow while it runs: see disk-shim.c. */
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

  /** The environment to start the server with. */
  get env(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#shim, DISK_FAULTS: this.#directory, DISK_OF: 'porchlight.db' };
  }

  /** Makes every write fail from now on. */
  fill(): void {
    writeFileSync(join(this.#directory, 'full'), '');
  }

  /** Makes every fsync take this much longer. */
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
