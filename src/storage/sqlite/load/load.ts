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
import { resolveWorkerUrl } from '../../../process/worker-url.ts';
import { packSessions, type SessionChunk, type UserSession } from '../../memory/packed/session-chunks.ts';
import { ActiveUsers } from '../../memory/active-users.ts';
import { DatabaseReader } from '../read/reader.ts';
import { yieldToEventLoop } from '../../yield-to-event-loop.ts';

/** Below, a thread takes longer to start than it saves. */
const LARGE_FILE_BYTES = 32 << 20;
/** So many users or sessions are a few milliseconds. */
const ITEMS_PER_SLICE = 1_000;
/** So large that the system's allocator gets each from the system and gives it back: none is ever used again. */
export const THREAD_CHUNK_BYTES = 33 << 20;

export interface LoaderInput {
  readonly path: string;
  readonly now: Millis;
}

export type LoaderReply =
  | { readonly kind: 'chunk'; readonly chunk: SessionChunk }
  | { readonly kind: 'done' }
  /** `code` is SQLite's own; null when it was something else. */
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | null };

/** A connection to a file, and whom it says to be present. */
export interface LoadedDatabase {
  readonly reader: DatabaseReader;
  readonly activeUsers: ActiveUsers;
}

/** A file of which it is worth while to have other threads read parts. */
export const isLargeFile = (path: string): boolean => statSync(path).size >= LARGE_FILE_BYTES;

/**
 * @param checkIntegrity throws if the file is damaged. Begins after the users were read, because the thread still
 * has the sessions to read then; what it throws comes before whatever reading a damaged file comes to.
 * @param useThread are the sessions read by another thread?
 */
export const loadDatabase = async (
  path: string,
  now: Millis,
  checkIntegrity: () => Promise<void> | void,
  useThread = isLargeFile(path),
): Promise<LoadedDatabase> => {
  const thread = useThread ? startLoaderThread({ path, now }) : null;
  // Heard from now on, or it would be lost: what the thread sends waits here until the users are read.
  const replies = thread === null ? null : on(thread, 'message', { close: ['exit'] });
  let reader: DatabaseReader | undefined;
  let isChecked = false;
  try {
    reader = new DatabaseReader(path);
    const activeUsers = new ActiveUsers(now);
    await processInSlices(reader.iterateActiveUsers(), (user) => activeUsers.loadUser(user));
    isChecked = true;
    await checkIntegrity();
    for await (const chunk of replies === null ? readLiveSessionChunks(reader, now) : receiveChunks(replies)) {
      await processInSlices(activeUsers.unpackSessions(chunk), (session) => activeUsers.loadSession(session));
    }
    return { reader, activeUsers };
  } catch (error) {
    reader?.close();
    await thread?.terminate();
    if (!isChecked) await checkIntegrity();
    throw error;
  }
};

/** In between, everybody else has a turn. */
const processInSlices = async <Item>(items: Iterable<Item>, processItem: (item: Item) => void): Promise<void> => {
  let left = ITEMS_PER_SLICE;
  for (const item of items) {
    processItem(item);
    if (--left > 0) continue;
    left = ITEMS_PER_SLICE;
    await yieldToEventLoop();
  }
};

/** The live sessions as they are after a restart. */
export const readLiveSessionChunks = (
  reader: DatabaseReader,
  now: Millis,
  chunkBytes?: number,
): Iterable<SessionChunk> => packSessions(applyRestart(reader.iterateLiveSessions(), now), chunkBytes);

function* applyRestart(sessions: Iterable<UserSession>, now: Millis): Iterable<UserSession> {
  for (const { userId, session } of sessions) yield { userId, session: sessionAfterRestart(session, now) };
}

const WORKER_URL = resolveWorkerUrl(import.meta.url, './loader-worker.js');

const startLoaderThread = (data: LoaderInput): Worker => {
  const thread = new Worker(WORKER_URL, { workerData: data });
  // What becomes of it is told with its replies; if something else failed before, nobody asks.
  return thread.on('error', () => undefined);
};

/** @throws what kept the thread from reading. */
async function* receiveChunks(replies: AsyncIterable<unknown[]>): AsyncIterable<SessionChunk> {
  for await (const [message] of replies) {
    const reply = message as LoaderReply;
    if (reply.kind === 'done') return;
    if (reply.kind === 'chunk') yield reply.chunk;
    else throw reply.code === null ? new Error(reply.message) : new Database.SqliteError(reply.message, reply.code);
  }
  throw new Error('The thread that reads sessions ended by itself.');
}
