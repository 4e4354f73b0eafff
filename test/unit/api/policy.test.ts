/** Reading and changing the policy. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { ApiHarness } from './api-harness.ts';
import { PLATFORMS } from '../../../src/core/enums.ts';

const POLICY = `multiDevice { mode groups } pushOnlineExpiryMs platforms {
  platform canBePushOnline heartbeatIntervalMs heartbeatTimeoutMs backgroundTimeoutMs disconnectGraceMs maxInstances
}`;
const UPDATE = `mutation($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { ${POLICY} } } }`;

interface PolicyAnswer {
  readonly multiDevice: { readonly mode: string; readonly groups: readonly (readonly string[])[] };
  readonly pushOnlineExpiryMs: number;
  readonly platforms: readonly Record<string, unknown>[];
}

const read = async (harness: ApiHarness) =>
  (await harness.backend<{ policy: PolicyAnswer }>(`{ policy { ${POLICY} } }`)).policy;
const update = async (harness: ApiHarness, input: object) =>
  (await harness.backend<{ updatePolicy: { policy: PolicyAnswer } }>(UPDATE, { input })).updatePolicy.policy;
const rowOf = (policy: PolicyAnswer, platform: string) => policy.platforms.find((row) => row['platform'] === platform);

describe('policy', () => {
  it('is the default table, row by row in the order of the platforms', async () => {
    const policy = await read(new ApiHarness());
    expect(policy).toEqual({
      ...DEFAULT_POLICY,
      platforms: PLATFORMS.map((platform) => DEFAULT_POLICY.platforms[platform]),
    });
    expect(policy.pushOnlineExpiryMs).toBe(7 * 86_400_000);
  });
});

describe('updatePolicy', () => {
  it('with nothing changes nothing, and neither does null', async () => {
    const harness = new ApiHarness();
    const before = await read(harness);
    expect(await update(harness, {})).toEqual(before);
    const nulls = { multiDevice: null, preset: null, platforms: null, pushOnlineExpiryMs: null };
    expect(await update(harness, nulls)).toEqual(before);
    expect(await update(harness, { platforms: [] })).toEqual(before);
  });

  it('changes what is named and leaves the rest, also when it is read again', async () => {
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

  it('backgroundTimeoutMs: left out it stays, null is for ever; every other cell stays by null', async () => {
    const harness = new ApiHarness();
    const limitOf = (policy: PolicyAnswer) => rowOf(policy, 'MINI_PROGRAM')?.['backgroundTimeoutMs'];
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

  it('lays platforms over the preset of the same input', async () => {
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
  ])('%j is BAD_USER_INPUT and changes nothing, not even what was right', async (wrong) => {
    const harness = new ApiHarness();
    const before = await read(harness);
    const input = { multiDevice: { mode: 'MULTI' }, ...wrong };
    const { data, codes } = await harness.ask(UPDATE, { variables: { input } });
    expect({ data, codes }).toEqual({ data: null, codes: ['BAD_USER_INPUT'] });
    expect(await read(harness)).toEqual(before);
  });
});
