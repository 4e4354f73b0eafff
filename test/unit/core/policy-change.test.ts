/** Changes of the policy: what they replace, what they keep, and which values are rejected. */
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import {
  applyPolicyChange,
  DEFAULT_POLICY,
  createPolicyFromSeed,
  type PolicyChange,
} from '../../../src/core/policy.ts';
import { deepFreeze } from './model/freeze.ts';
import { ALL, CUSTOM_GROUPS } from './tables.ts';
import type { Platform } from '../../../src/core/enums.ts';

const BASE = deepFreeze(DEFAULT_POLICY);

const expectRejected = (change: PolicyChange, message: string, base = BASE): void => {
  let error: unknown;
  try {
    applyPolicyChange(base, change);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(DomainError);
  expect(error).toMatchObject({ details: { code: 'BAD_USER_INPUT' }, message });
};

describe('omitted fields', () => {
  it.each([{}, { multiDevice: null, preset: null, platforms: null, pushOnlineExpiryMs: null }, { platforms: [] }])(
    'an empty change (%j) changes nothing',
    (change) => expect(applyPolicyChange(BASE, change)).toEqual(BASE),
  );

  it('null leaves a field unchanged, except backgroundTimeoutMs, which it removes', () => {
    const platforms = [
      {
        platform: 'MINI_PROGRAM' as const,
        canBePushOnline: null,
        heartbeatIntervalMs: null,
        heartbeatTimeoutMs: null,
        backgroundTimeoutMs: null,
        disconnectGraceMs: null,
        maxInstances: null,
      },
    ];
    expect(applyPolicyChange(BASE, { platforms }).platforms).toEqual({
      ...BASE.platforms,
      MINI_PROGRAM: { ...BASE.platforms.MINI_PROGRAM, backgroundTimeoutMs: null },
    });
  });

  it('an omitted or undefined backgroundTimeoutMs does not change', () => {
    for (const change of [{ maxInstances: 2 }, { maxInstances: 2, backgroundTimeoutMs: undefined }]) {
      const next = applyPolicyChange(BASE, { platforms: [{ platform: 'MINI_PROGRAM', ...change }] });
      expect(next.platforms.MINI_PROGRAM.backgroundTimeoutMs).toBe(30_000);
    }
  });

  it('every field can be changed, and only its row changes', () => {
    const row = {
      platform: 'LINUX' as const,
      canBePushOnline: true,
      heartbeatIntervalMs: 999,
      heartbeatTimeoutMs: 1_000,
      backgroundTimeoutMs: 1_000,
      disconnectGraceMs: 1,
      maxInstances: 2,
    };
    const next = applyPolicyChange(BASE, { platforms: [row], pushOnlineExpiryMs: 1_000 });
    expect(next).toEqual({ ...BASE, platforms: { ...BASE.platforms, LINUX: row }, pushOnlineExpiryMs: 1_000 });
  });

  it('false is a value, not an omitted field', () => {
    const next = applyPolicyChange(BASE, { platforms: [{ platform: 'MAC', canBePushOnline: false }] });
    expect(next.platforms.MAC.canBePushOnline).toBe(false);
  });
});

describe('presets', () => {
  const changed = applyPolicyChange(BASE, {
    platforms: ALL.map((platform) => ({ platform, maxInstances: 3, disconnectGraceMs: 9, heartbeatIntervalMs: 10 })),
    multiDevice: { mode: 'DUAL' },
    pushOnlineExpiryMs: 5_000,
  });

  it('replace the whole table with grace periods and instances, and nothing else', () => {
    expect(applyPolicyChange(changed, { preset: 'CURRENT' })).toEqual({
      ...changed,
      platforms: DEFAULT_POLICY.platforms,
    });
  });

  it('are applied before `platforms` of the same change', () => {
    const next = applyPolicyChange(changed, { preset: 'CLASSIC', platforms: [{ platform: 'WEB', maxInstances: 2 }] });
    expect(next.platforms.WEB).toMatchObject({ heartbeatTimeoutMs: 400_000, maxInstances: 2, disconnectGraceMs: 0 });
    expect(next.platforms.MAC).toMatchObject({ canBePushOnline: false, maxInstances: 1, heartbeatIntervalMs: 120_000 });
  });
});

describe('modes and groups', () => {
  it.each([
    ['SINGLE', 1],
    ['DUAL', 2],
    ['TRIPLE', 3],
    ['MULTI', 7],
  ] as const)('%s has %i groups, which contain each platform once', (mode, groups) => {
    const next = applyPolicyChange(BASE, { multiDevice: { mode } }).multiDevice;
    expect([next.mode, next.groups.length]).toEqual([mode, groups]);
    expect(next.groups.flat().toSorted()).toEqual(ALL.toSorted());
  });

  it('CUSTOM has a copy of the given groups', () => {
    const groups: Platform[][] = [['WEB', 'MAC'], ['IPAD']];
    const next = applyPolicyChange(BASE, { multiDevice: { mode: 'CUSTOM', groups } });
    groups[0]?.push('LINUX');
    expect(next.multiDevice).toEqual({ mode: 'CUSTOM', groups: [['WEB', 'MAC'], ['IPAD']] });
  });

  it('CUSTOM with an empty list of groups excludes no platform', () => {
    const next = applyPolicyChange(BASE, { multiDevice: { mode: 'CUSTOM', groups: [] } });
    expect(next.multiDevice.groups).toEqual([]);
  });

  it('CUSTOM without groups keeps the groups of CUSTOM, and is rejected after another mode', () => {
    const custom = applyPolicyChange(BASE, { multiDevice: { mode: 'CUSTOM', groups: CUSTOM_GROUPS } });
    for (const groups of [null, undefined]) {
      expect(applyPolicyChange(custom, { multiDevice: { mode: 'CUSTOM', groups } })).toEqual(custom);
      expectRejected({ multiDevice: { mode: 'CUSTOM', groups } }, 'multiDevice.groups is needed with mode CUSTOM.');
    }
  });

  it('a policy that was read can be written back in every mode', () => {
    for (const mode of ['SINGLE', 'DUAL', 'TRIPLE', 'MULTI'] as const) {
      const policy = applyPolicyChange(BASE, { multiDevice: { mode } });
      const { multiDevice, platforms, pushOnlineExpiryMs } = policy;
      expect(
        applyPolicyChange(policy, { multiDevice, platforms: Object.values(platforms), pushOnlineExpiryMs }),
      ).toEqual(policy);
      const [first = [], ...others] = multiDevice.groups;
      for (const groups of [others, [first.slice(1), ...others], [...others, first, []]]) {
        expectRejected(
          { multiDevice: { mode, groups } },
          `multiDevice.groups goes with mode CUSTOM, not with ${mode}.`,
        );
      }
    }
  });

  it('other groups are rejected with every other mode; with CUSTOM an empty group, a repeated platform and an unknown one', () => {
    for (const mode of ['SINGLE', 'DUAL', 'TRIPLE', 'MULTI'] as const) {
      expectRejected(
        { multiDevice: { mode, groups: CUSTOM_GROUPS } },
        `multiDevice.groups goes with mode CUSTOM, not with ${mode}.`,
      );
    }
    const custom = (groups: readonly (readonly string[])[]) => ({
      multiDevice: { mode: 'CUSTOM' as const, groups: groups as readonly (readonly Platform[])[] },
    });
    expectRejected(custom([['WEB'], []]), 'multiDevice.groups has an empty group.');
    expectRejected(custom([['WEB', 'WEB']]), 'multiDevice.groups names WEB twice.');
    expectRejected(custom([['WEB'], ['MAC', 'WEB']]), 'multiDevice.groups names WEB twice.');
    expectRejected(custom([['WEB', 'FRIDGE']]), `multiDevice.groups: FRIDGE is not one of ${ALL.join(', ')}.`);
  });
});

const RANGES = [
  ['heartbeatIntervalMs', 1, 2_147_483_647],
  ['heartbeatTimeoutMs', 1_000, 2_147_483_647],
  ['backgroundTimeoutMs', 1_000, 2_147_483_647],
  ['disconnectGraceMs', 0, 2_147_483_647],
  ['maxInstances', 1, 1_000],
] as const;

describe.each(RANGES)('WEB.%s is a whole number from %i to %i', (cell, least, most) => {
  // The other field has its widest value, so that only the range of this one matters.
  const room = cell === 'heartbeatTimeoutMs' ? { heartbeatIntervalMs: 1 } : { heartbeatTimeoutMs: 2_147_483_647 };
  const change = (value: number): PolicyChange => ({ platforms: [{ platform: 'WEB', ...room, [cell]: value }] });

  it.each([least - 1, -1, most + 1, least + 0.5, Number.NaN, Number.POSITIVE_INFINITY])('%d is rejected', (value) =>
    expectRejected(change(value), `WEB.${cell} is ${value}; it must be a whole number from ${least} to ${most}.`),
  );

  it('its minimum is accepted', () => {
    expect(applyPolicyChange(BASE, change(least)).platforms.WEB[cell]).toBe(least);
  });

  // The maximum interval is one below the timeout, which has its own test.
  if (cell !== 'heartbeatIntervalMs') {
    it('its maximum is accepted', () => {
      expect(applyPolicyChange(BASE, change(most)).platforms.WEB[cell]).toBe(most);
    });
  }
});

describe('pushOnlineExpiryMs', () => {
  it.each([1_000, 315_360_000_000])('%i is accepted', (pushOnlineExpiryMs) => {
    expect(applyPolicyChange(BASE, { pushOnlineExpiryMs }).pushOnlineExpiryMs).toBe(pushOnlineExpiryMs);
  });

  it.each([999, 0, -1, 1_000.5, 315_360_000_001])('%d is rejected', (pushOnlineExpiryMs) =>
    expectRejected(
      { pushOnlineExpiryMs },
      `pushOnlineExpiryMs is ${pushOnlineExpiryMs}; it must be a whole number from 1000 to 315360000000.`,
    ),
  );
});

describe('inconsistent values', () => {
  it.each([
    [20_000, 20_000],
    [20_001, 20_000],
  ])('an interval of %i with a timeout of %i is rejected', (heartbeatIntervalMs, heartbeatTimeoutMs) =>
    expectRejected(
      { platforms: [{ platform: 'MAC', heartbeatIntervalMs, heartbeatTimeoutMs }] },
      `MAC.heartbeatIntervalMs (${heartbeatIntervalMs}) must be less than heartbeatTimeoutMs (${heartbeatTimeoutMs}).`,
    ),
  );

  it.each([20_000, 2_147_483_647])('an interval one millisecond below a timeout of %i is accepted', (timeout) => {
    const platforms = [{ platform: 'MAC' as const, heartbeatIntervalMs: timeout - 1, heartbeatTimeoutMs: timeout }];
    expect(applyPolicyChange(BASE, { platforms }).platforms.MAC.heartbeatIntervalMs).toBe(timeout - 1);
  });

  it('a timeout lowered to the current interval is rejected', () =>
    expectRejected(
      { platforms: [{ platform: 'WEB', heartbeatTimeoutMs: 20_000 }] },
      'WEB.heartbeatIntervalMs (20000) must be less than heartbeatTimeoutMs (20000).',
    ));

  it('a repeated or unknown platform is rejected', () => {
    expectRejected({ platforms: [{ platform: 'WEB' }, { platform: 'WEB' }] }, 'platforms names WEB twice.');
    expectRejected(
      { platforms: [{ platform: 'FRIDGE' as Platform }] },
      `platforms: FRIDGE is not one of ${ALL.join(', ')}.`,
    );
  });

  it('one invalid value in the last row rejects the whole change', () =>
    expectRejected(
      { preset: 'CLASSIC', platforms: [{ platform: 'MAC' }, { platform: 'WEB', maxInstances: 0 }] },
      'WEB.maxInstances is 0; it must be a whole number from 1 to 1000.',
    ));
});

it('a seed is applied to the default policy', () => {
  expect(createPolicyFromSeed({})).toEqual(DEFAULT_POLICY);
  expect(createPolicyFromSeed({ preset: 'CLASSIC' }).platforms.WEB.heartbeatTimeoutMs).toBe(400_000);
  expect(() => createPolicyFromSeed({ pushOnlineExpiryMs: 1 })).toThrow(DomainError);
});
