/**
 * What a start reads into memory: everyone who is not OFFLINE, as `afterRestart` says. Reading rows is
 * nearly all of the work, so in a large file another thread reads the sessions while this one reads
 * the users.
 */
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { Millis } from '../../core/ids.ts';
import { sessionAfterRestart } from '../../core/presence.ts';
import { packSessions, type SessionChunk, type SessionOf } from '../packed/session-chunks.ts';
import { Present } from './present.ts';
import type { Reader } from './reader.ts';

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

/** @param inThread are the sessions read by another thread? */
export const loadPresent = async (
  reader: Reader,
  path: string,
  now: Millis,
  inThread = statSync(path).size >= LARGE_FILE_BYTES,
): Promise<Present> => {
  const present = new Present(now);
  const sessions = inThread ? readInThread({ path, now }) : null;
  // Should the thread fail while this one reads on, it is told below.
  sessions?.catch(() => undefined);
  for (const user of reader.presentUsers()) present.load(user);
  if (sessions === null) for (const chunk of liveSessionChunks(reader, now)) present.loadSessions(chunk);
  else {
    const chunks = await sessions;
    // One after another out of the list, so that each can be given back before the last one is done.
    for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) present.loadSessions(chunk);
  }
  return present;
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

/** @throws what kept the thread from reading. */
const readInThread = (data: LoaderData): Promise<SessionChunk[]> => {
  const worker = new Worker(WORKER_URL, { workerData: data });
  return new Promise((resolve, reject) => {
    const chunks: SessionChunk[] = [];
    worker.on('message', (reply: LoaderReply) => {
      if (reply.kind === 'chunk') chunks.push(reply.chunk);
      else if (reply.kind === 'done') resolve(chunks);
      else reject(reply.code === null ? new Error(reply.message) : new Database.SqliteError(reply.message, reply.code));
    });
    worker.on('error', reject);
    worker.on('exit', (code) =>
      reject(new Error(`The thread that reads sessions ended by itself (exit code ${code}).`)),
    );
  });
};
