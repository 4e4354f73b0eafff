/** Where the credential of a socket may be: in the payload of `connection_init` and in the header of the upgrade. */
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { UPGRADE_REQUEST } from '../../../support/porchlight-client.ts';
import { API_KEY, LIMITS, LOGIN, ServerHarness, type ServerHarnessOptions } from '../support/server-harness.ts';
import { TestSocket, type ServerMessage } from '../support/test-socket.ts';

const VIEWER = '{ me { userId } }';

/** Opens a socket with that header and sends `connection_init` with that payload. */
const openByHeader = (
  harness: ServerHarness,
  authorization: string | null,
  init: { readonly payload?: unknown } = {},
): TestSocket => {
  const socket = new TestSocket(harness.socketUrl, authorization === null ? {} : { headers: { authorization } });
  void socket.opened.then(() => socket.send({ type: 'connection_init', ...init }));
  return socket;
};

const connectByHeader = async (harness: ServerHarness, token: string): Promise<TestSocket> => {
  const socket = openByHeader(harness, `Bearer ${token}`);
  expect(await socket.nextMessage()).toEqual({ type: 'connection_ack' });
  return socket;
};

const dataOf = (message: ServerMessage): unknown => message.payload?.['data'];

const open = async (options: ServerHarnessOptions = {}): Promise<{ harness: ServerHarness; token: string }> => {
  const harness = await ServerHarness.open(options);
  return { harness, token: (await harness.login('alice', 'IPHONE')).token };
};

describe('the Authorization header of the upgrade', () => {
  test.each<[string, { readonly payload?: unknown }]>([
    ['no payload', {}],
    ['a payload that is null', { payload: null }],
    ['an empty payload', { payload: {} }],
    ['a payload without a credential', { payload: { headers: {}, 'client-name': 'x', authorization: '' } }],
  ])('authenticates a socket whose connection_init has %s', async (_what, init) => {
    const { harness, token } = await open();
    const socket = openByHeader(harness, `Bearer ${token}`, init);
    expect(await socket.nextMessage()).toEqual({ type: 'connection_ack' });
    expect(dataOf(await socket.execute(VIEWER))).toEqual({ me: { userId: 'alice' } });
  });

  test.each(['bearer', 'BEARER', 'Bearer   '])('may spell the scheme as "%s"', async (scheme) => {
    const { harness, token } = await open();
    const socket = openByHeader(harness, `${scheme} ${token}`);
    expect((await socket.nextMessage()).type).toBe('connection_ack');
  });

  test('may be an API key, a session token or a JWT', async () => {
    const { harness, token } = await open();
    const backend = await connectByHeader(harness, API_KEY);
    expect(dataOf(await backend.execute('{ stats { sockets } }'))).toEqual({ stats: { sockets: 1 } });
    const session = await connectByHeader(harness, token);
    expect(dataOf(await session.execute(VIEWER))).toEqual({ me: { userId: 'alice' } });
    const user = await connectByHeader(harness, await harness.jwt('bob'));
    const answer = await user.execute(LOGIN, { input: { platform: 'WEB' } });
    expect(answer.payload?.['errors']).toBeUndefined();
    expect(await harness.status('bob')).toBe('ONLINE');
  });

  test('attaches the session of its token, whose close is a DISCONNECT', async () => {
    const { harness, token } = await open();
    const socket = await connectByHeader(harness, token);
    socket.webSocket.close();
    await expect.poll(() => harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT']);
  });

  test('that is a JWT lets the socket attach the session of a login over it', async () => {
    const harness = await ServerHarness.open();
    const socket = await connectByHeader(harness, await harness.jwt('bob'));
    await socket.execute(LOGIN, { input: { platform: 'WEB' } });
    expect(dataOf(await socket.execute('mutation { heartbeat { session { status } } }'))).toEqual({
      heartbeat: { session: { status: 'ONLINE' } },
    });
    socket.webSocket.close();
    await expect.poll(() => harness.reasons('bob')).toEqual(['LOGIN', 'DISCONNECT']);
  });

  test('that is invalid does not fail the upgrade: the socket closes after connection_init, with 4401 and the place', async () => {
    const { harness, token } = await open();
    for (const credential of [`${token.slice(0, -1)}!`, 'x', `${await harness.jwt('alice')}x`]) {
      const socket = new TestSocket(harness.socketUrl, { headers: { authorization: `Bearer ${credential}` } });
      await socket.opened;
      await socket.waitForRoundTrip();
      socket.send({ type: 'connection_init' });
      const { code, reason } = await socket.closed;
      expect(code).toBe(4401);
      expect(reason).toMatch(/^Authorization of the upgrade: ./);
      expect(reason).not.toContain(credential);
    }
  });

  test.each(['Basic YWxpY2U6c2VjcmV0', 'Negotiate YII', 'secret', 'Bearer'])(
    'that is not a Bearer credential closes the socket with the right form: %s',
    async (authorization) => {
      const harness = await ServerHarness.open();
      const { code, reason } = await openByHeader(harness, authorization).closed;
      expect(code).toBe(4401);
      expect(reason).toMatch(/^Authorization of the upgrade.* must be .*Bearer/);
      expect(reason).not.toMatch(/secret|YWx|YII/);
    },
  );

  test('does not replace the check of the origin', async () => {
    const { harness, token } = await open();
    const socket = new TestSocket(harness.socketUrl, {
      headers: { authorization: `Bearer ${token}`, origin: 'https://evil.example' },
    });
    await expect(socket.opened).rejects.toThrow('403');
  });

  test('is not read from a cookie, the query string or a subprotocol', async () => {
    const { harness, token } = await open();
    const sockets = [
      new TestSocket(harness.socketUrl, { headers: { cookie: `Authorization=Bearer ${token}; token=${token}` } }),
      new TestSocket(`${harness.socketUrl}?authorization=Bearer%20${token}&token=${token}`),
      new TestSocket(harness.socketUrl, { protocols: ['graphql-transport-ws', `Bearer.${token}`, token] }),
    ];
    for (const socket of sockets) {
      await socket.sendInit();
      expect((await socket.closed).code).toBe(4401);
    }
  });

  test('counts for the first connection_init only: a second one is 4429', async () => {
    const { harness, token } = await open();
    const socket = await connectByHeader(harness, token);
    socket.send({ type: 'connection_init' });
    expect((await socket.closed).code).toBe(4429);
  });

  test('does not authenticate operations before connection_init', async () => {
    const { harness, token } = await open();
    const socket = new TestSocket(harness.socketUrl, { headers: { authorization: `Bearer ${token}` } });
    await socket.opened;
    socket.subscribe(VIEWER);
    expect((await socket.closed).code).toBe(4401);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });
});

describe('the memory of sockets', () => {
  /** Opens sockets by hand, because clients keep the headers that they sent. Returns the growth of the heap in bytes. */
  const measureGrowth = async (harness: ServerHarness, token: string, count: number): Promise<number> => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { hostname, port } = new URL(harness.url);
    collect();
    const before = process.memoryUsage().heapUsed;
    const sockets = await Promise.all(
      Array.from({ length: count }, async () => {
        const socket = connect(Number(port), hostname);
        onTestFinished(() => void socket.destroy());
        socket.write(UPGRADE_REQUEST.replace('\r\n\r\n', `\r\nAuthorization: Bearer ${token}\r\n\r\n`));
        // A masked text frame, with a mask of zeros.
        socket.write(Buffer.concat([Buffer.from([0x81, 0x9a, 0, 0, 0, 0]), Buffer.from('{"type":"connection_init"}')]));
        for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
          if (String(chunk).includes('connection_ack')) break;
        }
        return socket;
      }),
    );
    harness.logLines.length = 0;
    collect();
    const growth = process.memoryUsage().heapUsed - before;
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => harness.server.openResources.sockets).toBe(0);
    return growth;
  };

  test('does not include the header of the upgrade after connection_init', async () => {
    const harness = await ServerHarness.open({ settings: { limits: { ...LIMITS, maxSocketsPerUser: 0 } } });
    const short = await harness.jwt('alice');
    const long = await harness.jwt('alice', { padding: 'x'.repeat(9_000) });
    await measureGrowth(harness, long, 120);
    const growth = (await measureGrowth(harness, long, 120)) - (await measureGrowth(harness, short, 120));
    expect(growth).toBeLessThan((120 * long.length) / 2);
  });
});

describe('the payload of connection_init', () => {
  test.each<[string, (token: string) => unknown]>([
    ['authorization', (token) => ({ authorization: `Bearer ${token}` })],
    ['Authorization', (token) => ({ Authorization: `bearer ${token}` })],
    ['headers.Authorization', (token) => ({ headers: { Authorization: `Bearer ${token}` } })],
    ['headers.authorization', (token) => ({ headers: { authorization: `BEARER ${token}`, 'x-app': 'chat' } })],
    ['authToken', (token) => ({ authToken: token })],
    ['token', (token) => ({ token })],
    ['token with a scheme', (token) => ({ token: `Bearer ${token}` })],
  ])('may have the credential as %s', async (_what, createPayload) => {
    const { harness, token } = await open();
    for (const [credential, query] of [
      [token, VIEWER],
      [API_KEY, '{ stats { sockets } }'],
      [await harness.jwt('alice'), '{ userStatus(userId: "alice") { status } }'],
    ] as const) {
      const socket = openByHeader(harness, null, { payload: createPayload(credential) });
      expect(await socket.nextMessage()).toEqual({ type: 'connection_ack' });
      expect((await socket.execute(query)).payload?.['errors']).toBeUndefined();
      socket.webSocket.close();
      await socket.closed;
    }
  });

  test('comes before the header of the upgrade, whether or not it is valid', async () => {
    const { harness, token } = await open();
    const socket = openByHeader(harness, `Bearer ${API_KEY}`, {
      payload: { headers: { authorization: `Bearer ${token}` } },
    });
    await socket.nextMessage();
    expect(dataOf(await socket.execute(VIEWER))).toEqual({ me: { userId: 'alice' } });
    const invalid = openByHeader(harness, `Bearer ${token}`, { payload: { token: 'x' } });
    expect(await invalid.closed).toMatchObject({
      code: 4401,
      reason: expect.stringMatching(/^payload\.token: ./) as string,
    });
    const behindBasic = openByHeader(harness, 'Basic YWxpY2U6c2VjcmV0', {
      payload: { authorization: `Bearer ${token}` },
    });
    expect((await behindBasic.nextMessage()).type).toBe('connection_ack');
  });

  test('may repeat the credential of the upgrade', async () => {
    const { harness, token } = await open();
    const authorization = `Bearer ${token}`;
    const socket = openByHeader(harness, authorization, {
      payload: { authorization, headers: { authorization }, token },
    });
    expect((await socket.nextMessage()).type).toBe('connection_ack');
  });

  test.each<[string, { readonly payload?: unknown }, string]>([
    [
      'no credential',
      {},
      'No credential: send {"authorization":"Bearer <token>"} as payload of connection_init, or the header with the upgrade',
    ],
    [
      'a token without Bearer',
      { payload: { Authorization: 'eyJhbGciOi' } },
      'payload.Authorization must be "Bearer <token>", with a JWT, a session token or an API key',
    ],
    ['a number', { payload: { authorization: 1 } }, 'payload.authorization must be text: "Bearer <token>"'],
    ['a list', { payload: { authorization: ['a'] } }, 'payload.authorization must be text: "Bearer <token>"'],
  ])('with %s closes the socket with 4401, the place and the form', async (_what, init, reason) => {
    const harness = await ServerHarness.open();
    expect(await openByHeader(harness, null, init).closed).toEqual({ code: 4401, reason });
  });
});

describe('a credential in the header of the upgrade follows the rules of one in connection_init:', () => {
  test('the token of an ended session closes the socket with 4410 and the reason alone', async () => {
    const { harness, token } = await open();
    await harness.post('mutation { endSessions(input: { userId: "alice" }) { ended { id } } }');
    expect(await openByHeader(harness, `Bearer ${token}`).closed).toEqual({ code: 4410, reason: 'REVOKED' });
  });

  test('an expired JWT closes the socket with 4413', async () => {
    const harness = await ServerHarness.open();
    expect(await openByHeader(harness, `Bearer ${await harness.jwt('bob', { exp: 1 })}`).closed).toEqual({
      code: 4413,
      reason: 'The token has expired',
    });
  });

  test('a JWT that expires or is revoked while the socket is open closes it with 4413', async () => {
    const harness = await ServerHarness.open();
    const expiring = await connectByHeader(
      harness,
      await harness.jwt('bob', { exp: Math.floor(harness.now / 1_000) + 3 }),
    );
    expect(await expiring.closed).toEqual({ code: 4413, reason: 'The token has expired' });
    const revoked = await connectByHeader(harness, await harness.jwt('carol'));
    await harness.post('mutation { endSessions(input: { userId: "carol", revokeTokens: true }) { ended { id } } }');
    expect(await revoked.closed).toEqual({ code: 4413, reason: 'The token has been revoked' });
    expect((await openByHeader(harness, `Bearer ${await harness.jwt('carol', { iat: 1 })}`).closed).code).toBe(4401);
  });

  test('the sockets of a user are limited by maxSocketsPerUser', async () => {
    const { harness, token } = await open({ settings: { limits: { ...LIMITS, maxSocketsPerUser: 1 } } });
    await connectByHeader(harness, token);
    expect(await openByHeader(harness, `Bearer ${token}`).closed).toEqual({
      code: 4414,
      reason: 'Too many sockets of this user',
    });
  });

  test('an authentication that takes too long closes the socket with 1013', async () => {
    const { harness, token } = await open({ connectionSettings: { initTimeoutMs: 1_000 } });
    vi.spyOn(harness.store, 'readUsers').mockReturnValueOnce(new Promise(() => undefined));
    expect((await openByHeader(harness, `Bearer ${token}`).closed).code).toBe(1013);
  });

  test('a socket without connection_init is closed with 4408', async () => {
    const { harness, token } = await open({ connectionSettings: { initTimeoutMs: 50 } });
    const socket = new TestSocket(harness.socketUrl, { headers: { authorization: `Bearer ${token}` } });
    expect((await socket.closed).code).toBe(4408);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });
});
