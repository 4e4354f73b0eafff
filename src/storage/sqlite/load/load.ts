/**
 * Loads all users who are not OFFLINE into memory at startup and applies the rules for a restart. Reading rows is
 * nearly all of the work. For a large file, one thread reads the sessions while this one reads the users, and another
 * thread checks the file. The event loop is blocked for a few milliseconds at a time, because clients may already
 * send requests.
 */
import { on } from 'node:events';
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { Millis } from '../../../core/ids.ts';
import { restoreSessionAfterRestart } from '../../../core/state-machine.ts';
import { resolveWorkerUrl } from '../../../process/worker-url.ts';
import { packSessions, type SessionChunk, type UserSession } from '../../memory/packed/session-chunks.ts';
import { ActiveUsers } from '../../memory/active-users.ts';
import { DatabaseReader } from '../read/reader.ts';
import { yieldToEventLoop } from '../../yield-to-event-loop.ts';

/** For a smaller file, starting a thread takes longer than it saves. */
const LARGE_FILE_BYTES = 32 << 20;
/** This many users or sessions take a few milliseconds. */
const ITEMS_PER_SLICE = 1_000;
/**
 * Large enough that the system's allocator maps each chunk separately and unmaps it when it is freed. No chunk is
 * reused.
 */
export const THREAD_CHUNK_BYTES = 33 << 20;

export interface LoaderInput {
  readonly path: string;
  readonly now: Millis;
}

export type LoaderReply =
  | { readonly kind: 'chunk'; readonly chunk: SessionChunk }
  | { readonly kind: 'done' }
  /** `code` is the error code of SQLite; null for other errors. */
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | null };

/** An open connection and the active users loaded from it. */
export interface LoadedDatabase {
  readonly reader: DatabaseReader;
  readonly activeUsers: ActiveUsers;
}

/** Returns whether it is worth using threads to read the file. */
export const isLargeFile = (path: string): boolean => statSync(path).size >= LARGE_FILE_BYTES;

/**
 * @param checkIntegrity throws if the file is damaged. It starts after the users are read, while the thread still
 * reads sessions. Its error takes precedence over errors of reading a damaged file.
 * @param useThread reads the sessions in another thread.
 */
export const loadDatabase = async (
  path: string,
  now: Millis,
  checkIntegrity: () => Promise<void> | void,
  useThread = isLargeFile(path),
): Promise<LoadedDatabase> => {
  const thread = useThread ? startLoaderThread({ path, now }) : null;
  // Subscribed now, or messages would be lost. Replies are buffered here until the users are read.
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
      await processInSlices(activeUsers.readChunkSessions(chunk), (session) => activeUsers.loadSession(session));
    }
    return { reader, activeUsers };
  } catch (error) {
    reader?.close();
    await thread?.terminate();
    if (!isChecked) await checkIntegrity();
    throw error;
  }
};

/** Processes the items in slices, with a turn of the event loop after each. */
const processInSlices = async <Item>(items: Iterable<Item>, processItem: (item: Item) => void): Promise<void> => {
  let left = ITEMS_PER_SLICE;
  for (const item of items) {
    processItem(item);
    if (--left > 0) continue;
    left = ITEMS_PER_SLICE;
    await yieldToEventLoop();
  }
};

/** Returns the live sessions with the rules for a restart applied. */
export const readLiveSessionChunks = (
  reader: DatabaseReader,
  now: Millis,
  chunkBytes?: number,
): Iterable<SessionChunk> => packSessions(applyRestart(reader.iterateLiveSessions(), now), chunkBytes);

function* applyRestart(sessions: Iterable<UserSession>, now: Millis): Iterable<UserSession> {
  for (const { userId, session } of sessions) yield { userId, session: restoreSessionAfterRestart(session, now) };
}

const WORKER_URL = resolveWorkerUrl(import.meta.url, './loader-worker.js');

const startLoaderThread = (data: LoaderInput): Worker => {
  const thread = new Worker(WORKER_URL, { workerData: data });
  // The replies report the result. If something else fails first, the error of the thread is ignored.
  return thread.on('error', () => undefined);
};

/** @throws the error that stopped the thread. */
async function* receiveChunks(replies: AsyncIterable<unknown[]>): AsyncIterable<SessionChunk> {
  for await (const [message] of replies) {
    const reply = message as LoaderReply;
    if (reply.kind === 'done') return;
    if (reply.kind === 'chunk') yield reply.chunk;
    else throw reply.code === null ? new Error(reply.message) : new Database.SqliteError(reply.message, reply.code);
  }
  throw new Error('The thread that reads sessions ended unexpectedly.');
}
