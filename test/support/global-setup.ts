import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Tests of the command line, of worker threads and of whole servers run the compiled dist/, so it is built once for all. */
export default function setup(): void {
  if (process.env.PORCHLIGHT_SKIP_BUILD === '1') return;
  const build = fileURLToPath(new URL('./tools/build.js', import.meta.url));
  const { status, error } = spawnSync(process.execPath, [build], { stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error('The build failed: see the messages above.');
}
