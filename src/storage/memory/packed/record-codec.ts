/**
 * A user's record as bytes and back, equal in every value. Laid out so that the id, the status and
 * what is counted can be read without the rest, and a session can be put behind the others:
 *
 *   flags · number of sessions (2 bytes) · length of the user's part · id … · sessions, each behind its length
 */
import type { DeviceId, SocketId, Millis, SessionId, UserId } from '../../../core/ids.ts';
import { sameTimings, type Timings } from '../../../core/policy.ts';
import type { SessionRecord, UserRecord, Watch } from '../../../core/records.ts';
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

export const MOST_SESSIONS = 0xffff;

const SESSIONS_AT = 1;
const USER_PART_AT = 3;

/** Bits beside the status in the flags of a user: which values there are. */
const USER = { changedAt: 4, lastSeenAt: 8, customStatus: 16, tokensRevokedBefore: 32 } as const;
/** Beside the platform (3 bits), in the first byte of a session. */
const FIRST = { pushOnline: 8, background: 16, backgroundSince: 32, detachedAt: 64, pushExpiresAt: 128 } as const;
const SECOND = { links: 1, appVersion: 2, osVersion: 4, ipAddress: 8, watchAll: 16, watchList: 32 } as const;

/** Nearly all sessions were told one of a few timings: those are named, up to so many, the others written out. */
const NAMED_TIMINGS = 64;

/** What is counted of a session. */
export type Tally = (platform: Platform, status: LiveStatus) => void;

export class RecordCodec {
  /** The last record that was encoded: to be copied before the next one is. */
  readonly out = new ByteWriter();
  readonly #in = new ByteReader();
  readonly #timings: Timings[] = [];

  /** Timings that have names; bytes that another codec made can be read by one that has learnt them. */
  get timings(): readonly Timings[] {
    return this.#timings;
  }

  /** @param timings those of the one codec whose bytes are read. To be called before anything is encoded here. */
  learn(timings: readonly Timings[]): void {
    this.#timings.push(...timings.slice(this.#timings.length));
  }

  /** @returns how many bytes of `out` it takes. @throws RangeError for more than `MOST_SESSIONS`. */
  encode(user: UserRecord): number {
    if (user.sessions.length > MOST_SESSIONS) throw new RangeError(`${user.sessions.length} sessions of one user.`);
    const { out } = this;
    out.at = 0;
    out.byte(
      STATUSES.indexOf(user.status) |
        (user.changedAt === null ? 0 : USER.changedAt) |
        (user.lastSeenAt === null ? 0 : USER.lastSeenAt) |
        (user.customStatus === null ? 0 : USER.customStatus) |
        (user.tokensRevokedBefore === null ? 0 : USER.tokensRevokedBefore),
    );
    out.byte(user.sessions.length & 0xff);
    out.byte(user.sessions.length >> 8);
    const opened = out.open();
    putUserPart(out, user);
    out.close(opened);
    for (const session of user.sessions) this.putSession(out, session);
    return out.at;
  }

  /** Writes a session as it stands within a record. */
  putSession(to: ByteWriter, session: SessionRecord): void {
    const opened = to.open();
    this.#session(to, session);
    to.close(opened);
  }

  decode(bytes: Buffer, start: number): UserRecord {
    const from = this.#from(bytes, start);
    const flags = from.byte();
    const count = from.byte() | (from.byte() << 8);
    from.count();
    const id = from.text() as UserId;
    const version = from.number(0);
    const versionFloor = from.number(0);
    const reason = EVENT_REASONS[from.byte() - 1] ?? null;
    let near = 0;
    const moment = (there: number): Millis | null =>
      (flags & there) === 0 ? null : ((near = from.number(near)) as Millis);
    const changedAt = moment(USER.changedAt);
    const lastSeenAt = moment(USER.lastSeenAt);
    const tokensRevokedBefore = moment(USER.tokensRevokedBefore);
    const customStatus = (flags & USER.customStatus) === 0 ? null : from.text();
    const sessions: SessionRecord[] = [];
    for (let index = 0; index < count; index++) sessions.push(this.#sessionFrom());
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

  idOf(bytes: Buffer, start: number): UserId {
    const from = this.#from(bytes, start + USER_PART_AT);
    from.count();
    return from.text() as UserId;
  }

  hasId(bytes: Buffer, start: number, id: UserId): boolean {
    const from = this.#from(bytes, start + USER_PART_AT);
    from.count();
    return from.isText(id);
  }

  /** Counts the sessions of a record. @returns the user's status. */
  tally(bytes: Buffer, start: number, tally: Tally): Status {
    const from = this.#from(bytes, start + USER_PART_AT);
    from.skip(from.count());
    for (let left = this.#count(bytes, start); left > 0; left--) {
      const length = from.count();
      this.#tallyOne(tally);
      from.skip(length);
    }
    return STATUSES[(bytes[start] as number) & 3] as Status;
  }

  /** How many bytes a session takes that stands there, its length included. */
  sessionLength(bytes: Buffer, start: number): number {
    const from = this.#from(bytes, start);
    from.skip(from.count());
    return from.at - start;
  }

  /** Counts one session. */
  tallySession(bytes: Buffer, start: number, tally: Tally): void {
    const from = this.#from(bytes, start);
    from.count();
    this.#tallyOne(tally);
  }

  /** How many bytes the record takes. */
  lengthOf(bytes: Buffer, start: number): number {
    const from = this.#from(bytes, start + USER_PART_AT);
    from.skip(from.count());
    for (let left = this.#count(bytes, start); left > 0; left--) from.skip(from.count());
    return from.at - start;
  }

  /** One session was put behind the others. @throws RangeError for more than `MOST_SESSIONS`. */
  addOne(bytes: Buffer, start: number): void {
    const count = this.#count(bytes, start) + 1;
    if (count > MOST_SESSIONS) throw new RangeError(`${count} sessions of one user.`);
    bytes[start + SESSIONS_AT] = count & 0xff;
    bytes[start + SESSIONS_AT + 1] = count >> 8;
  }

  #tallyOne(tally: Tally): void {
    const first = this.#in.bytes[this.#in.at] as number;
    tally(PLATFORMS[first & 7] as Platform, (first & FIRST.pushOnline) === 0 ? 'ONLINE' : 'PUSH_ONLINE');
  }

  #count(bytes: Buffer, start: number): number {
    return (bytes[start + SESSIONS_AT] as number) | ((bytes[start + SESSIONS_AT + 1] as number) << 8);
  }

  #from(bytes: Buffer, at: number): ByteReader {
    const from = this.#in;
    from.bytes = bytes;
    from.at = at;
    return from;
  }

  #session(to: ByteWriter, session: SessionRecord): void {
    const { backgroundSince, detachedAt, pushExpiresAt, links, appVersion, osVersion, ipAddress, watch } = session;
    to.byte(
      PLATFORMS.indexOf(session.platform) |
        (session.status === 'ONLINE' ? 0 : FIRST.pushOnline) |
        (session.appState === 'FOREGROUND' ? 0 : FIRST.background) |
        (backgroundSince === null ? 0 : FIRST.backgroundSince) |
        (detachedAt === null ? 0 : FIRST.detachedAt) |
        (pushExpiresAt === null ? 0 : FIRST.pushExpiresAt),
    );
    to.byte(
      (links.length === 0 ? 0 : SECOND.links) |
        (appVersion === null ? 0 : SECOND.appVersion) |
        (osVersion === null ? 0 : SECOND.osVersion) |
        (ipAddress === null ? 0 : SECOND.ipAddress) |
        (watch === null ? 0 : watch === '*' ? SECOND.watchAll : SECOND.watchList),
    );
    to.code(session.id);
    to.code(session.deviceId);
    to.code(session.tokenHash);
    this.#putTimings(to, session.timings);
    to.number(session.loggedInAt, 0);
    to.number(session.lastSeenAt, session.loggedInAt);
    to.number(session.aliveAt, session.lastSeenAt);
    if (backgroundSince !== null) to.number(backgroundSince, session.aliveAt);
    if (detachedAt !== null) to.number(detachedAt, session.aliveAt);
    if (pushExpiresAt !== null) to.number(pushExpiresAt, session.aliveAt);
    if (appVersion !== null) to.text(appVersion);
    if (osVersion !== null) to.text(osVersion);
    if (ipAddress !== null) to.text(ipAddress);
    if (links.length > 0) putTexts(to, links);
    if (watch !== null && watch !== '*') putTexts(to, watch);
  }

  #sessionFrom(): SessionRecord {
    const from = this.#in;
    from.count();
    const first = from.byte();
    const second = from.byte();
    const id = from.text() as SessionId;
    const deviceId = from.text() as DeviceId;
    const tokenHash = from.text();
    const timings = this.#timingsFrom();
    const loggedInAt = from.number(0) as Millis;
    const lastSeenAt = from.number(loggedInAt) as Millis;
    const aliveAt = from.number(lastSeenAt) as Millis;
    const backgroundSince = (first & FIRST.backgroundSince) === 0 ? null : (from.number(aliveAt) as Millis);
    const detachedAt = (first & FIRST.detachedAt) === 0 ? null : (from.number(aliveAt) as Millis);
    const pushExpiresAt = (first & FIRST.pushExpiresAt) === 0 ? null : (from.number(aliveAt) as Millis);
    const appVersion = (second & SECOND.appVersion) === 0 ? null : from.text();
    const osVersion = (second & SECOND.osVersion) === 0 ? null : from.text();
    const ipAddress = (second & SECOND.ipAddress) === 0 ? null : from.text();
    const links = (second & SECOND.links) === 0 ? [] : (this.#texts() as SocketId[]);
    const watch: Watch =
      (second & SECOND.watchAll) !== 0 ? '*' : (second & SECOND.watchList) !== 0 ? (this.#texts() as UserId[]) : null;
    return {
      id,
      platform: PLATFORMS[first & 7] as Platform,
      deviceId,
      status: (first & FIRST.pushOnline) === 0 ? 'ONLINE' : 'PUSH_ONLINE',
      appState: APP_STATES[(first & FIRST.background) === 0 ? 0 : 1],
      backgroundSince,
      timings,
      aliveAt,
      lastSeenAt,
      detachedAt,
      pushExpiresAt,
      links,
      appVersion,
      osVersion,
      ipAddress,
      loggedInAt,
      tokenHash,
      watch,
    };
  }

  #putTimings(to: ByteWriter, timings: Timings): void {
    let name = this.#nameOf(timings);
    if (name < 0 && this.#timings.length < NAMED_TIMINGS) name = this.#timings.push(timings) - 1;
    to.byte(name + 1);
    if (name >= 0) return;
    to.number(timings.heartbeatIntervalMs, 0);
    to.number(timings.heartbeatTimeoutMs, 0);
    to.number(timings.disconnectGraceMs, 0);
    to.byte(timings.backgroundTimeoutMs === null ? 0 : 1);
    if (timings.backgroundTimeoutMs !== null) to.number(timings.backgroundTimeoutMs, 0);
  }

  /** @returns -1 when they have none. */
  #nameOf(timings: Timings): number {
    for (let name = 0; name < this.#timings.length; name++) {
      if (sameTimings(this.#timings[name] as Timings, timings)) return name;
    }
    return -1;
  }

  #timingsFrom(): Timings {
    const from = this.#in;
    const named = this.#timings[from.byte() - 1];
    if (named !== undefined) return named;
    const heartbeatIntervalMs = from.number(0);
    const heartbeatTimeoutMs = from.number(0);
    const disconnectGraceMs = from.number(0);
    const backgroundTimeoutMs = from.byte() === 0 ? null : from.number(0);
    return { heartbeatIntervalMs, heartbeatTimeoutMs, backgroundTimeoutMs, disconnectGraceMs };
  }

  #texts(): string[] {
    const texts: string[] = [];
    for (let left = this.#in.count(); left > 0; left--) texts.push(this.#in.text());
    return texts;
  }
}

const putUserPart = (to: ByteWriter, user: UserRecord): void => {
  to.text(user.id);
  to.number(user.version, 0);
  to.number(user.versionFloor, 0);
  to.byte(user.reason === null ? 0 : EVENT_REASONS.indexOf(user.reason) + 1);
  let near = 0;
  for (const moment of [user.changedAt, user.lastSeenAt, user.tokensRevokedBefore]) {
    if (moment === null) continue;
    to.number(moment, near);
    near = moment;
  }
  if (user.customStatus !== null) to.text(user.customStatus);
};

const putTexts = (to: ByteWriter, texts: readonly string[]): void => {
  to.count(texts.length);
  for (const text of texts) to.text(text);
};
