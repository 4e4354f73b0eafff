/** Whatever the log level, nothing that lets somebody in is ever written down. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { generateKeyPair, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { createRestartHarness } from '../../support/crash/crash-restart.ts';
import { postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { logIn, LOGIN, logOut } from '../support/users.ts';

const JWT_SECRET = 'the secret that no log and no database may hold';
const API_KEY = 'the-api-key-that-no-log-and-no-database-may-hold';

test.each(['trace', 'debug', 'info'])('at level %s no credential is logged, nor kept in clear', async (level) => {
  await using place = createRestartHarness({
    PORCHLIGHT_LOG_LEVEL: level,
    PORCHLIGHT_JWT_SECRET: JWT_SECRET,
    PORCHLIGHT_API_KEYS: API_KEY,
  });
  const server = await place.start();
  const secret = { secret: JWT_SECRET };
  const jwt = await mintToken('alice', secret);
  const expired = await mintToken('alice', { ...secret, expiresInS: -3_600 });
  const forged = await mintToken('alice', { secret: 'some other secret, as long as it has to be' });
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
    const answered = socket.frames.nextMatching(({ type }) => type === 'connection_ack').then(() => true);
    if (await Promise.race([answered, socket.closed.then(() => false)])) {
      await socket.execute('{ me { id } }').catch(() => null);
      socket.send('{"type":"nonsense"}');
    }
    await answered.catch(() => false);
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

  const words = [JWT_SECRET, API_KEY, ...credentials.map((token) => token.slice(-24)), session.split('.').at(-1) ?? ''];
  for (const word of words) expect(server.output()).not.toContain(word);
  expect(server.output()).not.toMatch(/Bearer\s+\S|Basic\s+\S/i);
  for (const file of readdirSync(place.directory)) {
    const bytes = readFileSync(join(place.directory, file), 'latin1');
    for (const word of words) expect(bytes, file).not.toContain(word);
  }
});

test('a server that has nothing to report logs next to nothing', async () => {
  await using place = createRestartHarness();
  const server = await place.start();
  const device = await logIn(server, 'alice', 'WEB');
  await (await GraphqlSocket.open(server, device.token)).close();
  await logOut(server, await logIn(server, 'bob', 'IPHONE'));
  await server.stop();
  expect(server.output().split('\n').length).toBeLessThan(10);
});

test('whatever fails, no secret comes out: not in logs, not in answers, not in metrics', async () => {
  const METRICS_TOKEN = 'the-metrics-token-that-nothing-may-show';
  await using place = createRestartHarness({
    PORCHLIGHT_LOG_LEVEL: 'trace',
    PORCHLIGHT_JWT_SECRET: JWT_SECRET,
    PORCHLIGHT_API_KEYS: API_KEY,
    PORCHLIGHT_METRICS_TOKEN: METRICS_TOKEN,
    // Nobody listens there.
    PORCHLIGHT_JWKS_URL: 'http://127.0.0.1:9/keys?key=a-secret-in-the-url-of-the-keys',
  });
  const server = await place.start();
  const said: string[] = [];
  const ask = async (path: string, token: string, init: RequestInit = {}): Promise<void> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}`, cookie: token };
    const response = await fetch(`${server.origin}${path}`, { ...init, headers });
    said.push(await response.text(), JSON.stringify([...response.headers]));
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

  // From now on nothing can be written, as on a full disk.
  const database = new Database(join(place.directory, 'porchlight.db'));
  database.exec("CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'broken for a test'); END");
  for (const token of secrets) {
    const again = { query: LOGIN, variables: { input: { platform: 'MAC', deviceId: 'd' } } };
    await ask('/graphql', token, { method: 'POST', body: JSON.stringify(again) });
    await ask('/graphql', token, {
      method: 'POST',
      body: JSON.stringify({ query: 'mutation { logout { userStatus { status } } }' }),
    });
    await ask('/graphql', token, { method: 'POST', body: token });
    await ask('/metrics', token);
    await ask(`/${encodeURIComponent(token)}`, token);
    await ask(`/graphql?query={me{id}}&key=${encodeURIComponent(token)}`, token);
    const socket = new GraphqlSocket(server);
    await socket.init(token);
    const answered = socket.frames.nextMatching(({ type }) => type === 'connection_ack').then(() => true);
    if (await Promise.race([answered, socket.closed.then(() => false)])) {
      const end = { userId: 'alice', revokeTokens: true };
      await socket
        .execute('mutation ($end: EndSessionsInput!) { endSessions(input: $end) { ended { id } } }', { end })
        .catch(() => null);
      socket.send(token);
    }
    await answered.catch(() => false);
    said.push((await socket.closed).reason);
  }
  database.exec('DROP TRIGGER broken');
  database.close();
  await server.stop();

  // What was to fail has failed, and was logged.
  expect(server.output()).toContain('broken for a test');
  expect(server.output()).toContain('The JWKS is unavailable or has secret keys');
  expect(said.join()).toContain('INTERNAL_SERVER_ERROR');
  expect(said.join()).toContain('porchlight_jwks_failures_total');
  const everything = [server.output(), ...said].join('\n');
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
