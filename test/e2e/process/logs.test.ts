/** Credentials never appear in logs, answers, metrics or files, at any log level. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { generateKeyPair, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { logIn, LOGIN, logOut } from '../support/users.ts';

const JWT_SECRET = 'the secret that no log and no database may hold';
const API_KEY = 'the-api-key-that-no-log-and-no-database-may-hold';

test.each(['trace', 'debug', 'info'])(
  'at log level %s no credential is logged or stored in plain text',
  async (level) => {
    await using harness = createRestartHarness({
      PORCHLIGHT_LOG_LEVEL: level,
      PORCHLIGHT_JWT_SECRET: JWT_SECRET,
      PORCHLIGHT_API_KEYS: API_KEY,
    });
    const server = await harness.start();
    const secret = { secret: JWT_SECRET };
    const jwt = await mintToken('alice', secret);
    const expired = await mintToken('alice', { ...secret, expiresInS: -3_600 });
    const forged = await mintToken('alice', { secret: 'another secret that is long enough to sign' });
    const login = (
      await postOperation<{ login: { sessionToken: string } }>(server, jwt, LOGIN, { input: { platform: 'WEB' } })
    ).data?.login;
    const session = login?.sessionToken ?? '';
    const credentials = [jwt, expired, forged, session, API_KEY, `${API_KEY}x`, `${session}x`, 'pls_of.no.session'];
    for (const token of credentials) {
      await postOperation(server, token, '{ me { id } }');
      await postOperation(server, token, '{ nonsense }', { token });
      await postOperation(server, token, 'mutation ($input: LoginInput!) { login(input: $input) { sessionToken } }', {
        input: { platform: 'NONE' },
      });
      const socket = new GraphqlSocket(server);
      await socket.init(token);
      const acknowledged = socket.frames.nextMatching(({ type }) => type === 'connection_ack').then(() => true);
      if (await Promise.race([acknowledged, socket.closed.then(() => false)])) {
        await socket.execute('{ me { id } }').catch(() => null);
        socket.send('{"type":"nonsense"}');
      }
      await acknowledged.catch(() => false);
      await socket.closed;
    }
    await fetch(`${server.origin}/graphql?query={me{id}}&token=${session}`, {
      headers: { authorization: `Basic ${jwt}` },
    });
    await fetch(`${server.origin}/nowhere`, {
      method: 'POST',
      body: session,
      headers: { authorization: `Bearer ${jwt}` },
    });
    await server.stop();

    const fragments = [
      JWT_SECRET,
      API_KEY,
      ...credentials.map((token) => token.slice(-24)),
      session.split('.').at(-1) ?? '',
    ];
    for (const fragment of fragments) expect(server.output()).not.toContain(fragment);
    expect(server.output()).not.toMatch(/Bearer\s+\S|Basic\s+\S/i);
    for (const file of readdirSync(harness.directory)) {
      const bytes = readFileSync(join(harness.directory, file), 'latin1');
      for (const fragment of fragments) expect(bytes, file).not.toContain(fragment);
    }
  },
);

test('a server without problems logs fewer than ten lines', async () => {
  await using harness = createRestartHarness();
  const server = await harness.start();
  const device = await logIn(server, 'alice', 'WEB');
  await (await GraphqlSocket.open(server, device.token)).close();
  await logOut(server, await logIn(server, 'bob', 'IPHONE'));
  await server.stop();
  expect(server.output().split('\n').length).toBeLessThan(10);
});

test('failures disclose no secret in logs, answers or metrics', async () => {
  const METRICS_TOKEN = 'the-metrics-token-that-nothing-may-show';
  await using harness = createRestartHarness({
    PORCHLIGHT_LOG_LEVEL: 'trace',
    PORCHLIGHT_JWT_SECRET: JWT_SECRET,
    PORCHLIGHT_API_KEYS: API_KEY,
    PORCHLIGHT_METRICS_TOKEN: METRICS_TOKEN,
    // No server listens on this port.
    PORCHLIGHT_JWKS_URL: 'http://127.0.0.1:9/keys?key=a-secret-in-the-url-of-the-keys',
  });
  const server = await harness.start();
  const answers: string[] = [];
  const send = async (path: string, token: string, init: RequestInit = {}): Promise<void> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}`, cookie: token };
    const response = await fetch(`${server.origin}${path}`, { ...init, headers });
    answers.push(await response.text(), JSON.stringify([...response.headers]));
  };
  const jwt = await mintToken('alice', { secret: JWT_SECRET });
  const input = { platform: 'WEB' };
  const login = await postOperation<{ login: { sessionToken: string } }>(server, jwt, LOGIN, { input });
  const session = login.data?.login.sessionToken ?? '';
  const { privateKey } = await generateKeyPair('RS256');
  const byUnknownKey = await new SignJWT({ sub: 'alice' })
    .setProtectedHeader({ alg: 'RS256', kid: 'some' })
    .setExpirationTime('1h')
    .sign(privateKey);
  const secrets = [JWT_SECRET, API_KEY, METRICS_TOKEN, jwt, session, byUnknownKey, 'a-secret-in-the-url-of-the-keys'];

  // The trigger makes every write fail, as a full disk does.
  const database = new Database(join(harness.directory, 'porchlight.db'));
  database.exec("CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'broken for a test'); END");
  for (const token of secrets) {
    const loginRequest = { query: LOGIN, variables: { input: { platform: 'MAC', deviceId: 'd' } } };
    await send('/graphql', token, { method: 'POST', body: JSON.stringify(loginRequest) });
    await send('/graphql', token, {
      method: 'POST',
      body: JSON.stringify({ query: 'mutation { logout { userStatus { status } } }' }),
    });
    await send('/graphql', token, { method: 'POST', body: token });
    await send('/metrics', token);
    await send(`/${encodeURIComponent(token)}`, token);
    await send(`/graphql?query={me{id}}&key=${encodeURIComponent(token)}`, token);
    const socket = new GraphqlSocket(server);
    await socket.init(token);
    const acknowledged = socket.frames.nextMatching(({ type }) => type === 'connection_ack').then(() => true);
    if (await Promise.race([acknowledged, socket.closed.then(() => false)])) {
      const end = { userId: 'alice', revokeTokens: true };
      await socket
        .execute('mutation ($end: EndSessionsInput!) { endSessions(input: $end) { ended { id } } }', { end })
        .catch(() => null);
      socket.send(token);
    }
    await acknowledged.catch(() => false);
    answers.push((await socket.closed).reason);
  }
  database.exec('DROP TRIGGER broken');
  database.close();
  await server.stop();

  // The expected failures occurred and were logged.
  expect(server.output()).toContain('broken for a test');
  expect(server.output()).toContain('The JWKS is unavailable or has secret keys');
  expect(answers.join()).toContain('INTERNAL_SERVER_ERROR');
  expect(answers.join()).toContain('porchlight_jwks_failures_total');
  const everything = [server.output(), ...answers].join('\n');
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), secret.split('.').at(-1) ?? secret]) {
      expect(everything).not.toContain(form);
    }
  }
  expect(everything).not.toMatch(/Bearer\s+\w/i);
  for (const line of server
    .output()
    .split('\n')
    .filter((text) => text.startsWith('{')))
    JSON.parse(line);
});

test('the log contains the start, changes by backends and the stop, as JSON', async () => {
  await using harness = createRestartHarness();
  const server = await harness.start();
  await logIn(server, 'alice', 'WEB');
  await postOperation(server, server.apiKey, 'mutation { endSessions(input: {userId: "alice"}) { ended { id } } }');
  await postOperation(
    server,
    server.apiKey,
    'mutation { updatePolicy(input: {preset: CLASSIC}) { policy { pushOnlineExpiryMs } } }',
  );
  await server.stop();
  const lines = server
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toMatchObject([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      msg: 'Server started',
      version: expect.any(String) as string,
      port: expect.any(Number) as number,
      sessions: 0,
      loadMs: expect.any(Number) as number,
    },
    { msg: 'Sessions ended by a backend', user: expect.stringMatching(/^[0-9a-f]{12}$/) as string, count: 1 },
    { msg: 'Policy updated by a backend', policy: { pushOnlineExpiryMs: 604_800_000 } },
    { msg: 'Signal received; the server stops', signal: 'SIGTERM' },
    { msg: 'Server stopped' },
  ]);
});
