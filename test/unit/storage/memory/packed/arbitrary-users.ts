/** Generates all possible records, and some impossible ones. */
import fc from 'fast-check';
import type { DeviceId, SocketId, Millis, SessionId, UserId } from '../../../../../src/core/ids.ts';
import type { Timings } from '../../../../../src/core/policy.ts';
import type { SessionRecord, UserRecord, WatchScope } from '../../../../../src/core/records.ts';
import { APP_STATES, EVENT_REASONS, PLATFORMS, STATUSES, type LiveStatus } from '../../../../../src/core/enums.ts';

const LIVE = STATUSES.filter((status): status is LiveStatus => status !== 'OFFLINE');

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 140 }),
  fc.string({ unit: fc.constantFrom('a', 'é', 'Я', '🥪', '\ud800', '\u0000'), maxLength: 20 }),
);
/** Texts that Porchlight generates itself, and similar ones. */
const code = fc.oneof(
  fc.uint8Array({ maxLength: 34 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
  fc.string({ unit: fc.constantFrom('A', 'Q', '_', '-', 'z', '9', '=', '+'), maxLength: 45 }),
  text,
);
const moment = fc.oneof(
  fc.integer({ min: 1_700_000_000_000, max: 1_700_000_100_000 }),
  fc.maxSafeInteger(),
) as fc.Arbitrary<Millis>;
const orNull = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });
/** Creates plain objects, as records are. */
const recordOf = <Value extends object>(values: { [Key in keyof Value]: fc.Arbitrary<Value[Key]> }) =>
  fc.record<Value>(values, { noNullPrototype: true });
const duration = fc.oneof(fc.constantFrom(0, 20_000, 120_000), fc.maxSafeNat());

const timings: fc.Arbitrary<Timings> = recordOf({
  heartbeatIntervalMs: duration,
  heartbeatTimeoutMs: duration,
  backgroundTimeoutMs: orNull(duration),
  disconnectGraceMs: duration,
});

export const arbitrarySession: fc.Arbitrary<SessionRecord> = recordOf({
  id: code as fc.Arbitrary<SessionId>,
  platform: fc.constantFrom(...PLATFORMS),
  deviceId: code as fc.Arbitrary<DeviceId>,
  status: fc.constantFrom(...LIVE),
  appState: fc.constantFrom(...APP_STATES),
  backgroundSince: orNull(moment),
  timings,
  inactiveSince: moment,
  lastSeenAt: moment,
  detachedAt: orNull(moment),
  pushExpiresAt: orNull(moment),
  socketIds: fc.array(text as fc.Arbitrary<SocketId>, { maxLength: 3 }),
  appVersion: orNull(text),
  osVersion: orNull(text),
  ipAddress: orNull(text),
  loggedInAt: moment,
  tokenHash: code,
  watchScope: fc.oneof(
    fc.constantFrom<WatchScope>('*', null),
    fc.array(text as fc.Arbitrary<UserId>, { maxLength: 5 }),
  ),
});

export const arbitraryUser: fc.Arbitrary<UserRecord> = recordOf({
  id: text as fc.Arbitrary<UserId>,
  version: fc.oneof(fc.nat(300), fc.maxSafeNat()),
  versionFloor: fc.oneof(fc.constant(0), fc.maxSafeNat()),
  status: fc.constantFrom(...STATUSES),
  changedAt: orNull(moment),
  reason: orNull(fc.constantFrom(...EVENT_REASONS)),
  lastSeenAt: orNull(moment),
  customStatus: orNull(text),
  tokensRevokedBefore: orNull(moment),
  sessions: fc.array(arbitrarySession, { maxLength: 4 }),
});
