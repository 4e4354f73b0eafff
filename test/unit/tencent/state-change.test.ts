import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EVENT_REASONS, PLATFORMS, type Platform } from '../../../src/core/enums.ts';
import { STATE_CHANGE_BY_REASON, toTencentStateChange } from '../../../src/tencent/state-change.ts';

const words = (change: ReturnType<typeof toTencentStateChange>) =>
  change === null ? 'nothing' : `${change.action} ${change.reason}`;

describe('a heartbeat timeout', () => {
  const of = (platform: Platform, webTimeout: 'LinkClose' | 'TimeOut') =>
    words(toTencentStateChange({ reason: 'HEARTBEAT_TIMEOUT', platform }, webTimeout));

  it.each(PLATFORMS.filter((platform) => platform !== 'WEB' && platform !== 'MINI_PROGRAM'))(
    'is a TimeOut on %s with any setting',
    (platform) => {
      expect([of(platform, 'LinkClose'), of(platform, 'TimeOut')]).toEqual([
        'Disconnect TimeOut',
        'Disconnect TimeOut',
      ]);
    },
  );

  it.each(['WEB', 'MINI_PROGRAM'] as const)('depends on the setting on %s', (platform) => {
    expect([of(platform, 'LinkClose'), of(platform, 'TimeOut')]).toEqual([
      'Disconnect LinkClose',
      'Disconnect TimeOut',
    ]);
  });
});

it('the setting affects no other reason', () => {
  for (const reason of EVENT_REASONS.filter((each) => each !== 'HEARTBEAT_TIMEOUT')) {
    for (const platform of PLATFORMS) {
      expect(toTencentStateChange({ reason, platform }, 'TimeOut'), reason).toBe(
        toTencentStateChange({ reason, platform }, 'LinkClose'),
      );
    }
  }
});

it('docs/tencent.md contains the same table', () => {
  const page = readFileSync(new URL('../../../docs/tencent.md', import.meta.url), 'utf8');
  const table = /<!-- reasons -->\n([^]*?)<!-- \/reasons -->/.exec(page)?.[1] ?? '';
  const rows = table
    .trim()
    .split('\n')
    .slice(2)
    .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))
    .map(([, reason, action, word]) => [reason, action === 'nothing' ? 'nothing' : `${action} ${word}`]);
  expect(rows).toEqual(EVENT_REASONS.map((reason) => [reason, words(STATE_CHANGE_BY_REASON[reason])]));
});
