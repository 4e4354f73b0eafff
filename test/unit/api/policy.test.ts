/** Reading and changing the policy. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { World } from './api-harness.ts';
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

const read = async (world: World) => (await world.backend<{ policy: PolicyAnswer }>(`{ policy { ${POLICY} } }`)).policy;
const update = async (world: World, input: object) =>
  (await world.backend<{ updatePolicy: { policy: PolicyAnswer } }>(UPDATE, { input })).updatePolicy.policy;
const rowOf = (policy: PolicyAnswer, platform: string) => policy.platforms.find((row) => row['platform'] === platform);

describe('policy', () => {
  it('is the default table, row by row in the order of the platforms', async () => {
    const policy = await read(new World());
    expect(policy).toEqual({
      ...DEFAULT_POLICY,
      platforms: PLATFORMS.map((platform) => DEFAULT_POLICY.platforms[platform]),
    });
    expect(policy.pushOnlineExpiryMs).toBe(7 * 86_400_000);
  });
});

describe('updatePolicy', () => {
  it('with nothing changes nothing, and neither does null', async () => {
    const world = new World();
    const before = await read(world);
    expect(await update(world, {})).toEqual(before);
    const nulls = { multiDevice: null, preset: null, platforms: null, pushOnlineExpiryMs: null };
    expect(await update(world, nulls)).toEqual(before);
    expect(await update(world, { platforms: [] })).toEqual(before);
  });

  it('changes what is named and leaves the rest, also when it is read again', async () => {
    const world = new World();
    const before = await read(world);
    const after = await update(world, {
      multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'MAC'], ['LINUX']] },
      platforms: [{ platform: 'WEB', disconnectGraceMs: 1_500, maxInstances: 3, canBePushOnline: true }],
      pushOnlineExpiryMs: 90_000_000_000,
    });
    expect(after.multiDevice).toEqual({ mode: 'CUSTOM', groups: [['WEB', 'MAC'], ['LINUX']] });
    expect(after.pushOnlineExpiryMs).toBe(90_000_000_000);
    const changed = { disconnectGraceMs: 1_500, maxInstances: 3, canBePushOnline: true };
    expect(rowOf(after, 'WEB')).toEqual({ ...rowOf(before, 'WEB'), ...changed });
    expect(rowOf(after, 'MAC')).toEqual(rowOf(before, 'MAC'));
    expect(await read(world)).toEqual(after);
  });

  it('backgroundTimeoutMs: left out it stays, null is for ever; every other cell stays by null', async () => {
    const world = new World();
    const limitOf = (policy: PolicyAnswer) => rowOf(policy, 'MINI_PROGRAM')?.['backgroundTimeoutMs'];
    const nulls = {
      canBePushOnline: null,
      heartbeatIntervalMs: null,
      heartbeatTimeoutMs: null,
      disconnectGraceMs: null,
      maxInstances: null,
    };
    const before = rowOf(await read(world), 'MINI_PROGRAM');
    const kept = await update(world, { platforms: [{ platform: 'MINI_PROGRAM', ...nulls }] });
    expect(rowOf(kept, 'MINI_PROGRAM')).toEqual(before);
    expect(limitOf(kept)).toBe(30_000);
    expect(
      limitOf(await update(world, { platforms: [{ platform: 'MINI_PROGRAM', backgroundTimeoutMs: null }] })),
    ).toBeNull();
    expect(limitOf(await update(world, { preset: 'CURRENT' }))).toBe(30_000);
  });

  it('lays platforms over the preset of the same input', async () => {
    const after = await update(new World(), {
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
    const world = new World();
    const before = await read(world);
    const input = { multiDevice: { mode: 'MULTI' }, ...wrong };
    const { data, codes } = await world.ask(UPDATE, { variables: { input } });
    expect({ data, codes }).toEqual({ data: null, codes: ['BAD_USER_INPUT'] });
    expect(await read(world)).toEqual(before);
  });
});
