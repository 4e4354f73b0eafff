/**
 * The policy: the timings and limits of each platform, and which platforms may be logged in at the same time. It is
 * plain data, stored and replaced as a whole. Every change is validated here.
 */
import { badUserInputError } from './errors.ts';
import { PLATFORMS, type MultiDeviceMode, type Platform, type PlatformPreset } from './enums.ts';

/** A session receives them with its login and with each heartbeat, and keeps them until the next one. */
export interface Timings {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatTimeoutMs: number;
  /** Null: no limit for the time in background. */
  readonly backgroundTimeoutMs: number | null;
  /** How long a session stays ONLINE after its last socket closed. 0: it is disconnected at once. */
  readonly disconnectGraceMs: number;
}

/** One row of the platform table. */
export interface PlatformPolicy extends Timings {
  readonly platform: Platform;
  readonly canBePushOnline: boolean;
  /** Sessions that one user may have on this platform at the same time. */
  readonly maxInstances: number;
}

export type PlatformGroup = readonly Platform[];

export interface MultiDevicePolicy {
  readonly mode: MultiDeviceMode;
  /** In each group, only one platform may have sessions. A platform in no group excludes no other platform. */
  readonly groups: readonly PlatformGroup[];
}

export interface Policy {
  readonly multiDevice: MultiDevicePolicy;
  readonly platforms: Readonly<Record<Platform, PlatformPolicy>>;
  /** How long a session stays PUSH_ONLINE without activity. */
  readonly pushOnlineExpiryMs: number;
}

/** A change of some fields of one row. Null and undefined leave a field unchanged, except where noted. */
export interface PlatformPolicyChange {
  readonly platform: Platform;
  readonly canBePushOnline?: boolean | null | undefined;
  readonly heartbeatIntervalMs?: number | null | undefined;
  readonly heartbeatTimeoutMs?: number | null | undefined;
  /** Null removes the limit: the only field in which null has a meaning. */
  readonly backgroundTimeoutMs?: number | null | undefined;
  readonly disconnectGraceMs?: number | null | undefined;
  readonly maxInstances?: number | null | undefined;
}

export interface MultiDevicePolicyChange {
  readonly mode: MultiDeviceMode;
  readonly groups?: readonly PlatformGroup[] | null | undefined;
}

export interface PolicyChange {
  readonly multiDevice?: MultiDevicePolicyChange | null | undefined;
  readonly preset?: PlatformPreset | null | undefined;
  readonly platforms?: readonly PlatformPolicyChange[] | null | undefined;
  readonly pushOnlineExpiryMs?: number | null | undefined;
}

/** The policy of a new database, as configured. Omitted fields have their defaults. */
export type PolicySeed = PolicyChange;

const DAY_MS = 86_400_000;
export const MIN_TIMEOUT_MS = 1_000;
export const MAX_TIMING_MS = 2_147_483_647;
export const MAX_PUSH_ONLINE_EXPIRY_MS = 3_650 * DAY_MS;
export const MAX_INSTANCES = 1_000;

const createRow = (
  platform: Platform,
  canBePushOnline: boolean,
  heartbeatSeconds: number,
  timeoutSeconds: number,
  backgroundSeconds: number | null = null,
): PlatformPolicy => ({
  platform,
  canBePushOnline,
  heartbeatIntervalMs: heartbeatSeconds * 1_000,
  heartbeatTimeoutMs: timeoutSeconds * 1_000,
  backgroundTimeoutMs: backgroundSeconds === null ? null : backgroundSeconds * 1_000,
  disconnectGraceMs: 0,
  maxInstances: 1,
});

const createTable = (rows: readonly PlatformPolicy[]): Policy['platforms'] =>
  Object.fromEntries(rows.map((entry) => [entry.platform, entry])) as Policy['platforms'];

const CURRENT = createTable([
  createRow('ANDROID', true, 120, 400),
  createRow('IPHONE', true, 120, 400),
  createRow('IPAD', true, 120, 400),
  createRow('WINDOWS', false, 120, 400),
  createRow('MAC', true, 120, 400),
  createRow('LINUX', false, 120, 400),
  createRow('WEB', false, 20, 60),
  createRow('MINI_PROGRAM', false, 20, 60, 30),
]);
const MOBILE_ONLY = { ...CURRENT, MAC: createRow('MAC', false, 120, 400) };
const CLASSIC = {
  ...MOBILE_ONLY,
  WEB: createRow('WEB', false, 120, 400),
  MINI_PROGRAM: createRow('MINI_PROGRAM', false, 120, 400, 30),
};

export const PRESET_TABLES: Readonly<Record<PlatformPreset, Policy['platforms']>> = {
  CURRENT,
  MOBILE_ONLY,
  CLASSIC,
};

const GROUPS_BY_MODE: Readonly<Record<Exclude<MultiDeviceMode, 'CUSTOM'>, readonly PlatformGroup[]>> = {
  SINGLE: [PLATFORMS],
  DUAL: [
    ['WEB', 'MINI_PROGRAM'],
    ['ANDROID', 'IPHONE', 'IPAD', 'WINDOWS', 'MAC', 'LINUX'],
  ],
  TRIPLE: [
    ['ANDROID', 'IPHONE', 'IPAD'],
    ['WINDOWS', 'MAC', 'LINUX'],
    ['WEB', 'MINI_PROGRAM'],
  ],
  MULTI: [['WEB', 'MINI_PROGRAM'], ['ANDROID'], ['IPHONE'], ['IPAD'], ['WINDOWS'], ['MAC'], ['LINUX']],
};

export const DEFAULT_POLICY: Policy = {
  multiDevice: { mode: 'SINGLE', groups: GROUPS_BY_MODE.SINGLE },
  platforms: CURRENT,
  pushOnlineExpiryMs: 7 * DAY_MS,
};

/** The default policy with the seed applied. @throws BAD_USER_INPUT when a value is invalid. */
export const createPolicyFromSeed = (seed: PolicySeed): Policy => applyPolicyChange(DEFAULT_POLICY, seed);

/**
 * The policy after a change. A preset replaces the whole platform table; then `platforms` of the same change are
 * applied to it. Omitted fields do not change.
 * @throws BAD_USER_INPUT with the platform, the value and the accepted range.
 */
export const applyPolicyChange = (policy: Policy, change: PolicyChange): Policy => ({
  multiDevice: change.multiDevice ? applyMultiDeviceChange(policy.multiDevice, change.multiDevice) : policy.multiDevice,
  platforms: applyPlatformChanges(
    change.preset ? PRESET_TABLES[change.preset] : policy.platforms,
    change.platforms ?? [],
  ),
  pushOnlineExpiryMs:
    change.pushOnlineExpiryMs == null
      ? policy.pushOnlineExpiryMs
      : requireIntegerInRange(
          change.pushOnlineExpiryMs,
          'pushOnlineExpiryMs',
          MIN_TIMEOUT_MS,
          MAX_PUSH_ONLINE_EXPIRY_MS,
        ),
});

/** Whether a user may have sessions on these two different platforms at the same time. */
export const canPlatformsCoexist = (policy: MultiDevicePolicy, one: Platform, other: Platform): boolean =>
  !policy.groups.some((group) => group.includes(one) && group.includes(other));

export const pickTimings = (entry: PlatformPolicy): Timings => ({
  heartbeatIntervalMs: entry.heartbeatIntervalMs,
  heartbeatTimeoutMs: entry.heartbeatTimeoutMs,
  backgroundTimeoutMs: entry.backgroundTimeoutMs,
  disconnectGraceMs: entry.disconnectGraceMs,
});

export const areTimingsEqual = (one: Timings, other: Timings): boolean =>
  one.heartbeatIntervalMs === other.heartbeatIntervalMs &&
  one.heartbeatTimeoutMs === other.heartbeatTimeoutMs &&
  one.backgroundTimeoutMs === other.backgroundTimeoutMs &&
  one.disconnectGraceMs === other.disconnectGraceMs;

const applyMultiDeviceChange = (present: MultiDevicePolicy, change: MultiDevicePolicyChange): MultiDevicePolicy => {
  if (change.mode !== 'CUSTOM') {
    const groups = GROUPS_BY_MODE[change.mode];
    // A client can write back a policy that it has read: groups that equal those of the mode are accepted.
    if (change.groups != null && !areGroupsEqual(change.groups, groups)) {
      throw badUserInputError(`multiDevice.groups goes with mode CUSTOM, not with ${change.mode}.`);
    }
    return { mode: change.mode, groups };
  }
  if (change.groups == null) {
    if (present.mode === 'CUSTOM') return present;
    throw badUserInputError('multiDevice.groups is needed with mode CUSTOM.');
  }
  validateGroups(change.groups);
  return { mode: 'CUSTOM', groups: change.groups.map((group) => [...group]) };
};

const areGroupsEqual = (some: readonly PlatformGroup[], others: readonly PlatformGroup[]): boolean =>
  some.map(String).join(';') === others.map(String).join(';');

const validateGroups = (groups: readonly PlatformGroup[]): void => {
  const seen = new Set<Platform>();
  for (const group of groups) {
    if (group.length === 0) throw badUserInputError('multiDevice.groups has an empty group.');
    for (const platform of group) {
      if (!PLATFORMS.includes(platform)) {
        throw badUserInputError(`multiDevice.groups: ${String(platform)} is not one of ${PLATFORMS.join(', ')}.`);
      }
      if (seen.has(platform)) throw badUserInputError(`multiDevice.groups names ${platform} twice.`);
      seen.add(platform);
    }
  }
};

const applyPlatformChanges = (
  present: Policy['platforms'],
  changes: readonly PlatformPolicyChange[],
): Policy['platforms'] => {
  if (changes.length === 0) return present;
  const next: Record<Platform, PlatformPolicy> = { ...present };
  const seen = new Set<Platform>();
  for (const change of changes) {
    if (!PLATFORMS.includes(change.platform)) {
      throw badUserInputError(`platforms: ${String(change.platform)} is not one of ${PLATFORMS.join(', ')}.`);
    }
    if (seen.has(change.platform)) throw badUserInputError(`platforms names ${change.platform} twice.`);
    seen.add(change.platform);
    next[change.platform] = validateRow(mergeRow(next[change.platform], change));
  }
  return next;
};

const mergeRow = (present: PlatformPolicy, change: PlatformPolicyChange): PlatformPolicy => ({
  platform: present.platform,
  canBePushOnline: change.canBePushOnline ?? present.canBePushOnline,
  heartbeatIntervalMs: change.heartbeatIntervalMs ?? present.heartbeatIntervalMs,
  heartbeatTimeoutMs: change.heartbeatTimeoutMs ?? present.heartbeatTimeoutMs,
  backgroundTimeoutMs:
    change.backgroundTimeoutMs === undefined ? present.backgroundTimeoutMs : change.backgroundTimeoutMs,
  disconnectGraceMs: change.disconnectGraceMs ?? present.disconnectGraceMs,
  maxInstances: change.maxInstances ?? present.maxInstances,
});

const validateRow = (entry: PlatformPolicy): PlatformPolicy => {
  const label = (cell: string) => `${entry.platform}.${cell}`;
  requireIntegerInRange(entry.heartbeatIntervalMs, label('heartbeatIntervalMs'), 1, MAX_TIMING_MS);
  requireIntegerInRange(entry.heartbeatTimeoutMs, label('heartbeatTimeoutMs'), MIN_TIMEOUT_MS, MAX_TIMING_MS);
  if (entry.heartbeatIntervalMs >= entry.heartbeatTimeoutMs) {
    throw badUserInputError(
      `${label('heartbeatIntervalMs')} (${entry.heartbeatIntervalMs}) must be less than heartbeatTimeoutMs (${entry.heartbeatTimeoutMs}).`,
    );
  }
  if (entry.backgroundTimeoutMs !== null) {
    requireIntegerInRange(entry.backgroundTimeoutMs, label('backgroundTimeoutMs'), MIN_TIMEOUT_MS, MAX_TIMING_MS);
  }
  requireIntegerInRange(entry.disconnectGraceMs, label('disconnectGraceMs'), 0, MAX_TIMING_MS);
  requireIntegerInRange(entry.maxInstances, label('maxInstances'), 1, MAX_INSTANCES);
  return entry;
};

const requireIntegerInRange = (value: number, name: string, min: number, max: number): number => {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw badUserInputError(`${name} is ${value}; it must be a whole number from ${min} to ${max}.`);
  }
  return value;
};
