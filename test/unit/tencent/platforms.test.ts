import { expect, test } from 'vitest';
import { PLATFORMS } from '../../../src/core/enums.ts';
import {
  tencentPlatformName,
  statusCallbackPlatformName,
  type PlatformNameSetting,
  type PlatformNameStyle,
} from '../../../src/tencent/platforms.ts';

/** As Tencent's pages of the status query and of the status webhook list them. */
const LISTED: Readonly<Record<PlatformNameStyle, readonly string[]>> = {
  QUERY: ['iPhone', 'Android', 'Web', 'PC', 'iPad', 'Mac'],
  WEBHOOK: ['iOS', 'Android', 'Web', 'Windows', 'iPad', 'Mac', 'Linux'],
};

const named = (page: PlatformNameStyle, names: PlatformNameSetting): string[] =>
  PLATFORMS.map((platform) => tencentPlatformName(platform, page, names));

test.each(['QUERY', 'WEBHOOK'] as const)(
  'as documented, the page %s has the names that it lists, and all of them',
  (page) => {
    expect(new Set(named(page, 'DOCUMENTED'))).toEqual(new Set(LISTED[page]));
  },
);

test.each(['QUERY', 'WEBHOOK'] as const)('the setting makes both pages spell as %s', (spelling) => {
  for (const page of ['QUERY', 'WEBHOOK'] as const)
    expect(named(page, spelling)).toEqual(named(spelling, 'DOCUMENTED'));
});

test('an iPhone, a PC and a mini program', () => {
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
] as const)('the URL of the status webhook alone has its own word for an iPhone: %s', (names, iPhone) => {
  expect(statusCallbackPlatformName('IPHONE', names)).toBe(iPhone);
  for (const platform of PLATFORMS.filter((each) => each !== 'IPHONE')) {
    expect(statusCallbackPlatformName(platform, names)).toBe(tencentPlatformName(platform, 'WEBHOOK', names));
  }
});
