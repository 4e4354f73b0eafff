/** The status query and the kick, over the wire. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import { ServerHarness } from '../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../integration/server/support/wire.ts';
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
  test('says of each account in the order asked, duplicates and all, what it is', async () => {
    const harness = await openTencentHarness({ policy: MULTI });
    await harness.login('on', 'WEB');
    await harness.login('pushed', 'IPHONE');
    await harness.pass(400_000);
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

  test('the older querystate has both fields too: libraries that ask it read the one or the other', async () => {
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

  test('IsNeedDetail of null, as libraries write what was left out, is none', async () => {
    const harness = await openTencentHarness();
    await harness.login('on');
    const { QueryResult } = await callApi(harness, QUERY, { To_Account: ['on'], IsNeedDetail: null });
    expect(QueryResult).toEqual([{ To_Account: 'on', State: 'Online', Status: 'Online' }]);
  });

  test('in detail: each platform once, in the order of the logins, with its highest status', async () => {
    const platforms = [
      { platform: 'IPHONE', maxInstances: 2 },
      { platform: 'MINI_PROGRAM', maxInstances: 2 },
    ] as const;
    const groups = [] as const;
    const harness = await openTencentHarness({
      policy: { multiDevice: { mode: 'CUSTOM', groups }, platforms: [...platforms] },
    });
    await harness.login('alice', 'IPHONE', 'old phone');
    await harness.pass(400_000);
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

  test('nobody who is Offline has a detail', async () => {
    const harness = await openTencentHarness();
    expect((await callApi(harness, QUERY, { To_Account: ['alice'], IsNeedDetail: 1 }))['QueryResult']).toEqual([
      { To_Account: 'alice', State: 'Offline', Status: 'Offline' },
    ]);
  });

  test('what can be no account is in ErrorList, each as often as asked, and the others are answered', async () => {
    const harness = await openTencentHarness();
    const none = ['', 'x'.repeat(129), 'line\nend', ''];
    const { QueryResult, ErrorList, ErrorCode } = await callApi(harness, QUERY, { To_Account: [...none, '@all', 'é'] });
    expect(ErrorCode).toBe(0);
    expect(ErrorList).toEqual(none.map((To_Account) => ({ To_Account, ErrorCode: 70107 })));
    expect(QueryResult).toMatchObject([{ To_Account: '@all' }, { To_Account: 'é' }]);
  });

  test('500 at once, and not one more, valid or not', async () => {
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
    ['none in it', { To_Account: [] }],
    ['a single name', { To_Account: 'alice' }],
    ['a number in it', { To_Account: ['alice', 7] }],
    ['null in it', { To_Account: [null] }],
    ['IsNeedDetail of 2', { To_Account: ['alice'], IsNeedDetail: 2 }],
    ['IsNeedDetail as text', { To_Account: ['alice'], IsNeedDetail: '1' }],
    ['a list', ['alice']],
    ['text', 'alice'],
    ['null', null],
  ])('%s is a bad parameter', async (_what, request) => {
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
  test('ends every session, closes their sockets, and refuses the tokens of before; a new one logs in', async () => {
    const harness = await openTencentHarness({ policy: MULTI });
    const before = createUserSig(harness, 'alice');
    const jwt = await harness.jwt('alice');
    const web = await harness.login('alice', 'WEB');
    await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.as(harness.socketUrl, web.token);
    const ofUser = await TestSocket.as(harness.socketUrl, before);
    harness.shift(2_000);

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

    harness.shift(1_000);
    const { body } = await harness.post(LOGIN, createUserSig(harness, 'alice'), { input: { platform: 'WEB' } });
    expect(body.errors).toBeUndefined();
    expect(await harness.status('alice')).toBe('ONLINE');
  });

  test('a UserSig of the very second is refused, as a JWT is', async () => {
    const harness = await openTencentHarness();
    const sig = createUserSig(harness, 'alice');
    await callApi(harness, KICK, { UserID: 'alice' });
    const { body } = await harness.post('{ userStatus(userId: "alice") { status } }', sig);
    expect(body.errors?.[0]?.message).toBe('The token has been revoked.');
  });

  test('the older name of the field, which most libraries send, will do', async () => {
    const harness = await openTencentHarness();
    await harness.login('alice');
    expect(await callApi(harness, KICK, { Identifier: 'alice' })).toEqual(OK);
    expect(await harness.status('alice')).toBe('OFFLINE');
  });

  test('a name of null is as if it were left out', async () => {
    const harness = await openTencentHarness();
    await harness.login('alice');
    expect(await callApi(harness, KICK, { UserID: null, Identifier: 'alice' })).toEqual(OK);
    expect(await harness.status('alice')).toBe('OFFLINE');
  });

  test('whoever was never seen is kicked as well: her tokens are refused', async () => {
    const harness = await openTencentHarness();
    expect(await callApi(harness, KICK, { UserID: 'nobody' })).toEqual(OK);
    expect(await harness.status('nobody')).toBe('OFFLINE');
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
  ])('%j is %i and kicks nobody', async (request, code) => {
    const harness = await openTencentHarness();
    await harness.login('alice');
    expect(await callApi(harness, KICK, request)).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: code });
    expect(await harness.status('alice')).toBe('ONLINE');
  });
});

describe('how it is asked', () => {
  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json', 'application/xml'])(
    'libraries send any content type, %s too',
    async (type) => {
      const harness = await openTencentHarness();
      const answer = await callApi(harness, QUERY, { To_Account: ['alice'] }, { headers: { 'content-type': type } });
      expect(answer).toMatchObject(OK);
    },
  );

  test.each([
    ['nothing', ''],
    ['no JSON', '{"To_Account":["alice"]'],
    ['no UTF-8', Buffer.from('{"To_Account":["al\u00efce"]}', 'latin1')],
    ['512 KiB and more', JSON.stringify({ To_Account: ['x'.repeat(512 * 1024)] })],
  ])('a body with %s is a bad parameter', async (_what, body) => {
    const harness = await openTencentHarness();
    const response = await sendCall(harness, QUERY, body);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 70402 });
  });

  test('a byte order mark before the body, as .NET writes it, is no part of it', async () => {
    const harness = await openTencentHarness();
    expect(await (await sendCall(harness, QUERY, '\ufeff{"To_Account":["alice"]}')).json()).toMatchObject(OK);
  });

  test('a body without an announced length is bounded too', async () => {
    const harness = await openTencentHarness();
    const { pathname, search, hostname, port } = new URL(createCallUrl(harness, QUERY));
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
    socket.write(`${(512 * 1024 + 1).toString(16)}\r\n${' '.repeat(512 * 1024 + 1)}`);
    // Not even the end of the piece has been sent.
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*^Connection: close$/m);
    expect(body).toContain('"ErrorCode":70402');
  });

  test('a compressed body is a bad parameter', async () => {
    const harness = await openTencentHarness();
    const answer = await callApi(harness, QUERY, { To_Account: ['a'] }, { headers: { 'content-encoding': 'gzip' } });
    expect(answer).toMatchObject({ ErrorCode: 70402 });
  });

  test.each(['/v4/', '/v4/openim/sendmsg', `${QUERY}/`, '/v4//openim/querystate', '/v4/constructor'])(
    'there is nothing at %s',
    async (path) => {
      const harness = await openTencentHarness();
      expect(await callApi(harness, path, {})).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 60009 });
    },
  );

  test.each(['GET', 'PUT', 'OPTIONS', 'DELETE'])('%s is not served', async (method) => {
    const harness = await openTencentHarness();
    const response = await sendCall(harness, QUERY, undefined, { method });
    expect(await response.json()).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 60002 });
  });

  test('no page of another origin may read an answer, whatever GraphQL allows', async () => {
    const harness = await openTencentHarness({ settings: { allowedOrigins: ['*'] } });
    const headers = { origin: 'https://evil.example' };
    for (const method of ['POST', 'OPTIONS']) {
      const response = await sendCall(harness, QUERY, method === 'POST' ? '{}' : undefined, { method, headers });
      const names = [...response.headers.keys()].filter((name) => name.startsWith('access-control'));
      expect(names).toEqual([]);
      expect(response.headers.get('cache-control')).toBe('no-store');
    }
  });

  test('a fault of ours is 70500, logged, counted, and told as nothing else', async () => {
    const harness = await openTencentHarness();
    vi.spyOn(harness.store, 'updateUser').mockRejectedValueOnce(new Error('the secret of the disk'));
    const answer = await callApi(harness, KICK, { UserID: 'alice' });
    expect(answer).toEqual({ ActionStatus: 'FAIL', ErrorInfo: 'Internal server error.', ErrorCode: 70500 });
    expect(harness.logged.join('')).toContain('the secret of the disk');
    expect((await harness.metrics()).get('porchlight_internal_errors_total')).toBe(1);
  });
});

describe('in bad times', () => {
  test('a kick goes through however late the loop is; a query is put off as userStatuses is', async () => {
    // As late as any loop is, and later than allowed.
    const harness = await openTencentHarness({ settings: { maxLagMs: -1 } });
    expect(await callApi(harness, QUERY, { To_Account: ['alice'] })).toMatchObject({
      ActionStatus: 'FAIL',
      ErrorCode: 60008,
    });
    expect(await callApi(harness, KICK, { UserID: 'alice' })).toEqual(OK);
  });

  test('what cannot be written is told to try again, and is no fault', async () => {
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

  test('a shutdown answers what is under way', async () => {
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

describe('where it is off', () => {
  test('there is nothing, and no UserSig is a token', async () => {
    const harness = await ServerHarness.open();
    for (const path of [QUERY, OLDER_QUERY, KICK]) expect((await sendCall(harness, path, '{}')).status).toBe(404);
    const { status, body } = await harness.post(LOGIN, createUserSig(harness, 'alice'), { input: { platform: 'WEB' } });
    expect(status).toBe(200);
    expect(body.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });
});

const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { session { id } } }';
