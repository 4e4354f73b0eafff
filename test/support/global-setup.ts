import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SKIPS_FILE_VARIABLE, skipSummary } from './optional-tools.ts';

/**
 * Builds dist/ once for all: tests of the command line, of worker threads and of whole servers run the compiled files.
 * @returns the teardown, which prints what was skipped for want of a program.
 */
export default function setup(): () => void {
  if (process.env.PORCHLIGHT_SKIP_BUILD !== '1') build();
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-skips-'));
  const file = join(directory, 'skips.jsonl');
  process.env[SKIPS_FILE_VARIABLE] = file;
  return () => {
    const summary = skipSummary(file);
    rmSync(directory, { recursive: true, force: true });
    if (summary !== null) console.warn(summary);
  };
}

function build(): void {
  const script = fileURLToPath(new URL('./tools/build.js', import.meta.url));
  const { status, error } = spawnSync(process.execPath, [script], { stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error('The build failed: see the messages above.');
}
