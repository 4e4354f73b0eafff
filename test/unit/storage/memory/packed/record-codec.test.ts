import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { UserRecord } from '../../../../../src/core/records.ts';
import { ByteWriter } from '../../../../../src/storage/memory/packed/varint-bytes.ts';
import { MAX_SESSIONS_PER_USER, RecordCodec } from '../../../../../src/storage/memory/packed/record-codec.ts';
import { arbitrarySession, arbitraryUser } from './arbitrary-users.ts';

/** Puts the encoded record among other bytes. */
const encodeAmongBytes = (codec: RecordCodec, user: UserRecord): { bytes: Buffer; start: number; length: number } => {
  const start = 7;
  const length = codec.encodeUser(user);
  const bytes = Buffer.alloc(start + length + 9, 0xff);
  codec.output.bytes.copy(bytes, start, 0, length);
  return { bytes, start, length };
};

const sessionsOf = ({ sessions }: UserRecord) => sessions.map(({ platform, status }) => [platform, status]);

describe('RecordCodec', () => {
  it('decodes an encoded record to an equal record, whatever its values', () => {
    const codec = new RecordCodec();
    fc.assert(
      fc.property(arbitraryUser, (user) => {
        const { bytes, start } = encodeAmongBytes(codec, user);
        expect(codec.decodeUser(bytes, start)).toStrictEqual(user);
      }),
      { numRuns: 2_000 },
    );
  });

  it('reads the id, the length and the sessions without decoding the record', () => {
    const codec = new RecordCodec();
    fc.assert(
      fc.property(arbitraryUser, arbitraryUser, (user, other) => {
        const { bytes, start, length } = encodeAmongBytes(codec, user);
        expect(codec.readUserId(bytes, start)).toBe(user.id);
        expect(codec.matchesUserId(bytes, start, user.id)).toBe(true);
        expect(codec.matchesUserId(bytes, start, other.id)).toBe(other.id === user.id);
        expect(codec.encodedUserLength(bytes, start)).toBe(length);
        const visited: unknown[] = [];
        expect(codec.countEncodedSessions(bytes, start, (...session) => visited.push(session))).toBe(user.status);
        expect(visited).toEqual(sessionsOf(user));
      }),
    );
  });

  it('does not match an id that is a prefix of another or has the same bytes', () => {
    const codec = new RecordCodec();
    const ids = [
      'a',
      'ab',
      'a\u0000',
      'a\u0000b\u0000',
      '\u0061\u0062',
      '慡',
      'aa',
      '\u6261',
      'é',
      'Ã©',
    ] as UserRecord['id'][];
    const [model] = fc.sample(arbitraryUser, 1) as [UserRecord];
    for (const id of ids) {
      const { bytes, start } = encodeAmongBytes(codec, { ...model, id });
      for (const other of ids) expect(codec.matchesUserId(bytes, start, other)).toBe(other === id);
    }
  });

  it('appends a session to an encoded record', () => {
    const codec = new RecordCodec();
    fc.assert(
      fc.property(arbitraryUser, arbitrarySession, (user, session) => {
        const { bytes, start, length } = encodeAmongBytes(codec, user);
        const added = new ByteWriter(16);
        codec.encodeSession(added, session);
        const longer = Buffer.concat([bytes.subarray(0, start + length), added.writtenBytes()]);
        codec.incrementSessionCount(longer, start);
        expect(codec.decodeUser(longer, start)).toStrictEqual({ ...user, sessions: [...user.sessions, session] });
      }),
    );
  });

  it('encodes the maximum number of sessions and rejects one more', () => {
    const codec = new RecordCodec();
    const [session] = fc.sample(arbitrarySession, 1);
    const [model] = fc.sample(arbitraryUser, 1) as [UserRecord];
    const withSessions = (count: number): UserRecord => ({ ...model, sessions: Array(count).fill(session) });
    const { bytes, start } = encodeAmongBytes(codec, withSessions(MAX_SESSIONS_PER_USER));
    expect(codec.decodeUser(bytes, start).sessions).toHaveLength(MAX_SESSIONS_PER_USER);
    expect(() => codec.incrementSessionCount(bytes, start)).toThrow(RangeError);
    expect(() => codec.encodeUser(withSessions(MAX_SESSIONS_PER_USER + 1))).toThrow(RangeError);
  });

  it('encodes a typical record in about a hundred bytes', () => {
    const codec = new RecordCodec();
    const code = (bytes: number) => Buffer.alloc(bytes, 0xa5).toString('base64url');
    const [model] = fc.sample(arbitraryUser, 1) as [UserRecord];
    const [session] = fc.sample(arbitrarySession, 1);
    const at = 1_767_225_600_000;
    const usual: unknown = {
      ...model,
      ...{ id: 'user-0000001', version: 3, versionFloor: 0, changedAt: at, lastSeenAt: at + 5_000 },
      ...{ customStatus: null, tokensRevokedBefore: null },
      sessions: [
        {
          ...session,
          ...{ id: code(16), deviceId: code(16), tokenHash: code(32), socketIds: [], watchScope: null },
          ...{ backgroundSince: null, detachedAt: null, pushExpiresAt: null },
          ...{ loggedInAt: at, lastSeenAt: at + 5_000, inactiveSince: at + 5_000 },
          ...{ appVersion: null, osVersion: null, ipAddress: '127.0.0.1' },
        },
      ],
    };
    expect(codec.encodeUser(usual as UserRecord)).toBeLessThan(130);
  });
});
