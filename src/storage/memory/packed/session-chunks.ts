/**
 * Sessions in packed form on their way from whoever reads them to the table of users, which may be
 * another thread: many in one buffer, each behind its user's id and the deadline it has.
 */
import { sessionDeadline } from '../../../core/deadlines.ts';
import type { Millis, UserId } from '../../../core/ids.ts';
import type { Timings } from '../../../core/policy.ts';
import type { SessionRecord } from '../../../core/records.ts';
import { ByteReader, ByteWriter } from './varint-bytes.ts';
import { RecordCodec } from './record-codec.ts';

const CHUNK_BYTES = 1 << 20;
/** What one session rarely exceeds. */
const SLACK_BYTES = 4_096;

export interface SessionOf {
  readonly userId: UserId;
  readonly session: SessionRecord;
}

export interface SessionChunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the sessions of this chunk, and of those before it, call their timings by. */
  readonly timings: readonly Timings[];
}

/** A session within a chunk. */
export interface PackedSession {
  readonly userId: UserId;
  readonly deadline: Millis;
  readonly bytes: Buffer;
  readonly start: number;
}

/** In the order given. */
export function* packSessions(sessions: Iterable<SessionOf>, chunkBytes = CHUNK_BYTES): Iterable<SessionChunk> {
  const codec = new RecordCodec();
  const open = () => new ByteWriter(chunkBytes + SLACK_BYTES);
  let chunk = open();
  const closed = (): SessionChunk => ({ bytes: chunk.written(), timings: [...codec.timings] });
  for (const { userId, session } of sessions) {
    chunk.text(userId);
    chunk.number(sessionDeadline(session).at, 0);
    codec.putSession(chunk, session);
    if (chunk.at < chunkBytes) continue;
    yield closed();
    chunk = open();
  }
  if (chunk.at > 0) yield closed();
}

/** @param codec knows the timings of the chunk by their names. */
export function* unpackSessions({ bytes }: SessionChunk, codec: RecordCodec): Iterable<PackedSession> {
  const from = new ByteReader();
  from.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  while (from.at < from.bytes.length) {
    const userId = from.text() as UserId;
    const deadline = from.number(0) as Millis;
    const start = from.at;
    from.skip(codec.sessionLength(from.bytes, start));
    yield { userId, deadline, bytes: from.bytes, start };
  }
}
