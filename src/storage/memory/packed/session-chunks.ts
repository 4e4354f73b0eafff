/**
 * Packed sessions in transit from their reader, possibly another thread, to the user table. A chunk holds many
 * sessions in one buffer, each after its user id and its deadline.
 */
import { computeSessionDeadline } from '../../../core/deadlines.ts';
import type { Millis, UserId } from '../../../core/ids.ts';
import type { Timings } from '../../../core/policy.ts';
import type { SessionRecord } from '../../../core/records.ts';
import { ByteReader, ByteWriter } from './varint-bytes.ts';
import { RecordCodec } from './record-codec.ts';

const CHUNK_BYTES = 1 << 20;
/** Room for one session beyond the chunk size. A session is rarely larger. */
const SESSION_SLACK_BYTES = 4_096;

export interface UserSession {
  readonly userId: UserId;
  readonly session: SessionRecord;
}

export interface SessionChunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The shared timings that the sessions of this chunk and of earlier chunks reference by index. */
  readonly sharedTimings: readonly Timings[];
}

/** A session within a chunk. */
export interface PackedSession {
  readonly userId: UserId;
  readonly deadline: Millis;
  readonly bytes: Buffer;
  readonly offset: number;
}

/** Packs sessions into chunks, in the given order. */
export function* packSessions(sessions: Iterable<UserSession>, chunkBytes = CHUNK_BYTES): Iterable<SessionChunk> {
  const codec = new RecordCodec();
  const createWriter = () => new ByteWriter(chunkBytes + SESSION_SLACK_BYTES);
  let writer = createWriter();
  const finishChunk = (): SessionChunk => ({ bytes: writer.writtenBytes(), sharedTimings: [...codec.sharedTimings] });
  for (const { userId, session } of sessions) {
    writer.writeText(userId);
    writer.writeNumber(computeSessionDeadline(session).at, 0);
    codec.encodeSession(writer, session);
    if (writer.position < chunkBytes) continue;
    yield finishChunk();
    writer = createWriter();
  }
  if (writer.position > 0) yield finishChunk();
}

/** @param codec must have the shared timings of the chunk. */
export function* unpackSessions({ bytes }: SessionChunk, codec: RecordCodec): Iterable<PackedSession> {
  const reader = new ByteReader();
  reader.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  while (reader.position < reader.bytes.length) {
    const userId = reader.readText() as UserId;
    const deadline = reader.readNumber(0) as Millis;
    const start = reader.position;
    reader.skipBytes(codec.encodedSessionLength(reader.bytes, start));
    yield { userId, deadline, bytes: reader.bytes, offset: start };
  }
}
