/** Whatever the log level, nothing that lets somebody in is ever written down. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newPlace } from '../tools/crash-restart.ts';
import { gql, Socket } from '../tools/porchlight-client.ts';
import { mintToken } from '../tools/porchlight-process.ts';
import { logIn, LOGIN, logOut } from './people.ts';

const JWT_SECRET = 'the secret that no log and no database may hold';
const API_KEY = 'the-api-key-that-no-log-and-no-database-may-hold';

test.each(['trace', 'debug', 'info'])('at level %s no credential is logged, nor kept in clear', async (level) => {
  await using place = newPlace({
    PORCHLIGHT_LOG_LEVEL: level,
    PORCHLIGHT_JWT_SECRET: JWT_SECRET,
    PORCHLIGHT_API_KEYS: API_KEY,
  });
  const server = await place.start();
  const secret = { secret: JWT_SECRET };
  const jwt = await mintToken('alice', secret);
  const expired = await mintToken('alice', { ...secret, expiresInS: -3_600 });
  const forged = await mintToken('alice', { secret: 'some other secret, as long as it has to be' });
  const login = (await gql<{ login: { sessionToken: string } }>(server, jwt, LOGIN, { input: { platform: 'WEB' } }))
    .data?.login;
  const session = login?.sessionToken ?? '';
  const credentials = [jwt, expired, forged, session, API_KEY, `${API_KEY}x`, `${session}x`, 'pls_of.no.session'];
  for (const token of credentials) {
    await gql(server, token, '{ me { id } }');
    await gql(server, token, '{ nonsense }', { token });
    await gql(server, token, 'mutation ($input: LoginInput!) { login(input: $input) { sessionToken } }', {
      input: { platform: 'NONE' },
    });
    const socket = new Socket(server);
    await socket.init(token);
    const answered = socket.frames.find(({ type }) => type === 'connection_ack').then(() => true);
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
  await using place = newPlace();
  const server = await place.start();
  const device = await logIn(server, 'alice', 'WEB');
  await (await Socket.open(server, device.token)).close();
  await logOut(server, await logIn(server, 'bob', 'IPHONE'));
  await server.stop();
  expect(server.output().split('\n').length).toBeLessThan(10);
});
