/** The policy as backends read and change it, and as it outlives the server. */
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
interface PolicySeen {
  readonly multiDevice: { readonly mode: string; readonly groups: readonly (readonly Platform[])[] };
  readonly pushOnlineExpiryMs: number;
  readonly platforms: readonly Row[];
}

const policyOf = async (of: Server): Promise<PolicySeen> =>
  (await postForData<{ policy: PolicySeen }>(of, of.apiKey, `{ policy { ${POLICY} } }`)).policy;

/** A row as a short text, in the words of the table. */
const inWords = (row: Row): string => {
  const background = row.backgroundTimeoutMs === null ? 'never' : row.backgroundTimeoutMs / 1_000;
  const rest =
    row.disconnectGraceMs === 0 && row.maxInstances === 1 ? '' : ` ${row.disconnectGraceMs} ${row.maxInstances}`;
  return `${row.platform} ${row.canBePushOnline ? 'push' : 'ends'} ${row.heartbeatIntervalMs / 1_000} ${row.heartbeatTimeoutMs / 1_000} ${background}${rest}`;
};
const tableOf = ({ platforms }: PolicySeen): readonly string[] => platforms.map(inWords).sort();

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
const replaced = (table: readonly string[], ...rows: readonly string[]): readonly string[] =>
  table.map((row) => rows.find((other) => other.split(' ')[0] === row.split(' ')[0]) ?? row);
const MOBILE_ONLY = replaced(CURRENT, 'MAC ends 120 400 never');
const CLASSIC = replaced(MOBILE_ONLY, 'WEB ends 120 400 never', 'MINI_PROGRAM ends 120 400 30');

describe('the platform table', () => {
  test('is the current one in a new database, and SINGLE', async () => {
    const policy = await policyOf(server);
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
  ] as const)('%s replaces all of it, grace and instances too', async ([preset, table]) => {
    const odd = { disconnectGraceMs: 5_000, maxInstances: 3, canBePushOnline: true, backgroundTimeoutMs: 9_000 };
    await updatePolicy(server, { platforms: PLATFORMS.map((platform) => ({ platform, ...odd })) });
    expect(tableOf(await policyOf(server))).not.toEqual(table);
    await updatePolicy(server, { preset });
    expect(tableOf(await policyOf(server))).toEqual(table);
  });

  test('rows of the same input are laid over the preset', async () => {
    await updatePolicy(server, {
      preset: 'CLASSIC',
      platforms: [
        { platform: 'WEB', heartbeatIntervalMs: 5_000, maxInstances: 4 },
        { platform: 'MINI_PROGRAM', backgroundTimeoutMs: null },
      ],
    });
    expect(tableOf(await policyOf(server))).toEqual(
      replaced(CLASSIC, 'WEB ends 5 400 never 0 4', 'MINI_PROGRAM ends 120 400 never'),
    );
  });

  test('what is left out stays as it is', async () => {
    await updatePolicy(server, { preset: 'CURRENT', pushOnlineExpiryMs: 86_400_000 });
    await updatePolicy(server, { platforms: [{ platform: 'IPAD', disconnectGraceMs: 7_000 }] });
    await updatePolicy(server, { multiDevice: { mode: 'MULTI' } });
    await updatePolicy(server, {});
    const policy = await policyOf(server);
    expect(tableOf(policy)).toEqual(replaced(CURRENT, 'IPAD push 120 400 never 7000 1'));
    expect(policy.pushOnlineExpiryMs).toBe(86_400_000);
    expect(policy.multiDevice.mode).toBe('MULTI');
  });

  test('the answer is the policy in force, and the next login is told of it', async () => {
    const mutation = `mutation { updatePolicy(input: {platforms: [{platform: LINUX, heartbeatIntervalMs: 3000, heartbeatTimeoutMs: 9000}]}) { policy { ${POLICY} } } }`;
    const { updatePolicy: updated } = await postForData<{ updatePolicy: { policy: PolicySeen } }>(
      server,
      server.apiKey,
      mutation,
    );
    expect(updated.policy).toEqual(await policyOf(server));
    const device = await logIn(server, newUserId(), 'LINUX');
    expect(
      await postForData(server, device.token, 'mutation { heartbeat { heartbeatIntervalMs heartbeatTimeoutMs } }'),
    ).toEqual({
      heartbeat: { heartbeatIntervalMs: 3_000, heartbeatTimeoutMs: 9_000 },
    });
  });
});

describe('what does not fit', () => {
  const web = (rest: object) => ({ platforms: [{ platform: 'WEB', ...rest }] });
  const refused: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['an interval that is its timeout', web({ heartbeatIntervalMs: 60_000 })],
    ['an interval above its timeout', web({ heartbeatIntervalMs: 60_001 })],
    ['a timeout below its interval', web({ heartbeatTimeoutMs: 19_999 })],
    ['an interval of nothing', web({ heartbeatIntervalMs: 0 })],
    ['a negative interval', web({ heartbeatIntervalMs: -1 })],
    ['a timeout below a second', web({ heartbeatIntervalMs: 1, heartbeatTimeoutMs: 999 })],
    ['a negative timeout', web({ heartbeatTimeoutMs: -60_000 })],
    ['a timeout beyond 32 bits', web({ heartbeatTimeoutMs: 2_147_483_648 })],
    ['half a millisecond', web({ heartbeatTimeoutMs: 60_000.5 })],
    ['a background limit below a second', web({ backgroundTimeoutMs: 999 })],
    ['a negative background limit', web({ backgroundTimeoutMs: -1 })],
    ['a negative grace', web({ disconnectGraceMs: -1 })],
    ['no instances', web({ maxInstances: 0 })],
    ['negative instances', web({ maxInstances: -5 })],
    ['text for a number', web({ maxInstances: 'many' })],
    ['an unknown platform', { platforms: [{ platform: 'FRIDGE', maxInstances: 2 }] }],
    ['a row without a platform', { platforms: [{ maxInstances: 2 }] }],
    ['an unknown preset', { preset: 'MODERN' }],
    ['an unknown mode', { multiDevice: { mode: 'QUADRUPLE' } }],
    ['CUSTOM without groups', { multiDevice: { mode: 'CUSTOM' } }],
    ['an unknown group member', { multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'FRIDGE']] } }],
    ['a platform in two groups', { multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'MAC'], ['MAC']] } }],
    ['a platform twice in a group', { multiDevice: { mode: 'CUSTOM', groups: [['WEB', 'WEB']] } }],
    ['no expiry', { pushOnlineExpiryMs: 0 }],
    ['a negative expiry', { pushOnlineExpiryMs: -1 }],
    ['half a millisecond of expiry', { pushOnlineExpiryMs: 86_400_000.5 }],
    ['an expiry beyond all dates', { pushOnlineExpiryMs: 1e300 }],
    ['an unknown setting', { heartbeatTimeoutMs: 5_000 }],
    [
      'one wrong row among good changes',
      { multiDevice: { mode: 'TRIPLE' }, pushOnlineExpiryMs: 5_000, preset: 'CLASSIC', ...web({ maxInstances: 0 }) },
    ],
    [
      'a wrong row after a good one',
      {
        platforms: [
          { platform: 'MAC', maxInstances: 9 },
          { platform: 'IPAD', heartbeatTimeoutMs: 1 },
        ],
      },
    ],
  ];
  test.for(refused)('%s: BAD_USER_INPUT at both doors, and nothing is changed', async ([, input]) => {
    await updatePolicy(server, { preset: 'CURRENT', multiDevice: { mode: 'DUAL' } });
    const before = await policyOf(server);
    const mutation =
      'mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { pushOnlineExpiryMs } } }';
    const http = await postOperation(server, server.apiKey, mutation, { input });
    expect([codeOf(http), http.data ?? null]).toEqual(['BAD_USER_INPUT', null]);
    const socket = await GraphqlSocket.open(server, server.apiKey);
    expect(codeOf(await socket.execute(mutation, { input }))).toBe('BAD_USER_INPUT');
    await socket.close();
    expect(await policyOf(server)).toEqual(before);
  });

  test('the least there is', async () => {
    await updatePolicy(
      server,
      web({ heartbeatIntervalMs: 999, heartbeatTimeoutMs: 1_000, backgroundTimeoutMs: 1_000 }),
    );
    expect(tableOf(await policyOf(server))).toContain('WEB ends 0.999 1 1');
  });
});

describe('the policy and the server’s life', () => {
  test('configuration seeds an empty database; from then on what is stored wins, kill -9 or not', async () => {
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
      const seeded = await policyOf(first);
      expect(tableOf(seeded)).toEqual(replaced(CLASSIC, 'LINUX ends 120 400 never 0 2'));
      expect(seeded.pushOnlineExpiryMs).toBe(172_800_000);
      expect(seeded.multiDevice).toEqual({ mode: 'CUSTOM', groups: [['ANDROID', 'IPHONE'], ['WEB']] });
      await updatePolicy(first, { preset: 'MOBILE_ONLY', multiDevice: { mode: 'TRIPLE' } });
      const changed = await policyOf(first);
      await first.sigkill();

      await using second = await startPorchlight({ directory, env: { ...seed, PORCHLIGHT_PUSH_ONLINE_EXPIRY: '3d' } });
      expect(await policyOf(second)).toEqual(changed);
      expect(tableOf(changed)).toEqual(MOBILE_ONLY);
      await second.stop();

      await using third = await startPorchlight({ directory });
      expect(await policyOf(third)).toEqual(changed);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
