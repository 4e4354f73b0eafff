/** The status query and the kick over HTTP. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import { ServerHarness } from '../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../integration/server/support/test-socket.ts';
import {
  callApi,
  KICK,
  OK,
  OLDER_QUERY,
  openTencentHarness,
  QUERY,
  sendCall,
  createUserSig,
  createCallUrl,
} from './tencent-harness.ts';

const SENTENCE: unknown = expect.stringMatching(/^[A-Z].+\.$/);
const MULTI = { multiDevice: { mode: 'MULTI' } } as const;

describe('query_online_status', () => {
  test('returns the status of each account in request order, duplicates included', async () => {
    const harness = await openTencentHarness({ policy: MULTI });
    await harness.login('on', 'WEB');
    await harness.login('pushed', 'IPHONE');
    await harness.advanceTime(400_000);
    await harness.login('on', 'WEB');
    const To_Account = ['pushed', 'on', 'never seen', 'on'];
    expect(await callApi(harness, QUERY, { To_Account })).toEqual({
      ...OK,
      QueryResult: [
        { To_Account: 'pushed', State: 'PushOnline', Status: 'PushOnline' },
        { To_Account: 'on', State: 'Online', Status: 'Online' },
        { To_Account: 'never seen', State: 'Offline', Status: 'Offline' },
        { To_Account: 'on', State: 'Online', Status: 'Online' },
      ],
      ErrorList: [],
    });
  });

  test('returns State and Status for querystate too, because libraries read either', async () => {
    const harness = await openTencentHarness();
    await harness.login('on');
    expect(await callApi(harness, OLDER_QUERY, { To_Account: ['on', 'off'], IsNeedDetail: 0 })).toEqual({
      ...OK,
      QueryResult: [
        { To_Account: 'on', State: 'Online', Status: 'Online' },
        { To_Account: 'off', State: 'Offline', Status: 'Offline' },
      ],
      ErrorList: [],
    });
  });

  test('treats IsNeedDetail of null as 0, because libraries send null for omitted parameters', async () => {
    const harness = await openTencentHarness();
    await harness.login('on');
    const { QueryResult } = await callApi(harness, QUERY, { To_Account: ['on'], IsNeedDetail: null });
    expect(QueryResult).toEqual([{ To_Account: 'on', State: 'Online', Status: 'Online' }]);
  });

  test('lists each platform once in Detail, in login order, with its highest status', async () => {
    const platforms = [
      { platform: 'IPHONE', maxInstances: 2 },
      { platform: 'MINI_PROGRAM', maxInstances: 2 },
    ] as const;
    const groups = [] as const;
    const harness = await openTencentHarness({
      policy: { multiDevice: { mode: 'CUSTOM', groups }, platforms: [...platforms] },
    });
    await harness.login('alice', 'IPHONE', 'old phone');
    await harness.advanceTime(400_000);
    for (const platform of ['WINDOWS', 'MAC', 'LINUX', 'IPAD', 'ANDROID', 'WEB', 'MINI_PROGRAM']) {
      await harness.login('alice', platform, platform);
    }
    const [online] = (await callApi(harness, QUERY, { To_Account: ['alice'], IsNeedDetail: 1 }))[
      'QueryResult'
    ] as object[];
    const others = ['PC', 'Mac', 'iPad', 'Android', 'Web'].map((Platform) => ({ Platform, Status: 'Online' }));
    const Detail = [{ Platform: 'iPhone', Status: 'PushOnline' }, ...others];
    expect(online).toEqual({ To_Account: 'alice', State: 'Online', Status: 'Online', Detail });

    await harness.login('alice', 'IPHONE', 'new phone');
    const [both] = (await callApi(harness, OLDER_QUERY, { To_Account: ['alice'], IsNeedDetail: 1 }))[
      'QueryResult'
    ] as object[];
    expect(both).toEqual({
      To_Account: 'alice',
      State: 'Online',
      Status: 'Online',
      Detail: [{ Platform: 'iPhone', Status: 'Online' }, ...others],
    });
  });

  test('returns no Detail for an Offline user', async () => {
    const harness = await openTencentHarness();
    expect((await callApi(harness, QUERY, { To_Account: ['alice'], IsNeedDetail: 1 }))['QueryResult']).toEqual([
      { To_Account: 'alice', State: 'Offline', Status: 'Offline' },
    ]);
  });

  test('lists invalid accounts in ErrorList, duplicates included, and returns the others', async () => {
    const harness = await openTencentHarness();
    const none = ['', 'x'.repeat(129), 'line\nend', ''];
    const { QueryResult, ErrorList, ErrorCode } = await callApi(harness, QUERY, { To_Account: [...none, '@all', 'é'] });
    expect(ErrorCode).toBe(0);
    expect(ErrorList).toEqual(none.map((To_Account) => ({ To_Account, ErrorCode: 70107 })));
    expect(QueryResult).toMatchObject([{ To_Account: '@all' }, { To_Account: 'é' }]);
  });

  test('accepts 500 accounts and rejects 501, valid or not', async () => {
    const harness = await openTencentHarness();
    const ids = Array.from({ length: 500 }, (_, at) => `${at}`.padStart(128, '爱'));
    expect((await callApi(harness, QUERY, { To_Account: ids, IsNeedDetail: 1 }))['QueryResult']).toHaveLength(500);
    for (const more of ['one more', '']) {
      const refused = await callApi(harness, QUERY, { To_Account: [...ids, more] });
      expect(refused).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 70402 });
      expect(refused).not.toHaveProperty('QueryResult');
    }
  });

  test.each([
    ['no To_Account', {}],
    ['an empty To_Account', { To_Account: [] }],
    ['a single name', { To_Account: 'alice' }],
    ['a number in To_Account', { To_Account: ['alice', 7] }],
    ['null in To_Account', { To_Account: [null] }],
    ['IsNeedDetail of 2', { To_Account: ['alice'], IsNeedDetail: 2 }],
    ['IsNeedDetail as text', { To_Account: ['alice'], IsNeedDetail: '1' }],
    ['a list', ['alice']],
    ['text', 'alice'],
    ['null', null],
  ])('rejects %s as a bad parameter', async (_what, request) => {
    const harness = await openTencentHarness();
    for (const path of [QUERY, OLDER_QUERY]) {
      const answer = await callApi(harness, path, request);
      expect(answer).toEqual({
        ActionStatus: 'FAIL',
        ErrorCode: 70402,
        ErrorInfo: SENTENCE,
      });
    }
  });
});

describe('kick', () => {
  test('ends all sessions, closes their sockets and revokes earlier tokens; a new token logs in', async () => {
    const harness = await openTencentHarness({ policy: MULTI });
    const before = createUserSig(harness, 'alice');
    const jwt = await harness.jwt('alice');
    const web = await harness.login('alice', 'WEB');
    await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, web.token);
    const ofUser = await TestSocket.connect(harness.socketUrl, before);
    harness.advanceClock(2_000);

    expect(await callApi(harness, KICK, { UserID: 'alice' })).toEqual(OK);
    expect(await harness.status('alice')).toBe('OFFLINE');
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'LOGIN', 'REVOKED', 'REVOKED']);
    expect(await socket.closed).toEqual({ code: 4410, reason: 'REVOKED' });
    expect(await ofUser.closed).toEqual({ code: 4413, reason: 'The token has been revoked' });
    for (const token of [before, jwt]) {
      const { body } = await harness.post(LOGIN, token, { input: { platform: 'WEB' } });
      expect(body.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
      expect(body.errors?.[0]?.message).toBe('The token has been revoked.');
    }

    harness.advanceClock(1_000);
    const { body } = await harness.post(LOGIN, createUserSig(harness, 'alice'), { input: { platform: 'WEB' } });
    expect(body.errors).toBeUndefined();
    expect(await harness.status('alice')).toBe('ONLINE');
  });

  test('revokes a UserSig that was issued in the same second, as it does a JWT', async () => {
    const harness = await openTencentHarness();
    const sig = createUserSig(harness, 'alice');
    await callApi(harness, KICK, { UserID: 'alice' });
    const { body } = await harness.post('{ userStatus(userId: "alice") { status } }', sig);
    expect(body.errors?.[0]?.message).toBe('The token has been revoked.');
  });

  test('accepts the older parameter Identifier, which most libraries send', async () => {
    const harness = await openTencentHarness();
    await harness.login('alice');
    expect(await callApi(harness, KICK, { Identifier: 'alice' })).toEqual(OK);
    expect(await harness.status('alice')).toBe('OFFLINE');
  });

  test('treats UserID of null as omitted', async () => {
    const harness = await openTencentHarness();
    await harness.login('alice');
    expect(await callApi(harness, KICK, { UserID: null, Identifier: 'alice' })).toEqual(OK);
    expect(await harness.status('alice')).toBe('OFFLINE');
  });

  test('kicks a user without sessions, whose tokens are revoked', async () => {
    const harness = await openTencentHarness();
    expect(await callApi(harness, KICK, { UserID: 'unknown' })).toEqual(OK);
    expect(await harness.status('unknown')).toBe('OFFLINE');
  });

  test.each([
    [{}, 70402],
    [{ UserID: 7 }, 70402],
    [{ UserID: null, Identifier: null }, 70402],
    [{ UserID: 7, Identifier: 'alice' }, 70402],
    [{ UserID: ['alice'] }, 70402],
    [{ UserID: '' }, 70107],
    [{ UserID: 'x'.repeat(129) }, 70107],
    [{ UserID: 'a\u0000' }, 70107],
  ])('answers %j with %i and ends no session', async (request, code) => {
    const harness = await openTencentHarness();
    await harness.login('alice');
    expect(await callApi(harness, KICK, request)).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: code });
    expect(await harness.status('alice')).toBe('ONLINE');
  });
});

describe('the request', () => {
  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json', 'application/xml'])(
    'may have the content type %s',
    async (type) => {
      const harness = await openTencentHarness();
      const answer = await callApi(harness, QUERY, { To_Account: ['alice'] }, { headers: { 'content-type': type } });
      expect(answer).toMatchObject(OK);
    },
  );

  test.each([
    ['no content', ''],
    ['invalid JSON', '{"To_Account":["alice"]'],
    ['invalid UTF-8', Buffer.from('{"To_Account":["al\u00efce"]}', 'latin1')],
    ['512 KiB and more', JSON.stringify({ To_Account: ['x'.repeat(512 * 1024)] })],
  ])('is rejected as a bad parameter with a body of %s', async (_what, body) => {
    const harness = await openTencentHarness();
    const response = await sendCall(harness, QUERY, body);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 70402 });
  });

  test('may start with a byte order mark, as .NET sends it', async () => {
    const harness = await openTencentHarness();
    expect(await (await sendCall(harness, QUERY, '\ufeff{"To_Account":["alice"]}')).json()).toMatchObject(OK);
  });

  test('is limited in size even without Content-Length', async () => {
    const harness = await openTencentHarness();
    const { pathname, search, hostname, port } = new URL(createCallUrl(harness, QUERY));
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
    socket.write(`${(512 * 1024 + 1).toString(16)}\r\n${' '.repeat(512 * 1024 + 1)}`);
    // The end of the chunk has not been sent.
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*^Connection: close$/m);
    expect(body).toContain('"ErrorCode":70402');
  });

  test('is rejected as a bad parameter with a compressed body', async () => {
    const harness = await openTencentHarness();
    const answer = await callApi(harness, QUERY, { To_Account: ['a'] }, { headers: { 'content-encoding': 'gzip' } });
    expect(answer).toMatchObject({ ErrorCode: 70402 });
  });

  test.each(['/v4/', '/v4/openim/sendmsg', `${QUERY}/`, '/v4//openim/querystate', '/v4/constructor'])(
    'is rejected with 60009 at the unknown path %s',
    async (path) => {
      const harness = await openTencentHarness();
      expect(await callApi(harness, path, {})).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 60009 });
    },
  );

  test.each(['GET', 'PUT', 'OPTIONS', 'DELETE'])('is rejected with 60002 for the method %s', async (method) => {
    const harness = await openTencentHarness();
    const response = await sendCall(harness, QUERY, undefined, { method });
    expect(await response.json()).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 60002 });
  });

  test('gets a response without CORS headers, whatever origins GraphQL allows', async () => {
    const harness = await openTencentHarness({ settings: { allowedOrigins: ['*'] } });
    const headers = { origin: 'https://evil.example' };
    for (const method of ['POST', 'OPTIONS']) {
      const response = await sendCall(harness, QUERY, method === 'POST' ? '{}' : undefined, { method, headers });
      const names = [...response.headers.keys()].filter((name) => name.startsWith('access-control'));
      expect(names).toEqual([]);
      expect(response.headers.get('cache-control')).toBe('no-store');
    }
  });

  test('gets 70500 without details for an internal error, which is logged and counted', async () => {
    const harness = await openTencentHarness();
    vi.spyOn(harness.store, 'updateUser').mockRejectedValueOnce(new Error('the secret of the disk'));
    const answer = await callApi(harness, KICK, { UserID: 'alice' });
    expect(answer).toEqual({ ActionStatus: 'FAIL', ErrorInfo: 'Internal server error.', ErrorCode: 70500 });
    expect(harness.logLines.join('')).toContain('the secret of the disk');
    expect((await harness.metrics()).get('porchlight_internal_errors_total')).toBe(1);
  });
});

describe('overload and shutdown', () => {
  test('a kick is executed at any event loop lag, and a query is rejected like userStatuses', async () => {
    // Any lag is longer than allowed.
    const harness = await openTencentHarness({ settings: { maxLagMs: -1 } });
    expect(await callApi(harness, QUERY, { To_Account: ['alice'] })).toMatchObject({
      ActionStatus: 'FAIL',
      ErrorCode: 60008,
    });
    expect(await callApi(harness, KICK, { UserID: 'alice' })).toEqual(OK);
  });

  test('a kick that cannot be written gets 60008 and is not counted as an internal error', async () => {
    const harness = await openTencentHarness();
    const full = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
    vi.spyOn(harness.store, 'updateUser').mockRejectedValueOnce(full);
    expect(await callApi(harness, KICK, { UserID: 'alice' })).toEqual({
      ActionStatus: 'FAIL',
      ErrorInfo: 'The disk is full.',
      ErrorCode: 60008,
    });
    expect((await harness.metrics()).get('porchlight_internal_errors_total')).toBe(0);
  });

  test('a call in progress is answered during a shutdown', async () => {
    const harness = await openTencentHarness();
    const update = harness.store.updateUser.bind(harness.store);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const writing = new Promise<void>((resolve) => {
      vi.spyOn(harness.store, 'updateUser').mockImplementationOnce(async (...asked) => {
        resolve();
        await held;
        return update(...asked);
      });
    });
    const answer = callApi(harness, KICK, { UserID: 'alice' });
    await writing;
    const closed = harness.server.close();
    release();
    expect(await answer).toEqual(OK);
    await closed;
  });
});

describe('with PORCHLIGHT_TENCENT off', () => {
  test('the paths do not exist and a UserSig is rejected', async () => {
    const harness = await ServerHarness.open();
    for (const path of [QUERY, OLDER_QUERY, KICK]) expect((await sendCall(harness, path, '{}')).status).toBe(404);
    const { status, body } = await harness.post(LOGIN, createUserSig(harness, 'alice'), { input: { platform: 'WEB' } });
    expect(status).toBe(200);
    expect(body.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });
});

const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { session { id } } }';
