import { describe, expect, test } from 'vitest';
import { API_KEY, codeOf, ServerHarness, SECRET } from '../../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../../integration/server/support/test-socket.ts';

const ASK = '{ userStatus(userId: "bob") { version } }';
const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** What both doors make of a credential: the code over HTTP, and how a socket is closed for it. */
const refused = async (harness: ServerHarness, authorization: string) => {
  const reply = await harness.send(JSON.stringify({ query: ASK }), { authorization });
  const wire = new TestSocket(harness.socketUrl);
  await wire.sendInit({ authorization });
  return { code: codeOf(reply), closed: (await wire.closed).code };
};

const UNAUTHENTICATED = { code: 'UNAUTHENTICATED', closed: 4401 };

describe('an API key', () => {
  test('opens both doors, whichever of the keys it is', async () => {
    const harness = await ServerHarness.open();
    for (const key of [API_KEY, 'plk_another-key-of-the-tests']) {
      expect((await harness.post('{ stats { sockets } }', key)).body.data).toEqual({ stats: { sockets: 0 } });
    }
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    expect(await wire.execute('{ stats { sockets } }')).toMatchObject({ payload: { data: { stats: { sockets: 1 } } } });
  });

  test.each([API_KEY.toUpperCase(), `${API_KEY}x`, API_KEY.slice(0, -1), 'x'.repeat(9_000)])(
    'is not something like one: %.40s',
    async (key) => {
      expect(await refused(await ServerHarness.open(), `Bearer ${key}`)).toEqual(UNAUTHENTICATED);
    },
  );
});

describe('the header', () => {
  test.each(['', API_KEY, `Basic ${API_KEY}`, 'Bearer', 'Bearer ', `Bearer ${API_KEY} x`, `Bearer${API_KEY}`])(
    'is not %j',
    async (authorization) => {
      expect(await refused(await ServerHarness.open(), authorization)).toEqual(UNAUTHENTICATED);
    },
  );

  test('may spell its scheme in any case, and be called Authorization on a socket', async () => {
    const harness = await ServerHarness.open();
    const reply = await harness.send(JSON.stringify({ query: ASK }), { authorization: `bearer ${API_KEY}` });
    expect(reply.body.errors).toBeUndefined();
    const wire = new TestSocket(harness.socketUrl);
    await wire.sendInit({ Authorization: `BEARER ${API_KEY}` });
    expect((await wire.nextMessage()).type).toBe('connection_ack');
  });

  test('is not there: nobody may ask for __typename and nothing else, and opens no socket', async () => {
    const harness = await ServerHarness.open();
    expect((await harness.post('{ __typename }', null)).body).toEqual({ data: { __typename: 'Query' } });
    for (const query of [
      ASK,
      '{ __schema { queryType { name } } }',
      '{ ...X } fragment X on Query { ... { a: __type(name: "Query") { name } } }',
      '{ policy { pushOnlineExpiryMs } }',
    ]) {
      expect(codeOf(await harness.post(query, null)), query).toBe('UNAUTHENTICATED');
    }
    for (const payload of [undefined, {}, { authorization: null }, { authorization: 5 }, { token: API_KEY }]) {
      const wire = new TestSocket(harness.socketUrl);
      await wire.sendInit(payload);
      expect((await wire.closed).code).toBe(4401);
    }
  });
});

describe('a JWT', () => {
  test('proves its subject, over both doors', async () => {
    const harness = await ServerHarness.open({ settings: { jwtIssuer: 'app', jwtAudience: 'porchlight' } });
    const jwt = await harness.jwt('alice', { iss: 'app', aud: ['x', 'porchlight'] });
    expect((await harness.post(ASK, jwt)).body.errors).toBeUndefined();
    const wire = await TestSocket.connect(harness.socketUrl, jwt);
    expect(await wire.execute(ASK)).toMatchObject({ type: 'next', payload: { data: { userStatus: { version: 0 } } } });
  });

  const now = () => Math.floor(Date.now() / 1_000);
  test.each<[string, Record<string, unknown>]>([
    ['without exp', { exp: undefined }],
    ['whose exp is text', { exp: '2099' }],
    ['without sub', { sub: undefined }],
    ['whose sub is empty', { sub: '' }],
    ['whose sub is a number', { sub: 5 }],
    ['whose sub has a control character', { sub: 'a\nb' }],
    ['whose sub is too long', { sub: 'x'.repeat(129) }],
    ['whose sub is half a character', { sub: '\ud800' }],
    ['whose time has not come', { nbf: now() + 60 }],
    ['of another issuer', { iss: 'other' }],
    ['of no issuer', { iss: undefined }],
    ['for another audience', { aud: 'other' }],
    ['whose watch is a word', { watch: 'all' }],
    ['whose watch is null', { watch: null }],
    ['whose watch has a number', { watch: ['bob', 5] }],
    ['whose watch has an empty id', { watch: ['bob', ''] }],
    ['whose iat is text', { iat: 'yesterday' }],
  ])('%s is refused', async (_case, claims) => {
    const harness = await ServerHarness.open({ settings: { jwtIssuer: 'app', jwtAudience: 'porchlight' } });
    const jwt = await harness.jwt('alice', { iss: 'app', aud: 'porchlight', ...claims });
    expect(await refused(harness, `Bearer ${jwt}`)).toEqual(UNAUTHENTICATED);
  });

  test('that has expired, to the second, is told to come back with a new one', async () => {
    const harness = await ServerHarness.open();
    const expired = { code: 'UNAUTHENTICATED', closed: 4413 };
    for (const exp of [now(), now() - 3, 1, 0, -5, 1.5]) {
      expect(await refused(harness, `Bearer ${await harness.jwt('alice', { exp })}`), `${exp}`).toEqual(expired);
    }
    // Only if nothing else is wrong with it.
    expect(await refused(harness, `Bearer ${await harness.jwt('', { exp: 1 })}`)).toEqual(UNAUTHENTICATED);
    expect(await refused(harness, `Bearer ${await harness.jwt('a', { exp: 1 }, 'other secret')}`)).toEqual(
      UNAUTHENTICATED,
    );
  });

  test('may be valid until the end of time', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice', { exp: 1e20 }));
    expect((await wire.execute(ASK)).type).toBe('next');
  });

  test('forged is refused: no algorithm, another one, another secret, another payload', async () => {
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
      expect(await refused(harness, `Bearer ${forged}`), forged).toEqual(UNAUTHENTICATED);
    }
  });

  test('allows to watch whom it names, and the session keeps that', async () => {
    const harness = await ServerHarness.open({ visibility: 'none' });
    const ask = (id: string) => `{ userStatus(userId: "${id}") { version } }`;
    const jwt = await harness.jwt('alice', { watch: ['bob'] });
    expect(codeOf(await harness.post(ask('carol'), jwt))).toBe('FORBIDDEN');
    expect(codeOf(await harness.post(ask('bob'), jwt))).toBeUndefined();
    expect(codeOf(await harness.post(ask('carol'), await harness.jwt('alice', { watch: '*' })))).toBeUndefined();
    const { body } = await harness.post('mutation { login(input: { platform: WEB }) { sessionToken } }', jwt);
    const { sessionToken } = body.data?.['login'] as unknown as { sessionToken: string };
    expect(codeOf(await harness.post(ask('bob'), sessionToken))).toBeUndefined();
    expect(codeOf(await harness.post(ask('carol'), sessionToken))).toBe('FORBIDDEN');
  });

  test('issued before the user’s tokens were revoked is refused, one issued later is not', async () => {
    const harness = await ServerHarness.open();
    const old = await harness.jwt('alice');
    const undated = await harness.jwt('alice', { iat: undefined });
    expect(codeOf(await harness.post(ASK, undated))).toBeUndefined();
    await harness.post('mutation { endSessions(input: { userId: "alice", revokeTokens: true }) { ended { id } } }');
    for (const jwt of [old, undated]) expect(await refused(harness, `Bearer ${jwt}`)).toEqual(UNAUTHENTICATED);
    expect(codeOf(await harness.post(ASK, await harness.jwt('alice', { iat: now() + 1 })))).toBeUndefined();
    expect(codeOf(await harness.post(ASK, await harness.jwt('bob', { iat: 1 })))).toBeUndefined();
  });
});

describe('a session token', () => {
  test('opens both doors for its session', async () => {
    const harness = await ServerHarness.open();
    const { id, token } = await harness.login('alice');
    expect((await harness.post('{ me { id userId } }', token)).body.data).toEqual({ me: { id, userId: 'alice' } });
    const wire = await TestSocket.connect(harness.socketUrl, token);
    expect(await wire.execute('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id, attached: true } } },
    });
  });

  test('tampered with, or put together from two, is refused', async () => {
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
      expect(await refused(harness, `Bearer ${forged}`), forged).toEqual(UNAUTHENTICATED);
    }
    expect((await harness.post('{ me { id } }', token)).body.errors).toBeUndefined();
  });

  test('of an ended session is told so, with all there is to know; a guessed one is not', async () => {
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
    const wire = new TestSocket(harness.socketUrl);
    await wire.sendInit({ authorization: `Bearer ${token}` });
    expect(await wire.closed).toEqual({ code: 4410, reason: 'KICKED' });

    const [user, session] = token.split('.');
    const guessed = `${user}.${session}.${'A'.repeat(43)}`;
    expect(await refused(harness, `Bearer ${guessed}`)).toEqual(UNAUTHENTICATED);
    await harness.advanceTime(7 * 86_400_000);
    expect(await refused(harness, `Bearer ${token}`)).toEqual(UNAUTHENTICATED);
  });
});

test('no credential is ever logged', async () => {
  const harness = await ServerHarness.open();
  const { token } = await harness.login('alice');
  const jwt = await harness.jwt('alice');
  await TestSocket.connect(harness.socketUrl, token);
  await refused(harness, `Bearer ${jwt}x`);
  await harness.post('{ stats { sockets } }');
  const logged = harness.logLines.join('');
  expect(logged).toContain('"path":"/graphql"');
  for (const secret of [API_KEY, jwt, token, token.split('.')[2] ?? '', 'authorization']) {
    expect(logged).not.toContain(secret);
  }
});
