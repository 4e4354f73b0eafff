/**
 * The expected values of the rules that are data, written by hand. Nothing is read from the code under test. The oracle
 * of the model tests uses them.
 */
import type { MultiDeviceMode, Platform, PlatformPreset } from '../../../src/core/enums.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const DAY = 24 * 60 * MINUTE;
export const PUSH_EXPIRY = 7 * DAY;

/** The order in which the strings below name the platforms. */
export const ALL: readonly Platform[] = ['ANDROID', 'IPHONE', 'IPAD', 'WINDOWS', 'MAC', 'LINUX', 'WEB', 'MINI_PROGRAM'];

export interface ExpectedRow {
  readonly canBePushOnline: boolean;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly backgroundMs: number | null;
  readonly graceMs: number;
  readonly instances: number;
}

type ExpectedTable = Readonly<Record<Platform, ExpectedRow>>;

const CURRENT: ExpectedTable = {
  ANDROID: {
    canBePushOnline: true,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: null,
    graceMs: 0,
    instances: 1,
  },
  IPHONE: {
    canBePushOnline: true,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: null,
    graceMs: 0,
    instances: 1,
  },
  IPAD: {
    canBePushOnline: true,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: null,
    graceMs: 0,
    instances: 1,
  },
  WINDOWS: {
    canBePushOnline: false,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: null,
    graceMs: 0,
    instances: 1,
  },
  MAC: {
    canBePushOnline: true,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: null,
    graceMs: 0,
    instances: 1,
  },
  LINUX: {
    canBePushOnline: false,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: null,
    graceMs: 0,
    instances: 1,
  },
  WEB: { canBePushOnline: false, heartbeatMs: 20_000, timeoutMs: 60_000, backgroundMs: null, graceMs: 0, instances: 1 },
  MINI_PROGRAM: {
    canBePushOnline: false,
    heartbeatMs: 20_000,
    timeoutMs: 60_000,
    backgroundMs: 30_000,
    graceMs: 0,
    instances: 1,
  },
};

const MOBILE_ONLY: ExpectedTable = {
  ...CURRENT,
  MAC: {
    canBePushOnline: false,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: null,
    graceMs: 0,
    instances: 1,
  },
};

const CLASSIC: ExpectedTable = {
  ...MOBILE_ONLY,
  WEB: {
    canBePushOnline: false,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: null,
    graceMs: 0,
    instances: 1,
  },
  MINI_PROGRAM: {
    canBePushOnline: false,
    heartbeatMs: 120_000,
    timeoutMs: 400_000,
    backgroundMs: 30_000,
    graceMs: 0,
    instances: 1,
  },
};

export const TABLE: Readonly<Record<PlatformPreset, ExpectedTable>> = { CURRENT, MOBILE_ONLY, CLASSIC };

/** The group of each platform, by letter, in the order of `ALL`. */
export const GROUP_LETTERS: Readonly<Record<Exclude<MultiDeviceMode, 'CUSTOM'>, string>> = {
  SINGLE: 'aaaaaaaa',
  DUAL: 'aaaaaabb',
  TRIPLE: 'aaabbbcc',
  MULTI: 'abcdefgg',
};

/**
 * What a login does to an existing session: `k` kicks it, `.` keeps it. The row is the platform of the existing session,
 * the column that of the login, both in the order of `ALL`. On the diagonal the login is from another device of the
 * same platform, with a maximum of one instance.
 */
export const KICKED_BY_LOGIN: Readonly<Record<MultiDeviceMode, readonly string[]>> = {
  SINGLE: ['kkkkkkkk', 'kkkkkkkk', 'kkkkkkkk', 'kkkkkkkk', 'kkkkkkkk', 'kkkkkkkk', 'kkkkkkkk', 'kkkkkkkk'],
  DUAL: ['kkkkkk..', 'kkkkkk..', 'kkkkkk..', 'kkkkkk..', 'kkkkkk..', 'kkkkkk..', '......kk', '......kk'],
  TRIPLE: ['kkk.....', 'kkk.....', 'kkk.....', '...kkk..', '...kkk..', '...kkk..', '......kk', '......kk'],
  MULTI: ['k.......', '.k......', '..k.....', '...k....', '....k...', '.....k..', '......kk', '......kk'],
  // With CUSTOM_GROUPS: {ANDROID, WEB} · {IPAD, MAC, LINUX}; IPHONE, WINDOWS and MINI_PROGRAM in none.
  CUSTOM: ['k.....k.', '.k......', '..k.kk..', '...k....', '..k.kk..', '..k.kk..', 'k.....k.', '.......k'],
};

export const CUSTOM_GROUPS: readonly (readonly Platform[])[] = [
  ['ANDROID', 'WEB'],
  ['IPAD', 'MAC', 'LINUX'],
];
