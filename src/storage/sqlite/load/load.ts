/**
 * What a start reads into memory: everyone who is not OFFLINE, as `afterRestart` says. Reading rows is
 * nearly all of the work, so in a large file another thread reads the sessions while this one reads
 * the users, and one more checks the file. The event loop is held up for some milliseconds at a time:
 * there may be clients who want to know what is going on.
 */
import { on } from 'node:events';
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { Millis } from '../../../core/ids.ts';
import { sessionAfterRestart } from '../../../core/state-machine.ts';
import { workerUrl } from '../../../process/worker-url.ts';
import { packSessions, type SessionChunk, type SessionOf } from '../../memory/packed/session-chunks.ts';
import { Present } from '../../memory/active-users.ts';
import { Reader } from '../read/reader.ts';
import { turn } from '../../yield-to-event-loop.ts';

/** Below, a thread takes longer to start than it saves. */
const LARGE_FILE_BYTES = 32 << 20;
/** So many users or sessions are a few milliseconds. */
const PORTION = 1_000;
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

/** A file of which it is worth while to have other threads read parts. */
export const isLarge = (path: string): boolean => statSync(path).size >= LARGE_FILE_BYTES;

/**
 * @param check throws if the file is damaged. Begins after the users were read, because the thread still
 * has the sessions to read then; what it throws comes before whatever reading a damaged file comes to.
 * @param inThread are the sessions read by another thread?
 */
export const loadFile = async (
  path: string,
  now: Millis,
  check: () => Promise<void> | void,
  inThread = isLarge(path),
): Promise<Loaded> => {
  const thread = inThread ? startThread({ path, now }) : null;
  // Heard from now on, or it would be lost: what the thread sends waits here until the users are read.
  const replies = thread === null ? null : on(thread, 'message', { close: ['exit'] });
  let reader: Reader | undefined;
  let checked = false;
  try {
    reader = new Reader(path);
    const present = new Present(now);
    await inPortions(reader.presentUsers(), (user) => present.load(user));
    checked = true;
    await check();
    for await (const chunk of replies === null ? liveSessionChunks(reader, now) : chunksOf(replies)) {
      await inPortions(present.sessionsIn(chunk), (session) => present.loadSession(session));
    }
    return { reader, present };
  } catch (error) {
    reader?.close();
    await thread?.terminate();
    if (!checked) await check();
    throw error;
  }
};

/** In between, everybody else has a turn. */
const inPortions = async <Item>(items: Iterable<Item>, take: (item: Item) => void): Promise<void> => {
  let left = PORTION;
  for (const item of items) {
    take(item);
    if (--left > 0) continue;
    left = PORTION;
    await turn();
  }
};

/** The live sessions as they are after a restart. */
export const liveSessionChunks = (reader: Reader, now: Millis, chunkBytes?: number): Iterable<SessionChunk> =>
  packSessions(restarted(reader.liveSessions(), now), chunkBytes);

function* restarted(sessions: Iterable<SessionOf>, now: Millis): Iterable<SessionOf> {
  for (const { userId, session } of sessions) yield { userId, session: sessionAfterRestart(session, now) };
}

const WORKER_URL = workerUrl(import.meta.url, './loader-worker.js');

const startThread = (data: LoaderData): Worker => {
  const thread = new Worker(WORKER_URL, { workerData: data });
  // What becomes of it is told with its replies; if something else failed before, nobody asks.
  return thread.on('error', () => undefined);
};

/** @throws what kept the thread from reading. */
async function* chunksOf(replies: AsyncIterable<unknown[]>): AsyncIterable<SessionChunk> {
  for await (const [message] of replies) {
    const reply = message as LoaderReply;
    if (reply.kind === 'done') return;
    if (reply.kind === 'chunk') yield reply.chunk;
    else throw reply.code === null ? new Error(reply.message) : new Database.SqliteError(reply.message, reply.code);
  }
  throw new Error('The thread that reads sessions ended by itself.');
}
