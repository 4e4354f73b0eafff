/** `policy` and `updatePolicy`. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { ApiHarness } from './api-harness.ts';
import { PLATFORMS } from '../../../src/core/enums.ts';

const POLICY = `multiDevice { mode groups } pushOnlineExpiryMs platforms {
  platform canBePushOnline heartbeatIntervalMs heartbeatTimeoutMs backgroundTimeoutMs disconnectGraceMs maxInstances
}`;
const UPDATE = `mutation($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { ${POLICY} } } }`;

interface PolicyResult {
  readonly multiDevice: { readonly mode: string; readonly groups: readonly (readonly string[])[] };
  readonly pushOnlineExpiryMs: number;
  readonly platforms: readonly Record<string, unknown>[];
}

const read = async (harness: ApiHarness) =>
  (await harness.executeAsBackend<{ policy: PolicyResult }>(`{ policy { ${POLICY} } }`)).policy;
const update = async (harness: ApiHarness, input: object) =>
  (await harness.executeAsBackend<{ updatePolicy: { policy: PolicyResult } }>(UPDATE, { input })).updatePolicy.policy;
const rowOf = (policy: PolicyResult, platform: string) => policy.platforms.find((row) => row['platform'] === platform);

describe('policy', () => {
  it('is the default policy, with the platforms in a fixed order', async () => {
    const policy = await read(new ApiHarness());
    expect(policy).toEqual({
      ...DEFAULT_POLICY,
      platforms: PLATFORMS.map((platform) => DEFAULT_POLICY.platforms[platform]),
    });
    expect(policy.pushOnlineExpiryMs).toBe(7 * 86_400_000);
  });
});

describe('updatePolicy', () => {
  it('changes nothing without fields or with null', async () => {
    const harness = new ApiHarness();
    const before = await read(harness);
    expect(await update(harness, {})).toEqual(before);
    const nulls = { multiDevice: null, preset: null, platforms: null, pushOnlineExpiryMs: null };
    expect(await update(harness, nulls)).toEqual(before);
    expect(await update(harness, { platforms: [] })).toEqual(before);
  });

  it('changes only the given fields, also when the policy is read again', async () => {
    const harness = new ApiHarness();
    const before = await read(harness);
    const after = await update(harness, {
      multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'MAC'], ['LINUX']] },
      platforms: [{ platform: 'WEB', disconnectGraceMs: 1_500, maxInstances: 3, canBePushOnline: true }],
      pushOnlineExpiryMs: 90_000_000_000,
    });
    expect(after.multiDevice).toEqual({ mode: 'CUSTOM', groups: [['WEB', 'MAC'], ['LINUX']] });
    expect(after.pushOnlineExpiryMs).toBe(90_000_000_000);
    const changed = { disconnectGraceMs: 1_500, maxInstances: 3, canBePushOnline: true };
    expect(rowOf(after, 'WEB')).toEqual({ ...rowOf(before, 'WEB'), ...changed });
    expect(rowOf(after, 'MAC')).toEqual(rowOf(before, 'MAC'));
    expect(await read(harness)).toEqual(after);
  });

  it('null removes backgroundTimeoutMs and leaves every other field unchanged', async () => {
    const harness = new ApiHarness();
    const limitOf = (policy: PolicyResult) => rowOf(policy, 'MINI_PROGRAM')?.['backgroundTimeoutMs'];
    const nulls = {
      canBePushOnline: null,
      heartbeatIntervalMs: null,
      heartbeatTimeoutMs: null,
      disconnectGraceMs: null,
      maxInstances: null,
    };
    const before = rowOf(await read(harness), 'MINI_PROGRAM');
    const kept = await update(harness, { platforms: [{ platform: 'MINI_PROGRAM', ...nulls }] });
    expect(rowOf(kept, 'MINI_PROGRAM')).toEqual(before);
    expect(limitOf(kept)).toBe(30_000);
    expect(
      limitOf(await update(harness, { platforms: [{ platform: 'MINI_PROGRAM', backgroundTimeoutMs: null }] })),
    ).toBeNull();
    expect(limitOf(await update(harness, { preset: 'CURRENT' }))).toBe(30_000);
  });

  it('applies platforms after the preset of the same input', async () => {
    const after = await update(new ApiHarness(), {
      preset: 'CLASSIC',
      platforms: [{ platform: 'WEB', heartbeatIntervalMs: 7_000 }],
    });
    expect(rowOf(after, 'WEB')).toMatchObject({ heartbeatIntervalMs: 7_000, heartbeatTimeoutMs: 400_000 });
    expect(rowOf(after, 'MAC')).toMatchObject({ canBePushOnline: false });
  });

  it.each([
    [{ platforms: [{ platform: 'WEB', heartbeatIntervalMs: 60_000 }] }],
    [{ platforms: [{ platform: 'WEB', heartbeatTimeoutMs: 999, heartbeatIntervalMs: 1 }] }],
    [{ platforms: [{ platform: 'WEB', disconnectGraceMs: -1 }] }],
    [{ platforms: [{ platform: 'WEB', maxInstances: 0 }] }],
    [{ platforms: [{ platform: 'WEB', maxInstances: 2_147_483_648 }] }],
    [{ platforms: [{ platform: 'WEB' }, { platform: 'WEB' }] }],
    [{ platforms: [{ platform: 'TOASTER' }] }],
    [{ platforms: [{ maxInstances: 2 }] }],
    [{ multiDevice: { mode: 'CUSTOM' } }],
    [{ multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'TOASTER']] } }],
    [{ multiDevice: { mode: 'CUSTOM', groups: [['WEB'], ['WEB']] } }],
    [{ multiDevice: { mode: 'DUAL', groups: [['WEB']] } }],
    [{ preset: 'NEWEST' }],
    [{ pushOnlineExpiryMs: 0.5 }],
    [{ pushOnlineExpiryMs: -1 }],
    [{ pushOnlineExpiryMs: '7 days' }],
  ])('%j is answered BAD_USER_INPUT and changes nothing, not even the valid parts', async (invalid) => {
    const harness = new ApiHarness();
    const before = await read(harness);
    const input = { multiDevice: { mode: 'MULTI' }, ...invalid };
    const { data, codes } = await harness.execute(UPDATE, { variables: { input } });
    expect({ data, codes }).toEqual({ data: null, codes: ['BAD_USER_INPUT'] });
    expect(await read(harness)).toEqual(before);
  });
});
