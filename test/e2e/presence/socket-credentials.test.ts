/** Clients that send the credential of their socket with the upgrade, or under other names in connection_init. */
import { createClient, type Client } from 'graphql-ws';
import { onTestFinished, expect, test } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  deviceOf,
  endSessions,
  fetchUser,
  LOGIN,
  logIn,
  newUserId,
  startSharedServer,
  type LoginResult,
} from '../support/users.ts';

const server = startSharedServer();

const openClient = (
  headers: Readonly<Record<string, string>>,
  connectionParams?: Readonly<Record<string, unknown>>,
): Client => {
  /** graphql-ws has no option for headers, so its users derive a class, as its documentation shows. */
  class WebSocketWithHeaders extends WebSocket {
    constructor(address: string, protocols: string[], options: ClientOptions = {}) {
      super(address, protocols, { ...options, headers });
    }
  }
  const client = createClient({
    url: `${server.origin.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocketWithHeaders,
    retryAttempts: 0,
    // The socket stays open between two operations.
    lazyCloseTimeout: 60_000,
    ...(connectionParams === undefined ? {} : { connectionParams }),
  });
  onTestFinished(() => client.dispose());
  return client;
};

const readFirst = async <T extends Record<string, unknown>>(
  client: Client,
  query: string,
  variables?: Record<string, unknown>,
): Promise<T> => {
  for await (const { data, errors } of client.iterate<T>({ query, variables: variables ?? null })) {
    if (data == null) throw new Error(`The operation failed: ${JSON.stringify(errors)}`);
    return data;
  }
  throw new Error('The operation has no result.');
};

test('a client that sends its JWT with the upgrade logs in, and its socket is attached to the session', async () => {
  const userId = newUserId();
  const client = openClient({ authorization: `Bearer ${await mintToken(userId)}` });
  const phone = deviceOf(
    await readFirst<LoginResult & Record<string, unknown>>(client, LOGIN, { input: { platform: 'ANDROID' } }),
  );
  const ended = client.iterate({ query: 'subscription { sessionEnded { reason } }' });
  await expect.poll(async () => (await fetchUser(server, userId)).sessions[0]?.attached).toBe(true);
  const end = ended.next();
  await endSessions(server, { userId });
  expect((await end).value).toEqual({ data: { sessionEnded: { reason: 'REVOKED' } } });
  // Its token opens no further socket, and the reason is that of the session.
  await expect(
    readFirst(openClient({ authorization: `Bearer ${phone.token}` }), '{ __typename }'),
  ).rejects.toMatchObject({ code: 4410, reason: 'REVOKED' });
});

test('a session token in the upgrade, in headers.Authorization, in authToken and in token opens a socket of the session', async () => {
  const { userId, token } = await logIn(server, newUserId());
  for (const client of [
    openClient({ Authorization: `Bearer ${token}` }),
    openClient({}, { headers: { Authorization: `bearer ${token}` } }),
    openClient({ authorization: 'Basic YWxpY2U6c2VjcmV0' }, { authToken: token }),
    openClient({ authorization: `Bearer ${server.apiKey}` }, { token }),
  ]) {
    expect(await readFirst(client, '{ me { userId } }')).toEqual({ me: { userId } });
  }
});

test('a client without a usable credential learns where it belongs and which form it has', async () => {
  const { token } = await logIn(server, newUserId());
  for (const [client, reason] of [
    [openClient({}), /^No credential: send \{"authorization":"Bearer <token>"\} as payload of connection_init/],
    [openClient({ cookie: `token=${token}` }), /^No credential/],
    [openClient({ authorization: token }), /^Authorization of the upgrade must be "Bearer <token>"/],
    [openClient({}, { Authorization: token }), /^payload\.Authorization must be "Bearer <token>"/],
    [openClient({ authorization: 'Bearer x' }), /^Authorization of the upgrade: ./],
  ] as const) {
    await expect(readFirst(client, '{ __typename }')).rejects.toMatchObject({
      code: 4401,
      reason: expect.stringMatching(reason) as string,
    });
  }
});

test('a client of another subprotocol is closed with 4406 and the accepted name', async () => {
  const socket = new WebSocket(`${server.origin.replace('http', 'ws')}/graphql`, ['graphql-ws']);
  const messages: string[] = [];
  socket.on('message', (data: Buffer) => messages.push(data.toString('utf8')));
  const [code, reason] = await new Promise<[number, string]>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', (closeCode, closeReason) => resolve([closeCode, closeReason.toString('utf8')]));
  });
  expect([code, reason]).toEqual([4406, expect.stringMatching(/accepted: graphql-transport-ws$/)]);
  expect(messages).toEqual([JSON.stringify({ type: 'connection_error', payload: { message: reason } })]);
});
