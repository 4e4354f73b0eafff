/** The graphql-ws client, as apps use it: what it makes of our codes. */
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

const firstOf = async (client: Client, query: string): Promise<unknown> => {
  for await (const { data } of client.iterate({ query })) return data;
  return undefined;
};

describe('the graphql-ws client', () => {
  test('asks, watches, and has its refusals as errors with codes', async () => {
    const harness = await ServerHarness.open();
    const client = open(harness, () => API_KEY);
    expect(await firstOf(client, '{ stats { sockets } }')).toEqual({ stats: { sockets: 1 } });
    const watching = client.iterate({ query: 'subscription { statusChanges(userIds: ["bob"]) { status } }' });
    expect((await watching.next()).value).toEqual({ data: { statusChanges: [{ status: 'OFFLINE' }] } });
    await harness.login('bob');
    expect((await watching.next()).value).toEqual({ data: { statusChanges: [{ status: 'ONLINE' }] } });
    await watching.return?.();
    const refused = client.iterate({ query: '{ me { id } }' });
    expect((await refused.next()).value).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    await expect(firstOf(client, '{ nothing }')).rejects.toMatchObject([
      { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } },
    ]);
  });

  test('comes back by itself after 4412, and watches on', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    let connections = 0;
    const client = open(harness, () => token, { on: { connected: () => connections++ } });
    const watching = client.iterate({ query: 'subscription { statusChanges(userIds: ["bob"]) { status } }' });
    await watching.next();
    await harness.advanceTime(400_000);
    expect((await watching.next()).value).toEqual({ data: { statusChanges: [{ status: 'OFFLINE' }] } });
    expect(connections).toBe(2);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT', 'RECONNECT']);
  });

  test('comes back with a new token after 4413', async () => {
    const harness = await ServerHarness.open();
    const tokens = [await harness.jwt('alice', { exp: 1 }), await harness.jwt('alice')];
    const client = open(harness, () => tokens.shift() ?? '');
    expect(await firstOf(client, '{ userStatus(userId: "alice") { version } }')).toEqual({
      userStatus: { version: 0 },
    });
  });

  test('gives up after 4401, without asking again', async () => {
    const harness = await ServerHarness.open();
    let attempts = 0;
    const client = open(harness, () => 'wrong', { on: { connecting: () => attempts++ } });
    await expect(firstOf(client, '{ __typename }')).rejects.toMatchObject({ code: 4401 });
    expect(attempts).toBe(1);
  });
});
