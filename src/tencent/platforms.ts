/**
 * What Tencent's documents call a platform. They spell it in two ways: the page of the status query has iPhone and PC,
 * that of the webhooks iOS, Windows and Linux. Neither has a word for mini programs, which log in through the web SDK.
 */
import type { Platform } from '../core/enums.ts';

/** The page that spells it. */
export type PlatformSpelling = 'QUERY' | 'WEBHOOK';

/** Which spelling holds: DOCUMENTED, on each page its own; otherwise one of them everywhere. */
export type PlatformNames = 'DOCUMENTED' | PlatformSpelling;

const NAMES: Readonly<Record<Platform, Readonly<Record<PlatformSpelling, string>>>> = {
  ANDROID: { QUERY: 'Android', WEBHOOK: 'Android' },
  IPHONE: { QUERY: 'iPhone', WEBHOOK: 'iOS' },
  IPAD: { QUERY: 'iPad', WEBHOOK: 'iPad' },
  WINDOWS: { QUERY: 'PC', WEBHOOK: 'Windows' },
  MAC: { QUERY: 'Mac', WEBHOOK: 'Mac' },
  LINUX: { QUERY: 'PC', WEBHOOK: 'Linux' },
  WEB: { QUERY: 'Web', WEBHOOK: 'Web' },
  MINI_PROGRAM: { QUERY: 'Web', WEBHOOK: 'Web' },
};

/** @param page where the name is going to stand. Several platforms may have the same one. */
export const platformName = (platform: Platform, page: PlatformSpelling, names: PlatformNames): string =>
  NAMES[platform][names === 'DOCUMENTED' ? page : names];

/** In the URL of the status webhook, which alone spells IOS so, as their overview of webhooks warns. */
export const statusWebhookPlatformName = (platform: Platform, names: PlatformNames): string =>
  platform === 'IPHONE' && names === 'DOCUMENTED' ? 'IOS' : platformName(platform, 'WEBHOOK', names);
