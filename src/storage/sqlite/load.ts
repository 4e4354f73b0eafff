/**
 * What a start reads into memory: everyone who is not OFFLINE, as `afterRestart` says. Reading rows is
 * nearly all of the work, so in a large file another thread reads the sessions while this one reads
 * the users and then checks the file.
 */
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { Millis } from '../../core/ids.ts';
import { sessionAfterRestart } from '../../core/presence.ts';
import { packSessions, type SessionChunk, type SessionOf } from '../packed/session-chunks.ts';
import { Present } from './present.ts';
import { Reader } from './reader.ts';

/** Below, a thread takes longer to start than it saves. */
const LARGE_FILE_BYTES = 32 << 20;
/** So large that the system's allocator gets each from the system and gives it back: none is ever used again. */
export const THREAD_CHUNK_BYTES = 33 << 20;

export interface LoaderData {
  readonly path: string;
  readonly now: Millis;
}

export type LoaderReply =
  | { readonly kind: 'chunk'; readonly chunk: SessionChunk }
  | { readonly kind: 'done' }
  /** `code` is SQLite's own; null when it was something else. */
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | null };

/** A connection to a file, and whom it says to be present. */
export interface Loaded {
  readonly reader: Reader;
  readonly present: Present;
}

/**
 * @param check throws if the file is damaged. Runs after the users were read, because the thread still
 * has the sessions to read then; what it throws comes before whatever reading a damaged file comes to.
 * @param inThread are the sessions read by another thread?
 */
export const loadFile = async (
  path: string,
  now: Millis,
  check: () => void,
  inThread = statSync(path).size >= LARGE_FILE_BYTES,
): Promise<Loaded> => {
  const thread = inThread ? startThread({ path, now }) : null;
  let reader: Reader | undefined;
  let checked = false;
  try {
    reader = new Reader(path);
    const present = new Present(now);
    for (const user of reader.presentUsers()) present.load(user);
    checked = true;
    check();
    const load = (chunk: SessionChunk): void => present.loadSessions(chunk);
    if (thread !== null) await chunksOf(thread, load);
    else for (const chunk of liveSessionChunks(reader, now)) load(chunk);
    return { reader, present };
  } catch (error) {
    reader?.close();
    await thread?.terminate();
    if (!checked) check();
    throw error;
  }
};

/** The live sessions as they are after a restart. */
export const liveSessionChunks = (reader: Reader, now: Millis, chunkBytes?: number): Iterable<SessionChunk> =>
  packSessions(restarted(reader.liveSessions(), now), chunkBytes);

function* restarted(sessions: Iterable<SessionOf>, now: Millis): Iterable<SessionOf> {
  for (const { userId, session } of sessions) yield { userId, session: sessionAfterRestart(session, now) };
}

// The sources are run by tests, but a worker runs no TypeScript: there it comes from the build.
const WORKER_URL = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/storage/sqlite/loader-worker.js' : './loader-worker.js',
  import.meta.url,
);

const startThread = (data: LoaderData): Worker => {
  const thread = new Worker(WORKER_URL, { workerData: data });
  // What becomes of it is told by `chunksOf`; if something else failed before, nobody asks.
  return thread.on('error', () => undefined);
};

/**
 * Gives each chunk to `load` as it comes. To be called before the event loop has had a turn since the
 * thread was started: it would lose what the thread has sent.
 * @throws what kept the thread from reading.
 */
const chunksOf = (thread: Worker, load: (chunk: SessionChunk) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const take = (reply: LoaderReply): void => {
      if (reply.kind === 'chunk') load(reply.chunk);
      else if (reply.kind === 'done') resolve();
      else throw reply.code === null ? new Error(reply.message) : new Database.SqliteError(reply.message, reply.code);
    };
    thread.on('message', (reply: LoaderReply) => {
      try {
        take(reply);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
    thread.on('error', reject);
    thread.on('exit', (code) =>
      reject(new Error(`The thread that reads sessions ended by itself (exit code ${code}).`)),
    );
  });
