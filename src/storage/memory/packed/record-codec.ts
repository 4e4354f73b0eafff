/**
 * Encodes a user record as bytes and decodes it to an equal record. The layout allows reading the id, the status and
 * the counted values alone, and appending a session:
 *
 * flags · session count (2 bytes) · length of the user fields · id … · sessions, each after its length
 */
import type { DeviceId, SocketId, Millis, SessionId, UserId } from '../../../core/ids.ts';
import { areTimingsEqual, type Timings } from '../../../core/policy.ts';
import type { SessionRecord, UserRecord, WatchScope } from '../../../core/records.ts';
import {
  APP_STATES,
  EVENT_REASONS,
  PLATFORMS,
  STATUSES,
  type LiveStatus,
  type Platform,
  type Status,
} from '../../../core/enums.ts';
import { ByteReader, ByteWriter } from './varint-bytes.ts';

export const MAX_SESSIONS_PER_USER = 0xffff;

const SESSION_COUNT_OFFSET = 1;
const USER_FIELDS_OFFSET = 3;

/** Bits of the user flags beside the status: which optional values are present. */
const USER_FLAGS = { changedAt: 4, lastSeenAt: 8, customStatus: 16, tokensRevokedBefore: 32 } as const;
/** Bits of the first byte of a session, beside the platform (3 bits). */
const SESSION_FLAGS = {
  pushOnline: 8,
  background: 16,
  backgroundSince: 32,
  detachedAt: 64,
  pushExpiresAt: 128,
} as const;
const SESSION_FIELD_FLAGS = {
  links: 1,
  appVersion: 2,
  osVersion: 4,
  ipAddress: 8,
  watchAll: 16,
  watchList: 32,
} as const;

/**
 * Almost all sessions use one of a few timings. Up to this many are stored once and referenced by index; others are
 * written in full.
 */
const MAX_SHARED_TIMINGS = 64;

/** Called with the platform and the status of a session, to count it. */
export type SessionCounter = (platform: Platform, status: LiveStatus) => void;

export class RecordCodec {
  /** Holds the last encoded record. Copy it before the next one is encoded. */
  readonly output = new ByteWriter();
  readonly #input = new ByteReader();
  readonly #sharedTimings: Timings[] = [];

  /** Timings that are referenced by index. Another codec can read the bytes after `addSharedTimings` with these. */
  get sharedTimings(): readonly Timings[] {
    return this.#sharedTimings;
  }

  /**
   * Adds the shared timings of the codec that wrote the bytes to be read. Call it before this codec encodes anything.
   */
  addSharedTimings(timings: readonly Timings[]): void {
    this.#sharedTimings.push(...timings.slice(this.#sharedTimings.length));
  }

  /**
   * Encodes a user into `output`.
   * @returns the length in bytes.
   * @throws RangeError for more than `MAX_SESSIONS_PER_USER` sessions.
   */
  encodeUser(user: UserRecord): number {
    if (user.sessions.length > MAX_SESSIONS_PER_USER)
      throw new RangeError(
        `A user has ${user.sessions.length} sessions; at most ${MAX_SESSIONS_PER_USER} are supported.`,
      );
    const { output } = this;
    output.position = 0;
    output.writeByte(
      STATUSES.indexOf(user.status) |
        (user.changedAt === null ? 0 : USER_FLAGS.changedAt) |
        (user.lastSeenAt === null ? 0 : USER_FLAGS.lastSeenAt) |
        (user.customStatus === null ? 0 : USER_FLAGS.customStatus) |
        (user.tokensRevokedBefore === null ? 0 : USER_FLAGS.tokensRevokedBefore),
    );
    output.writeByte(user.sessions.length & 0xff);
    output.writeByte(user.sessions.length >> 8);
    const opened = output.reserveLengthPrefix();
    writeUserFields(output, user);
    output.writeLengthPrefix(opened);
    for (const session of user.sessions) this.encodeSession(output, session);
    return output.position;
  }

  /** Writes a session in the form it has within a user record. */
  encodeSession(to: ByteWriter, session: SessionRecord): void {
    const opened = to.reserveLengthPrefix();
    this.#writeSession(to, session);
    to.writeLengthPrefix(opened);
  }

  decodeUser(bytes: Buffer, start: number): UserRecord {
    const input = this.#seekInput(bytes, start);
    const flags = input.readByte();
    const count = input.readByte() | (input.readByte() << 8);
    input.readVarint();
    const id = input.readText() as UserId;
    const version = input.readNumber(0);
    const versionFloor = input.readNumber(0);
    const reason = EVENT_REASONS[input.readByte() - 1] ?? null;
    let previous = 0;
    const readOptionalTime = (flag: number): Millis | null =>
      (flags & flag) === 0 ? null : ((previous = input.readNumber(previous)) as Millis);
    const changedAt = readOptionalTime(USER_FLAGS.changedAt);
    const lastSeenAt = readOptionalTime(USER_FLAGS.lastSeenAt);
    const tokensRevokedBefore = readOptionalTime(USER_FLAGS.tokensRevokedBefore);
    const customStatus = (flags & USER_FLAGS.customStatus) === 0 ? null : input.readText();
    const sessions: SessionRecord[] = [];
    for (let index = 0; index < count; index++) sessions.push(this.#readSession());
    return {
      id,
      version,
      versionFloor,
      status: STATUSES[flags & 3] as Status,
      changedAt,
      reason,
      lastSeenAt,
      customStatus,
      tokensRevokedBefore,
      sessions,
    };
  }

  readUserId(bytes: Buffer, start: number): UserId {
    const input = this.#seekInput(bytes, start + USER_FIELDS_OFFSET);
    input.readVarint();
    return input.readText() as UserId;
  }

  matchesUserId(bytes: Buffer, start: number, id: UserId): boolean {
    const input = this.#seekInput(bytes, start + USER_FIELDS_OFFSET);
    input.readVarint();
    return input.matchesText(id);
  }

  /**
   * Calls `countSession` for each session of a user record.
   * @returns the user's status.
   */
  countEncodedSessions(bytes: Buffer, start: number, countSession: SessionCounter): Status {
    const input = this.#seekInput(bytes, start + USER_FIELDS_OFFSET);
    input.skipBytes(input.readVarint());
    for (let left = this.#readSessionCount(bytes, start); left > 0; left--) {
      const length = input.readVarint();
      this.#countSessionAtInput(countSession);
      input.skipBytes(length);
    }
    return STATUSES[(bytes[start] as number) & 3] as Status;
  }

  /** Returns the length in bytes of the session at `start`, including its length prefix. */
  encodedSessionLength(bytes: Buffer, start: number): number {
    const input = this.#seekInput(bytes, start);
    input.skipBytes(input.readVarint());
    return input.position - start;
  }

  /** Calls `countSession` with the session at `start`. */
  countEncodedSession(bytes: Buffer, start: number, countSession: SessionCounter): void {
    const input = this.#seekInput(bytes, start);
    input.readVarint();
    this.#countSessionAtInput(countSession);
  }

  /** Returns the length in bytes of the user record at `start`. */
  encodedUserLength(bytes: Buffer, start: number): number {
    const input = this.#seekInput(bytes, start + USER_FIELDS_OFFSET);
    input.skipBytes(input.readVarint());
    for (let left = this.#readSessionCount(bytes, start); left > 0; left--) input.skipBytes(input.readVarint());
    return input.position - start;
  }

  /**
   * Increments the session count after a session was appended.
   * @throws RangeError for more than `MAX_SESSIONS_PER_USER` sessions.
   */
  incrementSessionCount(bytes: Buffer, start: number): void {
    const count = this.#readSessionCount(bytes, start) + 1;
    if (count > MAX_SESSIONS_PER_USER)
      throw new RangeError(`A user has ${count} sessions; at most ${MAX_SESSIONS_PER_USER} are supported.`);
    bytes[start + SESSION_COUNT_OFFSET] = count & 0xff;
    bytes[start + SESSION_COUNT_OFFSET + 1] = count >> 8;
  }

  #countSessionAtInput(countSession: SessionCounter): void {
    const first = this.#input.bytes[this.#input.position] as number;
    countSession(PLATFORMS[first & 7] as Platform, (first & SESSION_FLAGS.pushOnline) === 0 ? 'ONLINE' : 'PUSH_ONLINE');
  }

  #readSessionCount(bytes: Buffer, start: number): number {
    return (bytes[start + SESSION_COUNT_OFFSET] as number) | ((bytes[start + SESSION_COUNT_OFFSET + 1] as number) << 8);
  }

  #seekInput(bytes: Buffer, at: number): ByteReader {
    const input = this.#input;
    input.bytes = bytes;
    input.position = at;
    return input;
  }

  #writeSession(to: ByteWriter, session: SessionRecord): void {
    const {
      backgroundSince,
      detachedAt,
      pushExpiresAt,
      socketIds: links,
      appVersion,
      osVersion,
      ipAddress,
      watchScope: watch,
    } = session;
    to.writeByte(
      PLATFORMS.indexOf(session.platform) |
        (session.status === 'ONLINE' ? 0 : SESSION_FLAGS.pushOnline) |
        (session.appState === 'FOREGROUND' ? 0 : SESSION_FLAGS.background) |
        (backgroundSince === null ? 0 : SESSION_FLAGS.backgroundSince) |
        (detachedAt === null ? 0 : SESSION_FLAGS.detachedAt) |
        (pushExpiresAt === null ? 0 : SESSION_FLAGS.pushExpiresAt),
    );
    to.writeByte(
      (links.length === 0 ? 0 : SESSION_FIELD_FLAGS.links) |
        (appVersion === null ? 0 : SESSION_FIELD_FLAGS.appVersion) |
        (osVersion === null ? 0 : SESSION_FIELD_FLAGS.osVersion) |
        (ipAddress === null ? 0 : SESSION_FIELD_FLAGS.ipAddress) |
        (watch === null ? 0 : watch === '*' ? SESSION_FIELD_FLAGS.watchAll : SESSION_FIELD_FLAGS.watchList),
    );
    to.writeBase64urlText(session.id);
    to.writeBase64urlText(session.deviceId);
    to.writeBase64urlText(session.tokenHash);
    this.#writeTimings(to, session.timings);
    to.writeNumber(session.loggedInAt, 0);
    to.writeNumber(session.lastSeenAt, session.loggedInAt);
    to.writeNumber(session.inactiveSince, session.lastSeenAt);
    if (backgroundSince !== null) to.writeNumber(backgroundSince, session.inactiveSince);
    if (detachedAt !== null) to.writeNumber(detachedAt, session.inactiveSince);
    if (pushExpiresAt !== null) to.writeNumber(pushExpiresAt, session.inactiveSince);
    if (appVersion !== null) to.writeText(appVersion);
    if (osVersion !== null) to.writeText(osVersion);
    if (ipAddress !== null) to.writeText(ipAddress);
    if (links.length > 0) writeTexts(to, links);
    if (watch !== null && watch !== '*') writeTexts(to, watch);
  }

  #readSession(): SessionRecord {
    const input = this.#input;
    input.readVarint();
    const first = input.readByte();
    const second = input.readByte();
    const id = input.readText() as SessionId;
    const deviceId = input.readText() as DeviceId;
    const tokenHash = input.readText();
    const timings = this.#readTimings();
    const loggedInAt = input.readNumber(0) as Millis;
    const lastSeenAt = input.readNumber(loggedInAt) as Millis;
    const aliveAt = input.readNumber(lastSeenAt) as Millis;
    const backgroundSince =
      (first & SESSION_FLAGS.backgroundSince) === 0 ? null : (input.readNumber(aliveAt) as Millis);
    const detachedAt = (first & SESSION_FLAGS.detachedAt) === 0 ? null : (input.readNumber(aliveAt) as Millis);
    const pushExpiresAt = (first & SESSION_FLAGS.pushExpiresAt) === 0 ? null : (input.readNumber(aliveAt) as Millis);
    const appVersion = (second & SESSION_FIELD_FLAGS.appVersion) === 0 ? null : input.readText();
    const osVersion = (second & SESSION_FIELD_FLAGS.osVersion) === 0 ? null : input.readText();
    const ipAddress = (second & SESSION_FIELD_FLAGS.ipAddress) === 0 ? null : input.readText();
    const links = (second & SESSION_FIELD_FLAGS.links) === 0 ? [] : (this.#readTexts() as SocketId[]);
    const watch: WatchScope =
      (second & SESSION_FIELD_FLAGS.watchAll) !== 0
        ? '*'
        : (second & SESSION_FIELD_FLAGS.watchList) !== 0
          ? (this.#readTexts() as UserId[])
          : null;
    return {
      id,
      platform: PLATFORMS[first & 7] as Platform,
      deviceId,
      status: (first & SESSION_FLAGS.pushOnline) === 0 ? 'ONLINE' : 'PUSH_ONLINE',
      appState: APP_STATES[(first & SESSION_FLAGS.background) === 0 ? 0 : 1],
      backgroundSince,
      timings,
      inactiveSince: aliveAt,
      lastSeenAt,
      detachedAt,
      pushExpiresAt,
      socketIds: links,
      appVersion,
      osVersion,
      ipAddress,
      loggedInAt,
      tokenHash,
      watchScope: watch,
    };
  }

  #writeTimings(to: ByteWriter, timings: Timings): void {
    let index = this.#sharedTimingsIndex(timings);
    if (index < 0 && this.#sharedTimings.length < MAX_SHARED_TIMINGS) index = this.#sharedTimings.push(timings) - 1;
    to.writeByte(index + 1);
    if (index >= 0) return;
    to.writeNumber(timings.heartbeatIntervalMs, 0);
    to.writeNumber(timings.heartbeatTimeoutMs, 0);
    to.writeNumber(timings.disconnectGraceMs, 0);
    to.writeByte(timings.backgroundTimeoutMs === null ? 0 : 1);
    if (timings.backgroundTimeoutMs !== null) to.writeNumber(timings.backgroundTimeoutMs, 0);
  }

  /** @returns -1 if these timings are not shared. */
  #sharedTimingsIndex(timings: Timings): number {
    for (let index = 0; index < this.#sharedTimings.length; index++) {
      if (areTimingsEqual(this.#sharedTimings[index] as Timings, timings)) return index;
    }
    return -1;
  }

  #readTimings(): Timings {
    const input = this.#input;
    const shared = this.#sharedTimings[input.readByte() - 1];
    if (shared !== undefined) return shared;
    const heartbeatIntervalMs = input.readNumber(0);
    const heartbeatTimeoutMs = input.readNumber(0);
    const disconnectGraceMs = input.readNumber(0);
    const backgroundTimeoutMs = input.readByte() === 0 ? null : input.readNumber(0);
    return { heartbeatIntervalMs, heartbeatTimeoutMs, backgroundTimeoutMs, disconnectGraceMs };
  }

  #readTexts(): string[] {
    const texts: string[] = [];
    for (let left = this.#input.readVarint(); left > 0; left--) texts.push(this.#input.readText());
    return texts;
  }
}

const writeUserFields = (to: ByteWriter, user: UserRecord): void => {
  to.writeText(user.id);
  to.writeNumber(user.version, 0);
  to.writeNumber(user.versionFloor, 0);
  to.writeByte(user.reason === null ? 0 : EVENT_REASONS.indexOf(user.reason) + 1);
  let previous = 0;
  for (const moment of [user.changedAt, user.lastSeenAt, user.tokensRevokedBefore]) {
    if (moment === null) continue;
    to.writeNumber(moment, previous);
    previous = moment;
  }
  if (user.customStatus !== null) to.writeText(user.customStatus);
};

const writeTexts = (to: ByteWriter, texts: readonly string[]): void => {
  to.writeVarint(texts.length);
  for (const text of texts) to.writeText(text);
};
