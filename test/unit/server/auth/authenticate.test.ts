import { describe, expect, test } from 'vitest';
import { API_KEY, codeOf, ServerHarness, SECRET } from '../../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../../integration/server/support/test-socket.ts';

const QUERY = '{ userStatus(userId: "bob") { version } }';
const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Sends a credential over both transports. Returns the error code over HTTP and the close code of the socket. */
const rejectionsOf = async (harness: ServerHarness, authorization: string) => {
  const reply = await harness.send(JSON.stringify({ query: QUERY }), { authorization });
  const socket = new TestSocket(harness.socketUrl);
  await socket.sendInit({ authorization });
  return { code: codeOf(reply), closed: (await socket.closed).code };
};

const UNAUTHENTICATED = { code: 'UNAUTHENTICATED', closed: 4401 };

describe('an API key', () => {
  test('is accepted over both transports, for each of the configured keys', async () => {
    const harness = await ServerHarness.open();
    for (const key of [API_KEY, 'plk_another-key-of-the-tests']) {
      expect((await harness.post('{ stats { sockets } }', key)).body.data).toEqual({ stats: { sockets: 0 } });
    }
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    expect(await socket.execute('{ stats { sockets } }')).toMatchObject({
      payload: { data: { stats: { sockets: 1 } } },
    });
  });

  test.each([API_KEY.toUpperCase(), `${API_KEY}x`, API_KEY.slice(0, -1), 'x'.repeat(9_000)])(
    'is rejected unless it matches exactly: %.40s',
    async (key) => {
      expect(await rejectionsOf(await ServerHarness.open(), `Bearer ${key}`)).toEqual(UNAUTHENTICATED);
    },
  );
});

describe('the Authorization header', () => {
  test.each(['', API_KEY, `Basic ${API_KEY}`, 'Bearer', 'Bearer ', `Bearer ${API_KEY} x`, `Bearer${API_KEY}`])(
    'is rejected when it is %j',
    async (authorization) => {
      expect(await rejectionsOf(await ServerHarness.open(), authorization)).toEqual(UNAUTHENTICATED);
    },
  );

  test('may have its scheme in any case, and may be named Authorization in connection_init', async () => {
    const harness = await ServerHarness.open();
    const reply = await harness.send(JSON.stringify({ query: QUERY }), { authorization: `bearer ${API_KEY}` });
    expect(reply.body.errors).toBeUndefined();
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ Authorization: `BEARER ${API_KEY}` });
    expect((await socket.nextMessage()).type).toBe('connection_ack');
  });

  test('may be missing: an unauthenticated caller can query only __typename, and can open no socket', async () => {
    const harness = await ServerHarness.open();
    expect((await harness.post('{ __typename }', null)).body).toEqual({ data: { __typename: 'Query' } });
    for (const query of [
      QUERY,
      '{ __schema { queryType { name } } }',
      '{ ...X } fragment X on Query { ... { a: __type(name: "Query") { name } } }',
      '{ policy { pushOnlineExpiryMs } }',
    ]) {
      expect(codeOf(await harness.post(query, null)), query).toBe('UNAUTHENTICATED');
    }
    for (const payload of [undefined, {}, { authorization: null }, { authorization: 5 }, { user: API_KEY }]) {
      const socket = new TestSocket(harness.socketUrl);
      await socket.sendInit(payload);
      expect((await socket.closed).code).toBe(4401);
    }
  });
});

describe('a JWT', () => {
  test('is accepted over both transports', async () => {
    const harness = await ServerHarness.open({ settings: { jwtIssuer: 'app', jwtAudience: 'porchlight' } });
    const jwt = await harness.jwt('alice', { iss: 'app', aud: ['x', 'porchlight'] });
    expect((await harness.post(QUERY, jwt)).body.errors).toBeUndefined();
    const socket = await TestSocket.connect(harness.socketUrl, jwt);
    expect(await socket.execute(QUERY)).toMatchObject({
      type: 'next',
      payload: { data: { userStatus: { version: 0 } } },
    });
  });

  const now = () => Math.floor(Date.now() / 1_000);
  test.each<[string, Record<string, unknown>]>([
    ['a token without exp', { exp: undefined }],
    ['an exp that is text', { exp: '2099' }],
    ['a token without sub', { sub: undefined }],
    ['an empty sub', { sub: '' }],
    ['a sub that is a number', { sub: 5 }],
    ['a sub with a control character', { sub: 'a\nb' }],
    ['a sub that is too long', { sub: 'x'.repeat(129) }],
    ['a sub with a lone surrogate', { sub: '\ud800' }],
    ['an nbf in the future', { nbf: now() + 60 }],
    ['another issuer', { iss: 'other' }],
    ['a token without issuer', { iss: undefined }],
    ['another audience', { aud: 'other' }],
    ['a watch claim that is a word', { watch: 'all' }],
    ['a watch claim that is null', { watch: null }],
    ['a watch claim with a number', { watch: ['bob', 5] }],
    ['a watch claim with an empty id', { watch: ['bob', ''] }],
    ['an iat that is text', { iat: 'yesterday' }],
  ])('is rejected: %s', async (_case, claims) => {
    const harness = await ServerHarness.open({ settings: { jwtIssuer: 'app', jwtAudience: 'porchlight' } });
    const jwt = await harness.jwt('alice', { iss: 'app', aud: 'porchlight', ...claims });
    expect(await rejectionsOf(harness, `Bearer ${jwt}`)).toEqual(UNAUTHENTICATED);
  });

  test('is reported as expired from the second of its exp on, with close code 4413', async () => {
    const harness = await ServerHarness.open();
    const expired = { code: 'UNAUTHENTICATED', closed: 4413 };
    for (const exp of [now(), now() - 3, 1, 0, -5, 1.5]) {
      expect(await rejectionsOf(harness, `Bearer ${await harness.jwt('alice', { exp })}`), `${exp}`).toEqual(expired);
    }
    // A token with another defect is reported as invalid.
    expect(await rejectionsOf(harness, `Bearer ${await harness.jwt('', { exp: 1 })}`)).toEqual(UNAUTHENTICATED);
    expect(await rejectionsOf(harness, `Bearer ${await harness.jwt('a', { exp: 1 }, 'other secret')}`)).toEqual(
      UNAUTHENTICATED,
    );
  });

  test('may have an exp beyond the range of dates', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice', { exp: 1e20 }));
    expect((await socket.execute(QUERY)).type).toBe('next');
  });

  test('is rejected when it is forged: another algorithm, secret, payload or format', async () => {
    const harness = await ServerHarness.open();
    const good = await harness.jwt('alice');
    const [header = '', payload = '', signature = ''] = good.split('.');
    const claims = { sub: 'alice', exp: now() + 60 };
    for (const forged of [
      await harness.jwt('alice', {}, `${SECRET}x`),
      `${base64({ alg: 'none' })}.${payload}.`,
      `${base64({ alg: 'None' })}.${payload}.${signature}`,
      `${base64({ alg: 'HS512' })}.${payload}.${signature}`,
      `${base64({ alg: 'RS256' })}.${payload}.${signature}`,
      `${base64({ typ: 'JWT' })}.${payload}.${signature}`,
      `${header}.${base64({ ...claims, sub: 'bob' })}.${signature}`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${header}.${payload}.${signature}.x`,
      `${header}.${payload}.${signature.toLowerCase()}`,
      good.slice(0, -3),
      'a.b.c',
    ]) {
      expect(await rejectionsOf(harness, `Bearer ${forged}`), forged).toEqual(UNAUTHENTICATED);
    }
  });

  test('permits watching the users in its watch claim, also through a session created with it', async () => {
    const harness = await ServerHarness.open({ visibility: 'none' });
    const queryStatus = (id: string) => `{ userStatus(userId: "${id}") { version } }`;
    const jwt = await harness.jwt('alice', { watch: ['bob'] });
    expect(codeOf(await harness.post(queryStatus('carol'), jwt))).toBe('FORBIDDEN');
    expect(codeOf(await harness.post(queryStatus('bob'), jwt))).toBeUndefined();
    expect(
      codeOf(await harness.post(queryStatus('carol'), await harness.jwt('alice', { watch: '*' }))),
    ).toBeUndefined();
    const { body } = await harness.post('mutation { login(input: { platform: WEB }) { sessionToken } }', jwt);
    const { sessionToken } = body.data?.['login'] as unknown as { sessionToken: string };
    expect(codeOf(await harness.post(queryStatus('bob'), sessionToken))).toBeUndefined();
    expect(codeOf(await harness.post(queryStatus('carol'), sessionToken))).toBe('FORBIDDEN');
  });

  test('is rejected when it was issued before the user’s tokens were revoked, and accepted when issued later', async () => {
    const harness = await ServerHarness.open();
    const old = await harness.jwt('alice');
    const undated = await harness.jwt('alice', { iat: undefined });
    expect(codeOf(await harness.post(QUERY, undated))).toBeUndefined();
    await harness.post('mutation { endSessions(input: { userId: "alice", revokeTokens: true }) { ended { id } } }');
    for (const jwt of [old, undated]) expect(await rejectionsOf(harness, `Bearer ${jwt}`)).toEqual(UNAUTHENTICATED);
    expect(codeOf(await harness.post(QUERY, await harness.jwt('alice', { iat: now() + 1 })))).toBeUndefined();
    expect(codeOf(await harness.post(QUERY, await harness.jwt('bob', { iat: 1 })))).toBeUndefined();
  });
});

describe('a session token', () => {
  test('is accepted over both transports', async () => {
    const harness = await ServerHarness.open();
    const { id, token } = await harness.login('alice');
    expect((await harness.post('{ me { id userId } }', token)).body.data).toEqual({ me: { id, userId: 'alice' } });
    const socket = await TestSocket.connect(harness.socketUrl, token);
    expect(await socket.execute('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id, attached: true } } },
    });
  });

  test('is rejected when it is modified, or combined from two tokens', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const other = await harness.login('bob');
    const [user = '', session = '', secret = ''] = token.split('.');
    const [otherUser = '', otherSession = '', otherSecret = ''] = other.token.split('.');
    for (const forged of [
      `${user}.${session}.${otherSecret}`,
      `${user}.${otherSession}.${secret}`,
      `${user}.${otherSession}.${otherSecret}`,
      `${otherUser}.${session}.${secret}`,
      token.toLowerCase(),
      token.replace('pls_', 'PLS_'),
      token.slice(0, -1),
      `${token}=`,
      secret,
    ]) {
      expect(await rejectionsOf(harness, `Bearer ${forged}`), forged).toEqual(UNAUTHENTICATED);
    }
    expect((await harness.post('{ me { id } }', token)).body.errors).toBeUndefined();
  });

  test('of an ended session receives SESSION_ENDED with the reason; a guessed token does not', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    await harness.login('alice', 'IPHONE');
    const { body } = await harness.post('{ __typename }', token);
    expect(body.data).toBeUndefined();
    expect(body.errors?.[0]?.extensions).toEqual({
      code: 'SESSION_ENDED',
      reason: 'KICKED',
      kickedBy: 'IPHONE',
      endedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
    });
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ authorization: `Bearer ${token}` });
    expect(await socket.closed).toEqual({ code: 4410, reason: 'KICKED' });

    const [user, session] = token.split('.');
    const guessed = `${user}.${session}.${'A'.repeat(43)}`;
    expect(await rejectionsOf(harness, `Bearer ${guessed}`)).toEqual(UNAUTHENTICATED);
    await harness.advanceTime(7 * 86_400_000);
    expect(await rejectionsOf(harness, `Bearer ${token}`)).toEqual(UNAUTHENTICATED);
  });
});

test('the log contains no credential', async () => {
  const harness = await ServerHarness.open();
  const { token } = await harness.login('alice');
  const jwt = await harness.jwt('alice');
  await TestSocket.connect(harness.socketUrl, token);
  await rejectionsOf(harness, `Bearer ${jwt}x`);
  await harness.post('{ stats { sockets } }');
  const logged = harness.logLines.join('');
  expect(logged).toContain('"path":"/graphql"');
  for (const secret of [API_KEY, jwt, token, token.split('.')[2] ?? '', 'authorization']) {
    expect(logged).not.toContain(secret);
  }
});
