/** Who may call the server API: the admin, with a UserSig of her own. */
import { describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../integration/server/support/server-harness.ts';
import { changedMetrics } from '../../support/prometheus.ts';
import { callApi, KICK, OK, openTencentHarness, QUERY, createUserSig, type Params } from './tencent-harness.ts';
import { ADMIN, APP_ID, packClaims, packText, generateRoomUserSig, unpackClaims } from './user-sigs.ts';

const SENTENCE: unknown = expect.stringMatching(/^\w.+\.$/);
const ASKED = { To_Account: ['alice'] };

describe('the admin is let in', () => {
  test.each<[string, Params]>([
    ['as documented', {}],
    ['without random, which tells nothing', { random: undefined }],
    ['without contenttype', { contenttype: undefined }],
    ['with contenttype in capitals', { contenttype: 'JSON' }],
    ['with parameters that nobody knows', { servicename: 'openim', command: 'querystate' }],
    ['with the permissions of a room', { usersig: generateRoomUserSig(ADMIN, 7) }],
  ])('%s', async (_how, params) => {
    expect(await callApi(await openTencentHarness(), QUERY, ASKED, { params })).toMatchObject(OK);
  });

  test('however often she has been with the same UserSig, until it expires', async () => {
    const harness = await openTencentHarness();
    const params = { usersig: createUserSig(harness, ADMIN, { expireS: 60 }) };
    for (let time = 0; time < 3; time++) expect(await callApi(harness, QUERY, ASKED, { params })).toMatchObject(OK);
    harness.shift(60_000);
    expect(await callApi(harness, QUERY, ASKED, { params })).toMatchObject({ ErrorCode: 70001 });
  });

  test('until she is kicked herself, and with a new UserSig again', async () => {
    const harness = await openTencentHarness();
    const params = { usersig: createUserSig(harness, ADMIN) };
    harness.shift(2_000);
    expect(await callApi(harness, KICK, { UserID: ADMIN }, { params })).toEqual(OK);
    expect(await callApi(harness, QUERY, ASKED, { params })).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 70052 });
    harness.shift(1_000);
    expect(await callApi(harness, QUERY, ASKED)).toMatchObject(OK);
  });
});

describe('nobody else is', () => {
  const cases: [string, (harness: Awaited<ReturnType<typeof openTencentHarness>>) => Params, number][] = [
    ['no sdkappid', () => ({ sdkappid: undefined }), 60012],
    ['an empty one', () => ({ sdkappid: '' }), 60012],
    ['another app', () => ({ sdkappid: String(APP_ID + 1) }), 60006],
    ['our app, spelled otherwise', () => ({ sdkappid: `0${APP_ID}` }), 60006],
    ['another contenttype', () => ({ contenttype: 'xml' }), 70402],
    ['no identifier', () => ({ identifier: undefined }), 70402],
    ['no usersig', (harness) => ({ usersig: createUserSig(harness, ADMIN).slice(0, 0) }), 70002],
    [
      'a user with her own UserSig',
      (harness) => ({ identifier: 'alice', usersig: createUserSig(harness, 'alice') }),
      70403,
    ],
    ['a user as the admin', (harness) => ({ usersig: createUserSig(harness, 'alice') }), 70013],
    ['the admin as a user', () => ({ identifier: 'alice' }), 70013],
    [
      'the admin in capitals',
      (harness) => ({ identifier: 'Administrator', usersig: createUserSig(harness, ADMIN) }),
      70013,
    ],
    ['one of another key', (harness) => ({ usersig: createUserSig(harness, ADMIN, { key: 'another key' }) }), 70009],
    ['one of another app', (harness) => ({ usersig: createUserSig(harness, ADMIN, { appId: APP_ID + 1 }) }), 70014],
    [
      'one that has expired',
      (harness) => ({ usersig: createUserSig(harness, ADMIN, { at: harness.now - 7_200_000 }) }),
      70001,
    ],
    [
      'one of tomorrow',
      (harness) => ({ usersig: createUserSig(harness, ADMIN, { at: harness.now + 86_400_000 }) }),
      70003,
    ],
    ['half of one', (harness) => ({ usersig: createUserSig(harness, ADMIN).slice(0, -4) }), 70003],
    ['a bomb', () => ({ usersig: packText(`{}${' '.repeat(2_900_000)}`) }), 70003],
    ['a huge one', () => ({ usersig: 'A'.repeat(8_192) }), 70003],
    ['a user’s, made the admin’s', (harness) => ({ usersig: asAdmin(createUserSig(harness, 'alice')) }), 70009],
    ['a JWT', () => ({ usersig: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.' }), 70003],
  ];
  const asAdmin = (sig: string): string => packClaims({ ...unpackClaims(sig), 'TLS.identifier': ADMIN });

  test.each(cases)('%s', async (_who, paramsOf, code) => {
    const harness = await openTencentHarness();
    await harness.login('alice');
    const params = paramsOf(harness);
    for (const [path, request] of [
      [QUERY, ASKED],
      [KICK, { UserID: 'alice' }],
    ] as const) {
      const answer = await callApi(harness, path, request, { params });
      expect(answer).toEqual({ ActionStatus: 'FAIL', ErrorCode: code, ErrorInfo: SENTENCE });
    }
    expect(await harness.status('alice')).toBe('ONLINE');
  });

  test('an API key, a JWT or a session in Authorization lets nobody in', async () => {
    const harness = await openTencentHarness();
    const { token } = await harness.login('alice');
    for (const credential of ['plk_the-key-of-the-tests', await harness.jwt(ADMIN), token]) {
      const called = { params: { usersig: 'A'.repeat(100) }, headers: { authorization: `Bearer ${credential}` } };
      expect(await callApi(harness, QUERY, ASKED, called)).toMatchObject({ ErrorCode: 70003 });
    }
  });
});

describe('how many', () => {
  const slow = { limits: { ...LIMITS, ratePerAddress: 1 } };
  const forged = { params: { usersig: 'A'.repeat(100) } };

  test('whoever is let in is not counted; whoever is not, by address, and then keeps out those who were not known', async () => {
    const harness = await openTencentHarness({ settings: slow });
    const known = { params: { usersig: createUserSig(harness, ADMIN) } };
    // Nothing drains meanwhile.
    vi.spyOn(harness.store, 'now').mockReturnValue(harness.now);
    for (let time = 0; time < 25; time++) expect(await callApi(harness, QUERY, ASKED, known)).toMatchObject(OK);
    const codes: unknown[] = [];
    for (let time = 0; time < 12; time++) codes.push((await callApi(harness, QUERY, ASKED, forged))['ErrorCode']);
    expect(codes).toEqual([...Array<number>(10).fill(70003), 60007, 60007]);
    expect(
      await callApi(harness, QUERY, ASKED, { params: { usersig: createUserSig(harness, ADMIN, { expireS: 7 }) } }),
    ).toMatchObject({
      ErrorCode: 60007,
    });
    expect(await callApi(harness, QUERY, ASKED, known)).toMatchObject(OK);
    expect(harness.server.rejections.requestRate).toBe(3);
  });

  test('whoever was let in with what has expired is counted like anybody else', async () => {
    const harness = await openTencentHarness({ settings: slow });
    const old = { params: { usersig: createUserSig(harness, ADMIN, { expireS: 60 }) } };
    expect(await callApi(harness, QUERY, ASKED, old)).toMatchObject(OK);
    harness.shift(60_000);
    vi.spyOn(harness.store, 'now').mockReturnValue(harness.now);
    const codes: unknown[] = [];
    for (let time = 0; time < 12; time++) codes.push((await callApi(harness, QUERY, ASKED, old))['ErrorCode']);
    expect(codes).toEqual([...Array<number>(10).fill(70001), 60007, 60007]);
  });

  test('each is counted as the operation of ours that does as much, with what was wrong', async () => {
    const harness = await openTencentHarness();
    const before = await harness.metrics();
    await callApi(harness, QUERY, ASKED);
    await callApi(harness, KICK, { UserID: 'alice' });
    await callApi(harness, KICK, { UserID: '' });
    await callApi(harness, QUERY, ASKED, forged);
    const by = changedMetrics(before, await harness.metrics());
    expect(by).toMatchObject({
      'porchlight_operations_total{transport="http",kind="query"}': 1,
      'porchlight_operations_total{transport="http",kind="mutation"}': 2,
      'porchlight_operations_total{transport="http",kind="invalid"}': 1,
      'porchlight_errors_total{transport="http",code="BAD_USER_INPUT"}': 1,
      'porchlight_errors_total{transport="http",code="UNAUTHENTICATED"}': 1,
    });
  });

  test('what is logged names neither the UserSig nor the account', async () => {
    const harness = await openTencentHarness();
    const usersig = createUserSig(harness, ADMIN);
    await callApi(harness, QUERY, { To_Account: ['a-name-like-no-other'] }, { params: { usersig } });
    await callApi(harness, '/v4/a-path-like-no-other', {}, { params: { usersig } });
    const logged = harness.logged.join('');
    expect(logged).toContain('"path":"/v4/"');
    expect(logged).toContain('userStatuses');
    for (const secret of [usersig, 'a-name-like-no-other', 'a-path-like-no-other', ADMIN])
      expect(logged).not.toContain(secret);
  });
});
