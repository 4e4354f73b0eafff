/** Resolves host names of a server to addresses that a test chooses while it runs: see names-shim.c. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./names-shim.c', import.meta.url));

export class FakeNameResolution implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'porchlight-names-'));
  readonly #shim = join(this.#directory, 'names-shim.so');
  readonly #file = join(this.#directory, 'names');

  /** @param names the IPv4 addresses of each name. */
  constructor(names: Readonly<Record<string, readonly string[]>>) {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', this.#shim, SOURCE, '-ldl']);
    this.setNames(names);
  }

  /** The environment to start the server with. */
  get env(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#shim, NAMES: this.#file };
  }

  /** Replaces all names from now on. */
  setNames(names: Readonly<Record<string, readonly string[]>>): void {
    const lines = Object.entries(names).map(([name, addresses]) => `${[name, ...addresses].join(' ')}\n`);
    writeFileSync(`${this.#file}.new`, lines.join(''));
    renameSync(`${this.#file}.new`, this.#file);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
