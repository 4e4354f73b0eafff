/**
 * The platform names of Tencent's documents. Their status query uses iPhone and PC; their webhooks use iOS, Windows and
 * Linux. Neither has a name for mini programs, which log in through the web SDK.
 */
import type { Platform } from '../core/enums.ts';

/** The Tencent document whose names are used. */
export type PlatformNameStyle = 'QUERY' | 'WEBHOOK';

/** DOCUMENTED: each API uses the names of its own document. Otherwise: all APIs use the same names. */
export type PlatformNameSetting = 'DOCUMENTED' | PlatformNameStyle;

const NAMES: Readonly<Record<Platform, Readonly<Record<PlatformNameStyle, string>>>> = {
  ANDROID: { QUERY: 'Android', WEBHOOK: 'Android' },
  IPHONE: { QUERY: 'iPhone', WEBHOOK: 'iOS' },
  IPAD: { QUERY: 'iPad', WEBHOOK: 'iPad' },
  WINDOWS: { QUERY: 'PC', WEBHOOK: 'Windows' },
  MAC: { QUERY: 'Mac', WEBHOOK: 'Mac' },
  LINUX: { QUERY: 'PC', WEBHOOK: 'Linux' },
  WEB: { QUERY: 'Web', WEBHOOK: 'Web' },
  MINI_PROGRAM: { QUERY: 'Web', WEBHOOK: 'Web' },
};

/** @param style of the API that sends the name. @returns a name that several platforms may share. */
export const tencentPlatformName = (
  platform: Platform,
  style: PlatformNameStyle,
  setting: PlatformNameSetting,
): string => NAMES[platform][setting === 'DOCUMENTED' ? style : setting];

/** For the URL of the status webhook: the only place that uses IOS, as Tencent’s overview of webhooks states. */
export const statusCallbackPlatformName = (platform: Platform, setting: PlatformNameSetting): string =>
  platform === 'IPHONE' && setting === 'DOCUMENTED' ? 'IOS' : tencentPlatformName(platform, 'WEBHOOK', setting);
