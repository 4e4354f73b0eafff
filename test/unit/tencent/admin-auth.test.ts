/** Authentication of the server API: only the admin may call it, with a UserSig of their own. */
import { describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../integration/server/support/server-harness.ts';
import { changedMetrics } from '../../support/prometheus.ts';
import { callApi, KICK, OK, openTencentHarness, QUERY, createUserSig, type Params } from './tencent-harness.ts';
import { ADMIN, APP_ID, packClaims, packText, generateRoomUserSig, unpackClaims } from './user-sigs.ts';

const SENTENCE: unknown = expect.stringMatching(/^\w.+\.$/);
const QUERY_BODY = { To_Account: ['alice'] };

describe('a call by the admin', () => {
  test.each<[string, Params]>([
    ['with the documented parameters', {}],
    ['without random', { random: undefined }],
    ['without contenttype', { contenttype: undefined }],
    ['with contenttype in capitals', { contenttype: 'JSON' }],
    ['with unknown parameters', { servicename: 'openim', command: 'querystate' }],
    ['with the permissions of a room', { usersig: generateRoomUserSig(ADMIN, 7) }],
  ])('is accepted %s', async (_how, params) => {
    expect(await callApi(await openTencentHarness(), QUERY, QUERY_BODY, { params })).toMatchObject(OK);
  });

  test('is accepted repeatedly with the same UserSig until it expires', async () => {
    const harness = await openTencentHarness();
    const params = { usersig: createUserSig(harness, ADMIN, { expireS: 60 }) };
    for (let time = 0; time < 3; time++)
      expect(await callApi(harness, QUERY, QUERY_BODY, { params })).toMatchObject(OK);
    harness.advanceClock(60_000);
    expect(await callApi(harness, QUERY, QUERY_BODY, { params })).toMatchObject({ ErrorCode: 70001 });
  });

  test('is rejected after the admin is kicked, until it has a new UserSig', async () => {
    const harness = await openTencentHarness();
    const params = { usersig: createUserSig(harness, ADMIN) };
    harness.advanceClock(2_000);
    expect(await callApi(harness, KICK, { UserID: ADMIN }, { params })).toEqual(OK);
    expect(await callApi(harness, QUERY, QUERY_BODY, { params })).toMatchObject({
      ActionStatus: 'FAIL',
      ErrorCode: 70052,
    });
    harness.advanceClock(1_000);
    expect(await callApi(harness, QUERY, QUERY_BODY)).toMatchObject(OK);
  });
});

describe('a call', () => {
  const cases: [string, (harness: Awaited<ReturnType<typeof openTencentHarness>>) => Params, number][] = [
    ['no sdkappid', () => ({ sdkappid: undefined }), 60012],
    ['an empty sdkappid', () => ({ sdkappid: '' }), 60012],
    ['another app', () => ({ sdkappid: String(APP_ID + 1) }), 60006],
    ['our app with a leading zero', () => ({ sdkappid: `0${APP_ID}` }), 60006],
    ['another contenttype', () => ({ contenttype: 'xml' }), 70402],
    ['no identifier', () => ({ identifier: undefined }), 70402],
    ['no usersig', (harness) => ({ usersig: createUserSig(harness, ADMIN).slice(0, 0) }), 70002],
    [
      'a user with their own UserSig',
      (harness) => ({ identifier: 'alice', usersig: createUserSig(harness, 'alice') }),
      70403,
    ],
    ['a user as the admin', (harness) => ({ usersig: createUserSig(harness, 'alice') }), 70013],
    ['the admin as a user', () => ({ identifier: 'alice' }), 70013],
    [
      'the admin in capital letters',
      (harness) => ({ identifier: 'Administrator', usersig: createUserSig(harness, ADMIN) }),
      70013,
    ],
    [
      'a UserSig of another key',
      (harness) => ({ usersig: createUserSig(harness, ADMIN, { key: 'another key' }) }),
      70009,
    ],
    [
      'a UserSig of another app',
      (harness) => ({ usersig: createUserSig(harness, ADMIN, { appId: APP_ID + 1 }) }),
      70014,
    ],
    [
      'an expired UserSig',
      (harness) => ({ usersig: createUserSig(harness, ADMIN, { at: harness.now - 7_200_000 }) }),
      70001,
    ],
    [
      'a UserSig of tomorrow',
      (harness) => ({ usersig: createUserSig(harness, ADMIN, { at: harness.now + 86_400_000 }) }),
      70003,
    ],
    ['a truncated UserSig', (harness) => ({ usersig: createUserSig(harness, ADMIN).slice(0, -4) }), 70003],
    ['a decompression bomb', () => ({ usersig: packText(`{}${' '.repeat(2_900_000)}`) }), 70003],
    ['a huge UserSig', () => ({ usersig: 'A'.repeat(8_192) }), 70003],
    [
      'a UserSig of a user with the admin’s identifier',
      (harness) => ({ usersig: asAdmin(createUserSig(harness, 'alice')) }),
      70009,
    ],
    ['a JWT', () => ({ usersig: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.' }), 70003],
  ];
  const asAdmin = (sig: string): string => packClaims({ ...unpackClaims(sig), 'TLS.identifier': ADMIN });

  test.each(cases)('is rejected with %s', async (_who, paramsOf, code) => {
    const harness = await openTencentHarness();
    await harness.login('alice');
    const params = paramsOf(harness);
    for (const [path, request] of [
      [QUERY, QUERY_BODY],
      [KICK, { UserID: 'alice' }],
    ] as const) {
      const answer = await callApi(harness, path, request, { params });
      expect(answer).toEqual({ ActionStatus: 'FAIL', ErrorCode: code, ErrorInfo: SENTENCE });
    }
    expect(await harness.status('alice')).toBe('ONLINE');
  });

  test('is rejected with an API key, a JWT or a session token in Authorization', async () => {
    const harness = await openTencentHarness();
    const { token } = await harness.login('alice');
    for (const credential of ['plk_the-key-of-the-tests', await harness.jwt(ADMIN), token]) {
      const called = { params: { usersig: 'A'.repeat(100) }, headers: { authorization: `Bearer ${credential}` } };
      expect(await callApi(harness, QUERY, QUERY_BODY, called)).toMatchObject({ ErrorCode: 70003 });
    }
  });
});

describe('the rate limit', () => {
  const slow = { limits: { ...LIMITS, ratePerAddress: 1 } };
  const forged = { params: { usersig: 'A'.repeat(100) } };

  test('does not count known callers, and limits rejected and new callers by address', async () => {
    const harness = await openTencentHarness({ settings: slow });
    const known = { params: { usersig: createUserSig(harness, ADMIN) } };
    // With a fixed clock, no bucket drains.
    vi.spyOn(harness.store, 'now').mockReturnValue(harness.now);
    for (let time = 0; time < 25; time++) expect(await callApi(harness, QUERY, QUERY_BODY, known)).toMatchObject(OK);
    const codes: unknown[] = [];
    for (let time = 0; time < 12; time++) codes.push((await callApi(harness, QUERY, QUERY_BODY, forged))['ErrorCode']);
    expect(codes).toEqual([...Array<number>(10).fill(70003), 60007, 60007]);
    expect(
      await callApi(harness, QUERY, QUERY_BODY, { params: { usersig: createUserSig(harness, ADMIN, { expireS: 7 }) } }),
    ).toMatchObject({
      ErrorCode: 60007,
    });
    expect(await callApi(harness, QUERY, QUERY_BODY, known)).toMatchObject(OK);
    expect(harness.server.rejections.requestRate).toBe(3);
  });

  test('counts callers whose accepted UserSig has expired', async () => {
    const harness = await openTencentHarness({ settings: slow });
    const old = { params: { usersig: createUserSig(harness, ADMIN, { expireS: 60 }) } };
    expect(await callApi(harness, QUERY, QUERY_BODY, old)).toMatchObject(OK);
    harness.advanceClock(60_000);
    vi.spyOn(harness.store, 'now').mockReturnValue(harness.now);
    const codes: unknown[] = [];
    for (let time = 0; time < 12; time++) codes.push((await callApi(harness, QUERY, QUERY_BODY, old))['ErrorCode']);
    expect(codes).toEqual([...Array<number>(10).fill(70001), 60007, 60007]);
  });

  test('counts each call as its equivalent GraphQL operation, with its errors', async () => {
    const harness = await openTencentHarness();
    const before = await harness.metrics();
    await callApi(harness, QUERY, QUERY_BODY);
    await callApi(harness, KICK, { UserID: 'alice' });
    await callApi(harness, KICK, { UserID: '' });
    await callApi(harness, QUERY, QUERY_BODY, forged);
    const by = changedMetrics(before, await harness.metrics());
    expect(by).toMatchObject({
      'porchlight_operations_total{transport="http",kind="query"}': 1,
      'porchlight_operations_total{transport="http",kind="mutation"}': 2,
      'porchlight_operations_total{transport="http",kind="invalid"}': 1,
      'porchlight_errors_total{transport="http",code="BAD_USER_INPUT"}': 1,
      'porchlight_errors_total{transport="http",code="UNAUTHENTICATED"}': 1,
    });
  });

  test('logs neither the UserSig nor the account', async () => {
    const harness = await openTencentHarness();
    const usersig = createUserSig(harness, ADMIN);
    await callApi(harness, QUERY, { To_Account: ['a-name-like-no-other'] }, { params: { usersig } });
    await callApi(harness, '/v4/a-path-like-no-other', {}, { params: { usersig } });
    const logged = harness.logLines.join('');
    expect(logged).toContain('"path":"/v4/"');
    expect(logged).toContain('userStatuses');
    for (const secret of [usersig, 'a-name-like-no-other', 'a-path-like-no-other', ADMIN])
      expect(logged).not.toContain(secret);
  });
});
