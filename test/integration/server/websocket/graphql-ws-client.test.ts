/** How the graphql-ws client, as apps use it, reacts to the close codes of the server. */
import { createClient, type Client, type ClientOptions } from 'graphql-ws';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';

const open = (harness: ServerHarness, authorization: () => string, options: Partial<ClientOptions> = {}): Client => {
  const client = createClient({
    url: harness.socketUrl,
    webSocketImpl: WebSocket,
    connectionParams: () => ({ authorization: `Bearer ${authorization()}` }),
    retryAttempts: 3,
    retryWait: () => Promise.resolve(),
    ...options,
  });
  onTestFinished(() => client.dispose());
  return client;
};

const readFirst = async (client: Client, query: string): Promise<unknown> => {
  for await (const { data } of client.iterate({ query })) return data;
  return undefined;
};

describe('the graphql-ws client', () => {
  test('runs queries and subscriptions and receives rejections as errors with codes', async () => {
    const harness = await ServerHarness.open();
    const client = open(harness, () => API_KEY);
    expect(await readFirst(client, '{ stats { sockets } }')).toEqual({ stats: { sockets: 1 } });
    const results = client.iterate({ query: 'subscription { statusChanges(userIds: ["bob"]) { status } }' });
    expect((await results.next()).value).toEqual({ data: { statusChanges: [{ status: 'OFFLINE' }] } });
    await harness.login('bob');
    expect((await results.next()).value).toEqual({ data: { statusChanges: [{ status: 'ONLINE' }] } });
    await results.return?.();
    const rejected = client.iterate({ query: '{ me { id } }' });
    expect((await rejected.next()).value).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    await expect(readFirst(client, '{ nothing }')).rejects.toMatchObject([
      { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } },
    ]);
  });

  test('reconnects by itself after 4412 and continues its subscription', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    let connections = 0;
    const client = open(harness, () => token, { on: { connected: () => connections++ } });
    const results = client.iterate({ query: 'subscription { statusChanges(userIds: ["bob"]) { status } }' });
    await results.next();
    await harness.advanceTime(400_000);
    expect((await results.next()).value).toEqual({ data: { statusChanges: [{ status: 'OFFLINE' }] } });
    expect(connections).toBe(2);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT', 'RECONNECT']);
  });

  test('reconnects with a new token after 4413', async () => {
    const harness = await ServerHarness.open();
    const tokens = [await harness.jwt('alice', { exp: 1 }), await harness.jwt('alice')];
    const client = open(harness, () => tokens.shift() ?? '');
    expect(await readFirst(client, '{ userStatus(userId: "alice") { version } }')).toEqual({
      userStatus: { version: 0 },
    });
  });

  test('does not reconnect after 4401', async () => {
    const harness = await ServerHarness.open();
    let attempts = 0;
    const client = open(harness, () => 'wrong', { on: { connecting: () => attempts++ } });
    await expect(readFirst(client, '{ __typename }')).rejects.toMatchObject({ code: 4401 });
    expect(attempts).toBe(1);
  });
});
