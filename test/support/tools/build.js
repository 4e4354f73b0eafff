#!/usr/bin/env node
// Compiles src/ to dist/. The output is written beside dist/ and swapped in when it is complete, so that a failed
// build leaves the last good one in place and two builds at once cannot mix their files.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const dist = join(root, 'dist');
// A sibling of dist/, at the same depth: the source maps hold relative paths.
const fresh = mkdtempSync(join(root, '.build-'));

/** Puts the fresh output in the place of dist/. */
function swap() {
  for (let attempt = 0; ; attempt++) {
    const old = `${fresh}-old`;
    try {
      if (existsSync(dist)) renameSync(dist, old);
      renameSync(fresh, dist);
      rmSync(old, { recursive: true, force: true });
      return;
    } catch (error) {
      // Another build swapped its own output in between the two renames.
      rmSync(old, { recursive: true, force: true });
      if (attempt === 9) throw error;
    }
  }
}

try {
  const tsc = join(root, 'node_modules/typescript-7/bin/tsc');
  const compiled = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', fresh], {
    cwd: root,
    stdio: 'inherit',
  });
  if (compiled.error) throw compiled.error;
  if (compiled.status === 0) {
    chmodSync(fresh, 0o755);
    // `bin` of package.json. npx runs it from here without an installation, so it must be executable.
    chmodSync(join(fresh, 'cli', 'cli.js'), 0o755);
    swap();
  } else {
    process.exitCode = compiled.status ?? 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
