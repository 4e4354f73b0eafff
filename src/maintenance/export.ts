/** `porchlight export`: writes the event log as JSON Lines. It reads the database file directly. */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { eventToJson } from '../app/shared/event-json.ts';
import { UsageError } from '../config/errors.ts';
import { DomainError } from '../core/errors.ts';
import { parseCursor, parseUserId } from '../core/ids.ts';
import { writeAtomically } from '../process/atomic-file.ts';
import { StartupError } from '../process/startup-error.ts';
import { openEventExport, type EventExport } from '../storage/sqlite/offline/export-events.ts';
import { toCommandError } from './command-errors.ts';
import { createProgressLine, type ProgressLine } from './progress-line.ts';
import { trapSignals, type SignalGuard } from './signal-guard.ts';

export interface ExportRequest {
  readonly database: string;
  /** Null: stdout. */
  readonly file: string | null;
  /** The cursor after which the export starts. Null: it starts with the oldest event. */
  readonly after: string | null;
  /** Only the events of this user. Null: the events of all users. */
  readonly user: string | null;
  /** Overwrite an existing file. */
  readonly force: boolean;
  /** Show the progress even if stderr is not a terminal. */
  readonly progress: boolean;
}

export interface ExportResult {
  readonly events: number;
  /** The cursor of the last event in the log. The next export continues after it. */
  readonly cursor: string;
}

/**
 * @returns null when the reader of stdout closed it, which is not an error.
 * @throws UsageError for an invalid cursor or user id; StartupError for every other failure.
 */
export const exportEvents = async (request: ExportRequest): Promise<ExportResult | null> => {
  const progressLine = createProgressLine(process.stderr, request.progress, 'export', () => performance.now());
  const signals = trapSignals();
  const source = openSource(request);
  try {
    const count = await withOutput(request, (out) => writeEvents(source, out, progressLine, signals));
    return count === null ? null : { events: count, cursor: source.through };
  } catch (error) {
    throw toCommandError(error);
  } finally {
    source.close();
    signals.release();
    progressLine.clear();
  }
};

const openSource = ({ database, after, user }: ExportRequest): EventExport => {
  try {
    return openEventExport(
      database,
      after === null ? null : parseCursor(after),
      user === null ? undefined : parseUserId(user),
    );
  } catch (error) {
    if (!(error instanceof DomainError)) throw toCommandError(error);
    if (error.details.code === 'CURSOR_EXPIRED') throw new StartupError(`${error.message} (CURSOR_EXPIRED)`, 1);
    throw new UsageError(error.message);
  }
};

const withOutput = async (
  { file, force }: ExportRequest,
  write: (out: Writable) => Promise<number | null>,
): Promise<number | null> => {
  if (file === null) return write(process.stdout);
  return writeAtomically(file, force, async (partialPath) => {
    const out = createWriteStream(partialPath);
    const closed = once(out, 'close');
    // A write that fails reports its error itself.
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

/** @returns the number of events, or null when the reader of stdout closed it. */
const writeEvents = async (
  { events }: EventExport,
  out: Writable,
  progressLine: ProgressLine,
  signals: SignalGuard,
): Promise<number | null> => {
  const startedAt = performance.now();
  let count = 0;
  let chunk = '';
  const flushChunk = async (): Promise<'written' | 'closed'> => {
    const error = await writeText(out, chunk);
    chunk = '';
    if (error === null) return 'written';
    if (error.code === 'EPIPE' && out === process.stdout) return 'closed';
    throw error;
  };
  for (const { event, progress } of events) {
    chunk += `${JSON.stringify(eventToJson(event))}\n`;
    count++;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    if ((await flushChunk()) === 'closed') return null;
    signals.throwIfInterrupted();
    const rate = Math.round((count * 1_000) / Math.max(1, performance.now() - startedAt));
    progressLine.update(progress, `${count} events, ${rate} per second`);
  }
  return chunk !== '' && (await flushChunk()) === 'closed' ? null : count;
};

/** @returns the error, or null after the text was written. */
const writeText = (out: Writable, text: string): Promise<NodeJS.ErrnoException | null> =>
  new Promise((resolve) => void out.write(text, (error) => resolve(error ?? null)));
