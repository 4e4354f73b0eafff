/** `porchlight backup`: a copy of the database while a server serves it. */
import { statSync } from 'node:fs';
import { copyDatabase } from '../storage/sqlite/offline/backup.ts';
import type { RowCounts } from '../storage/sqlite/offline/row-counts.ts';
import { trapSignals } from './signal-guard.ts';
import { createProgressLine } from './progress-line.ts';
import { toStartupError } from './storage-errors.ts';
import { writeAtomically } from './atomic-file.ts';

export interface BackupRequest {
  readonly database: string;
  readonly file: string;
  readonly force: boolean;
  readonly progress: boolean;
  readonly json: boolean;
}

/** @returns what was saved, as text that ends with a line break. @throws StartupError; no file is left then. */
export const runBackup = async ({ database, file, force, progress, json }: BackupRequest): Promise<string> => {
  const shown = createProgressLine(process.stderr, progress, 'backup', () => performance.now());
  const interrupted = trapSignals();
  try {
    const counted = await writeAtomically(file, force, (partial) =>
      copyDatabase(database, partial, (done) => {
        interrupted.throwIfInterrupted();
        shown.update(done);
      }),
    );
    return describe({ file, bytes: statSync(file).size, ...counted }, json);
  } catch (error) {
    throw toStartupError(error);
  } finally {
    interrupted.release();
    shown.clear();
  }
};

const describe = (saved: RowCounts & { readonly file: string; readonly bytes: number }, json: boolean): string => {
  if (json) return `${JSON.stringify(saved)}\n`;
  const { users, sessions, events, cursor } = saved;
  return [
    `Saved ${saved.file}: ${saved.bytes} bytes`,
    `  users:    ${users.ONLINE} ONLINE, ${users.PUSH_ONLINE} PUSH_ONLINE, ${users.OFFLINE} OFFLINE`,
    `  sessions: ${sessions.live} live, ${sessions.ended} ended`,
    `  events:   ${events}, through ${cursor ?? 'an unknown cursor'}`,
    '',
  ].join('\n');
};
