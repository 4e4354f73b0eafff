/** `porchlight export`: the event log as JSON Lines, from the database itself. */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { LoggedEvent } from '../app/ports/presence-store.ts';
import { toldEvent } from '../app/shared/event-json.ts';
import { UsageError } from '../config/errors.ts';
import { DomainError } from '../core/errors.ts';
import { cursor, userId } from '../core/ids.ts';
import { StartupError } from '../process/startup-error.ts';
import { openEventExport, type EventExport } from '../storage/sqlite/offline/export-events.ts';
import { trapSignals, type SignalGuard } from './signal-guard.ts';
import { createProgressLine, type ProgressLine } from './progress-line.ts';
import { toStartupError } from './storage-errors.ts';
import { writeAtomically } from './atomic-file.ts';

export interface ExportRequest {
  readonly database: string;
  /** Null: stdout. */
  readonly file: string | null;
  readonly after: string | null;
  readonly user: string | null;
  readonly force: boolean;
  readonly progress: boolean;
}

export interface ExportResult {
  readonly events: number;
  /** The next export goes on after this one. */
  readonly cursor: string;
}

/** @returns null when the reader of stdout has gone, which is its right. @throws UsageError, StartupError. */
export const exportEvents = async (request: ExportRequest): Promise<ExportResult | null> => {
  const shown = createProgressLine(process.stderr, request.progress, 'export', () => performance.now());
  const interrupted = trapSignals();
  const stored = opened(request);
  try {
    const events = await written(request, (out) => writeLines(stored, out, shown, interrupted));
    return events === null ? null : { events, cursor: stored.through };
  } catch (error) {
    throw toStartupError(error);
  } finally {
    stored.close();
    interrupted.release();
    shown.clear();
  }
};

const opened = ({ database, after, user }: ExportRequest): EventExport => {
  try {
    return openEventExport(database, after === null ? null : cursor(after), user === null ? undefined : userId(user));
  } catch (error) {
    if (!(error instanceof DomainError)) throw toStartupError(error);
    if (error.fault.code === 'CURSOR_EXPIRED') throw new StartupError(`${error.message} (CURSOR_EXPIRED)`, 1);
    throw new UsageError(error.message);
  }
};

const written = async (
  { file, force }: ExportRequest,
  write: (out: Writable) => Promise<number | null>,
): Promise<number | null> => {
  if (file === null) return write(process.stdout);
  return writeAtomically(file, force, async (partial) => {
    const out = createWriteStream(partial);
    const closed = once(out, 'close');
    // What goes wrong before the end is told by the write that failed.
    closed.catch(() => undefined);
    try {
      return await write(out);
    } finally {
      out.end();
      await closed;
    }
  });
};

const CHUNK_CHARACTERS = 65_536;

/** @returns how many; null when the reader has gone. */
const writeLines = async (
  { events }: EventExport,
  out: Writable,
  shown: ProgressLine,
  interrupted: SignalGuard,
): Promise<number | null> => {
  const began = performance.now();
  /** @returns why it was not written; null when it was. */
  const flushed = (text: string): Promise<NodeJS.ErrnoException | null> =>
    new Promise((resolve) => void out.write(text, (error) => resolve(error ?? null)));
  let count = 0;
  let chunk = '';
  const flush = async (): Promise<'written' | 'gone'> => {
    const error = await flushed(chunk);
    chunk = '';
    if (error === null) return 'written';
    if (error.code === 'EPIPE' && out === process.stdout) return 'gone';
    throw error;
  };
  for (const { event, progress: done } of events) {
    chunk += lineOf(event);
    count++;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    if ((await flush()) === 'gone') return null;
    interrupted.throwIfInterrupted();
    const rate = Math.round((count * 1_000) / Math.max(1, performance.now() - began));
    shown.update(done, `${count} events, ${rate} a second`);
  }
  return chunk !== '' && (await flush()) === 'gone' ? null : count;
};

const lineOf = (event: LoggedEvent): string => `${JSON.stringify(toldEvent(event))}\n`;
