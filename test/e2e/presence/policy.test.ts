/** The policy: reading, changing, validation and persistence. */
import { describe, expect, test } from 'vitest';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  logIn,
  newUserId,
  PLATFORMS,
  POLICY,
  startSharedServer,
  updatePolicy,
  type Platform,
  type Server,
} from '../support/users.ts';

const server = startSharedServer();

interface Row {
  readonly platform: Platform;
  readonly canBePushOnline: boolean;
  readonly heartbeatIntervalMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly backgroundTimeoutMs: number | null;
  readonly disconnectGraceMs: number;
  readonly maxInstances: number;
}
interface PolicyResult {
  readonly multiDevice: { readonly mode: string; readonly groups: readonly (readonly Platform[])[] };
  readonly pushOnlineExpiryMs: number;
  readonly platforms: readonly Row[];
}

const fetchPolicy = async (from: Server): Promise<PolicyResult> =>
  (await postForData<{ policy: PolicyResult }>(from, from.apiKey, `{ policy { ${POLICY} } }`)).policy;

/** A row as a short text, in the form of the expected tables below. */
const describeRow = (row: Row): string => {
  const background = row.backgroundTimeoutMs === null ? 'never' : row.backgroundTimeoutMs / 1_000;
  const rest =
    row.disconnectGraceMs === 0 && row.maxInstances === 1 ? '' : ` ${row.disconnectGraceMs} ${row.maxInstances}`;
  return `${row.platform} ${row.canBePushOnline ? 'push' : 'ends'} ${row.heartbeatIntervalMs / 1_000} ${row.heartbeatTimeoutMs / 1_000} ${background}${rest}`;
};
const tableOf = ({ platforms }: PolicyResult): readonly string[] => platforms.map(describeRow).sort();

const CURRENT = [
  'ANDROID push 120 400 never',
  'IPAD push 120 400 never',
  'IPHONE push 120 400 never',
  'LINUX ends 120 400 never',
  'MAC push 120 400 never',
  'MINI_PROGRAM ends 20 60 30',
  'WEB ends 20 60 never',
  'WINDOWS ends 120 400 never',
];
const withRows = (table: readonly string[], ...rows: readonly string[]): readonly string[] =>
  table.map((row) => rows.find((other) => other.split(' ')[0] === row.split(' ')[0]) ?? row);
const MOBILE_ONLY = withRows(CURRENT, 'MAC ends 120 400 never');
const CLASSIC = withRows(MOBILE_ONLY, 'WEB ends 120 400 never', 'MINI_PROGRAM ends 120 400 30');

describe('the platform table', () => {
  test('has the preset CURRENT and the mode SINGLE in a new database', async () => {
    const policy = await fetchPolicy(server);
    expect(tableOf(policy)).toEqual(CURRENT);
    expect(policy.platforms.map(({ platform }) => platform)).toHaveLength(8);
    expect(policy.pushOnlineExpiryMs).toBe(7 * 24 * 60 * 60 * 1_000);
    expect(policy.multiDevice.mode).toBe('SINGLE');
    expect(policy.multiDevice.groups.map((group) => [...group].sort())).toEqual([[...PLATFORMS].sort()]);
  });

  test.for([
    ['MOBILE_ONLY', MOBILE_ONLY],
    ['CLASSIC', CLASSIC],
    ['CURRENT', CURRENT],
  ] as const)('is replaced completely by the preset %s', async ([preset, table]) => {
    const changedRow = { disconnectGraceMs: 5_000, maxInstances: 3, canBePushOnline: true, backgroundTimeoutMs: 9_000 };
    await updatePolicy(server, { platforms: PLATFORMS.map((platform) => ({ platform, ...changedRow })) });
    expect(tableOf(await fetchPolicy(server))).not.toEqual(table);
    await updatePolicy(server, { preset });
    expect(tableOf(await fetchPolicy(server))).toEqual(table);
  });

  test('has rows of the same input applied after the preset', async () => {
    await updatePolicy(server, {
      preset: 'CLASSIC',
      platforms: [
        { platform: 'WEB', heartbeatIntervalMs: 5_000, maxInstances: 4 },
        { platform: 'MINI_PROGRAM', backgroundTimeoutMs: null },
      ],
    });
    expect(tableOf(await fetchPolicy(server))).toEqual(
      withRows(CLASSIC, 'WEB ends 5 400 never 0 4', 'MINI_PROGRAM ends 120 400 never'),
    );
  });

  test('keeps the values that an update leaves out', async () => {
    await updatePolicy(server, { preset: 'CURRENT', pushOnlineExpiryMs: 86_400_000 });
    await updatePolicy(server, { platforms: [{ platform: 'IPAD', disconnectGraceMs: 7_000 }] });
    await updatePolicy(server, { multiDevice: { mode: 'MULTI' } });
    await updatePolicy(server, {});
    const policy = await fetchPolicy(server);
    expect(tableOf(policy)).toEqual(withRows(CURRENT, 'IPAD push 120 400 never 7000 1'));
    expect(policy.pushOnlineExpiryMs).toBe(86_400_000);
    expect(policy.multiDevice.mode).toBe('MULTI');
  });

  test('is returned by the update, and the next login gets its timings', async () => {
    const mutation = `mutation { updatePolicy(input: {platforms: [{platform: LINUX, heartbeatIntervalMs: 3000, heartbeatTimeoutMs: 9000}]}) { policy { ${POLICY} } } }`;
    const { updatePolicy: updated } = await postForData<{ updatePolicy: { policy: PolicyResult } }>(
      server,
      server.apiKey,
      mutation,
    );
    expect(updated.policy).toEqual(await fetchPolicy(server));
    const device = await logIn(server, newUserId(), 'LINUX');
    expect(
      await postForData(server, device.token, 'mutation { heartbeat { heartbeatIntervalMs heartbeatTimeoutMs } }'),
    ).toEqual({
      heartbeat: { heartbeatIntervalMs: 3_000, heartbeatTimeoutMs: 9_000 },
    });
  });
});

describe('an invalid update of the policy', () => {
  const web = (rest: object) => ({ platforms: [{ platform: 'WEB', ...rest }] });
  const invalidInputs: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['an interval equal to its timeout', web({ heartbeatIntervalMs: 60_000 })],
    ['an interval above its timeout', web({ heartbeatIntervalMs: 60_001 })],
    ['a timeout below its interval', web({ heartbeatTimeoutMs: 19_999 })],
    ['an interval of zero', web({ heartbeatIntervalMs: 0 })],
    ['a negative interval', web({ heartbeatIntervalMs: -1 })],
    ['a timeout below a second', web({ heartbeatIntervalMs: 1, heartbeatTimeoutMs: 999 })],
    ['a negative timeout', web({ heartbeatTimeoutMs: -60_000 })],
    ['a timeout beyond 32 bits', web({ heartbeatTimeoutMs: 2_147_483_648 })],
    ['a fraction of a millisecond', web({ heartbeatTimeoutMs: 60_000.5 })],
    ['a background limit below a second', web({ backgroundTimeoutMs: 999 })],
    ['a negative background limit', web({ backgroundTimeoutMs: -1 })],
    ['a negative grace', web({ disconnectGraceMs: -1 })],
    ['zero instances', web({ maxInstances: 0 })],
    ['negative instances', web({ maxInstances: -5 })],
    ['a string for a number', web({ maxInstances: 'many' })],
    ['an unknown platform', { platforms: [{ platform: 'FRIDGE', maxInstances: 2 }] }],
    ['a row without a platform', { platforms: [{ maxInstances: 2 }] }],
    ['an unknown preset', { preset: 'MODERN' }],
    ['an unknown mode', { multiDevice: { mode: 'QUADRUPLE' } }],
    ['CUSTOM without groups', { multiDevice: { mode: 'CUSTOM' } }],
    ['an unknown group member', { multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'FRIDGE']] } }],
    ['a platform in two groups', { multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'MAC'], ['MAC']] } }],
    ['a platform twice in a group', { multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'WEB']] } }],
    ['an expiry of zero', { pushOnlineExpiryMs: 0 }],
    ['a negative expiry', { pushOnlineExpiryMs: -1 }],
    ['an expiry with a fraction of a millisecond', { pushOnlineExpiryMs: 86_400_000.5 }],
    ['an expiry beyond the range of dates', { pushOnlineExpiryMs: 1e300 }],
    ['an unknown setting', { heartbeatTimeoutMs: 5_000 }],
    [
      'one invalid row with otherwise valid changes',
      { multiDevice: { mode: 'TRIPLE' }, pushOnlineExpiryMs: 5_000, preset: 'CLASSIC', ...web({ maxInstances: 0 }) },
    ],
    [
      'an invalid row after a valid one',
      {
        platforms: [
          { platform: 'MAC', maxInstances: 9 },
          { platform: 'IPAD', heartbeatTimeoutMs: 1 },
        ],
      },
    ],
  ];
  test.for(invalidInputs)(
    'is rejected with BAD_USER_INPUT over both transports and changes nothing: %s',
    async ([, input]) => {
      await updatePolicy(server, { preset: 'CURRENT', multiDevice: { mode: 'DUAL' } });
      const before = await fetchPolicy(server);
      const mutation =
        'mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { pushOnlineExpiryMs } } }';
      const http = await postOperation(server, server.apiKey, mutation, { input });
      expect([codeOf(http), http.data ?? null]).toEqual(['BAD_USER_INPUT', null]);
      const socket = await GraphqlSocket.open(server, server.apiKey);
      expect(codeOf(await socket.execute(mutation, { input }))).toBe('BAD_USER_INPUT');
      await socket.close();
      expect(await fetchPolicy(server)).toEqual(before);
    },
  );

  test('does not include the minimum values, which are accepted', async () => {
    await updatePolicy(
      server,
      web({ heartbeatIntervalMs: 999, heartbeatTimeoutMs: 1_000, backgroundTimeoutMs: 1_000 }),
    );
    expect(tableOf(await fetchPolicy(server))).toContain('WEB ends 0.999 1 1');
  });
});

describe('the stored policy', () => {
  test('is seeded from the configuration once and then survives SIGKILL and other settings', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'porchlight-e2e-policy-'));
    try {
      const seed = {
        PORCHLIGHT_PLATFORM_PRESET: 'classic',
        PORCHLIGHT_MULTI_DEVICE: 'custom',
        PORCHLIGHT_MULTI_DEVICE_GROUPS: 'ANDROID,IPHONE;WEB',
        PORCHLIGHT_PLATFORMS: '[{"platform":"LINUX","maxInstances":2}]',
        PORCHLIGHT_PUSH_ONLINE_EXPIRY: '2d',
      };
      await using first = await startPorchlight({ directory, env: seed });
      const seeded = await fetchPolicy(first);
      expect(tableOf(seeded)).toEqual(withRows(CLASSIC, 'LINUX ends 120 400 never 0 2'));
      expect(seeded.pushOnlineExpiryMs).toBe(172_800_000);
      expect(seeded.multiDevice).toEqual({ mode: 'CUSTOM', groups: [['ANDROID', 'IPHONE'], ['WEB']] });
      await updatePolicy(first, { preset: 'MOBILE_ONLY', multiDevice: { mode: 'TRIPLE' } });
      const changed = await fetchPolicy(first);
      await first.sigkill();

      await using second = await startPorchlight({ directory, env: { ...seed, PORCHLIGHT_PUSH_ONLINE_EXPIRY: '3d' } });
      expect(await fetchPolicy(second)).toEqual(changed);
      expect(tableOf(changed)).toEqual(MOBILE_ONLY);
      await second.stop();

      await using third = await startPorchlight({ directory });
      expect(await fetchPolicy(third)).toEqual(changed);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
