/** `porchlight backup`: copies the database while a server may be using it. */
import { statSync } from 'node:fs';
import { copyDatabase } from '../storage/sqlite/offline/backup.ts';
import { writeAtomically } from '../process/atomic-file.ts';
import { toCommandError } from './command-errors.ts';
import { createProgressLine } from './progress-line.ts';
import { renderRowCounts } from './render-row-counts.ts';
import { trapSignals } from './signal-guard.ts';

export interface BackupRequest {
  readonly database: string;
  readonly file: string;
  /** Overwrite an existing file. */
  readonly force: boolean;
  /** Show the progress even if stderr is not a terminal. */
  readonly progress: boolean;
  readonly json: boolean;
}

/**
 * @returns a summary of the copy as text or JSON, ending with a line break.
 * @throws StartupError. No file is left behind then.
 */
export const runBackup = async ({ database, file, force, progress, json }: BackupRequest): Promise<string> => {
  const progressLine = createProgressLine(process.stderr, progress, 'backup', () => performance.now());
  const signals = trapSignals();
  try {
    const counts = await writeAtomically(file, force, (partialPath) =>
      copyDatabase(database, partialPath, (done) => {
        signals.throwIfInterrupted();
        progressLine.update(done);
      }),
    );
    const copy = { file, bytes: statSync(file).size, ...counts };
    if (json) return `${JSON.stringify(copy)}\n`;
    return [`Saved ${file}: ${copy.bytes} bytes`, ...renderRowCounts(counts), ''].join('\n');
  } catch (error) {
    throw toCommandError(error);
  } finally {
    signals.release();
    progressLine.clear();
  }
};
