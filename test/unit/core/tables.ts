/**
 * The rules that are data, written out once more by hand. Nothing here is read from the code under
 * test: these are the expected values, and the oracle of the model tests computes with them.
 */
import type { MultiDeviceMode, Platform, PlatformPreset } from '../../../src/core/enums.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const DAY = 24 * 60 * MINUTE;
export const PUSH_EXPIRY = 7 * DAY;

/** The order in which the strings below name the platforms. */
export const ALL: readonly Platform[] = ['ANDROID', 'IPHONE', 'IPAD', 'WINDOWS', 'MAC', 'LINUX', 'WEB', 'MINI_PROGRAM'];

export interface Row {
  readonly push: boolean;
  readonly every: number;
  readonly silent: number;
  readonly background: number | null;
  readonly grace: number;
  readonly instances: number;
}

type Table = Readonly<Record<Platform, Row>>;

const CURRENT: Table = {
  ANDROID: { push: true, every: 120_000, silent: 400_000, background: null, grace: 0, instances: 1 },
  IPHONE: { push: true, every: 120_000, silent: 400_000, background: null, grace: 0, instances: 1 },
  IPAD: { push: true, every: 120_000, silent: 400_000, background: null, grace: 0, instances: 1 },
  WINDOWS: { push: false, every: 120_000, silent: 400_000, background: null, grace: 0, instances: 1 },
  MAC: { push: true, every: 120_000, silent: 400_000, background: null, grace: 0, instances: 1 },
  LINUX: { push: false, every: 120_000, silent: 400_000, background: null, grace: 0, instances: 1 },
  WEB: { push: false, every: 20_000, silent: 60_000, background: null, grace: 0, instances: 1 },
  MINI_PROGRAM: { push: false, every: 20_000, silent: 60_000, background: 30_000, grace: 0, instances: 1 },
};

const MOBILE_ONLY: Table = {
  ...CURRENT,
  MAC: { push: false, every: 120_000, silent: 400_000, background: null, grace: 0, instances: 1 },
};

const CLASSIC: Table = {
  ...MOBILE_ONLY,
  WEB: { push: false, every: 120_000, silent: 400_000, background: null, grace: 0, instances: 1 },
  MINI_PROGRAM: { push: false, every: 120_000, silent: 400_000, background: 30_000, grace: 0, instances: 1 },
};

export const TABLE: Readonly<Record<PlatformPreset, Table>> = { CURRENT, MOBILE_ONLY, CLASSIC };

/** The group of each platform, by letter, in the order of `ALL`. */
export const GROUP_LETTERS: Readonly<Record<Exclude<MultiDeviceMode, 'CUSTOM'>, string>> = {
  SINGLE: 'aaaaaaaa',
  DUAL: 'aaaaaabb',
  TRIPLE: 'aaabbbcc',
  MULTI: 'abcdefgg',
};

/**
 * What a login does to a session that is already there: `k` kicked, `.` left alone. The row is the
 * platform that was there, the column the one that logs in, both in the order of `ALL`; on the
 * diagonal it is another device of the same platform, of which one may be there.
 */
export const KICKS: Readonly<Record<MultiDeviceMode, readonly string[]>> = {
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
