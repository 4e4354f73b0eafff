import { expect, test } from 'vitest';
import { PLATFORMS } from '../../../src/core/enums.ts';
import {
  tencentPlatformName,
  statusCallbackPlatformName,
  type PlatformNameSetting,
  type PlatformNameStyle,
} from '../../../src/tencent/platforms.ts';

/** The names in Tencent’s documents of the status query and of the status webhook. */
const LISTED: Readonly<Record<PlatformNameStyle, readonly string[]>> = {
  QUERY: ['iPhone', 'Android', 'Web', 'PC', 'iPad', 'Mac'],
  WEBHOOK: ['iOS', 'Android', 'Web', 'Windows', 'iPad', 'Mac', 'Linux'],
};

const named = (page: PlatformNameStyle, names: PlatformNameSetting): string[] =>
  PLATFORMS.map((platform) => tencentPlatformName(platform, page, names));

test.each(['QUERY', 'WEBHOOK'] as const)('DOCUMENTED uses exactly the names that Tencent documents for %s', (page) => {
  expect(new Set(named(page, 'DOCUMENTED'))).toEqual(new Set(LISTED[page]));
});

test.each(['QUERY', 'WEBHOOK'] as const)('the setting %s is used in both APIs', (spelling) => {
  for (const page of ['QUERY', 'WEBHOOK'] as const)
    expect(named(page, spelling)).toEqual(named(spelling, 'DOCUMENTED'));
});

test('iPhone, PC and mini program have the documented names', () => {
  const names = (page: PlatformNameStyle): string[] =>
    (['IPHONE', 'WINDOWS', 'LINUX', 'MINI_PROGRAM'] as const).map((each) =>
      tencentPlatformName(each, page, 'DOCUMENTED'),
    );
  expect(names('QUERY')).toEqual(['iPhone', 'PC', 'PC', 'Web']);
  expect(names('WEBHOOK')).toEqual(['iOS', 'Windows', 'Linux', 'Web']);
});

test.each([
  ['DOCUMENTED', 'IOS'],
  ['WEBHOOK', 'iOS'],
  ['QUERY', 'iPhone'],
] as const)('with %s, the URL of the status webhook names an iPhone %s', (names, iPhone) => {
  expect(statusCallbackPlatformName('IPHONE', names)).toBe(iPhone);
  for (const platform of PLATFORMS.filter((each) => each !== 'IPHONE')) {
    expect(statusCallbackPlatformName(platform, names)).toBe(tencentPlatformName(platform, 'WEBHOOK', names));
  }
});
