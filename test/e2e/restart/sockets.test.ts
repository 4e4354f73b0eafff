/** Connected clients during a restart: they are asked to reconnect and keep their status. */
import { createClient } from 'graphql-ws';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { openStream } from '../../support/crash/event-stream.ts';
import { codeOf, MessageQueue, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { logIn, createPushOnlineDevice, fetchEventSummaries, fetchUser, WATCH, Watcher } from '../support/users.ts';

const errorToText = (error: unknown): string => {
  if (error instanceof Error) return error.message;
  const { code, reason, type } = error as { code?: number; reason?: string; type?: string };
  return JSON.stringify(type === undefined ? error : { type, code, reason });
};

test('SIGTERM closes every socket with 1012 without a DISCONNECT event', async () => {
  await using harness = createRestartHarness();
  const before = await harness.start();
  const device = await logIn(before, 'alice', 'WEB');
  const sockets = [
    await GraphqlSocket.open(before, device.token),
    await GraphqlSocket.open(before, await mintToken('bob')),
    await GraphqlSocket.open(before, before.apiKey),
  ];
  sockets[2]?.subscribe('subscription { presenceEvents { cursor } }');
  const unknown = new GraphqlSocket(before);
  await new Promise((resolve) => unknown.ws.once('open', resolve));
  const stream = openStream<unknown>(before, before.apiKey, WATCH, { userIds: ['alice'] });
  await stream.inbox.next();
  const stopped = before.stop();
  for (const { closed } of [...sockets, unknown]) expect((await closed).code).toBe(1012);
  expect(
    codeOf(await stream.inbox.next()),
    'the stream ends with OVERLOADED, so that its client subscribes again',
  ).toBe('OVERLOADED');
  await expect(stream.inbox.next()).rejects.toThrow('The stream has ended.');
  expect(await stopped).toEqual({ code: 0, signal: null });

  const after = await harness.start();
  expect(await fetchEventSummaries(after, 'alice')).toEqual(['WEB LOGIN ONLINE: OFFLINE > ONLINE v1']);
  expect(await fetchUser(after, 'alice')).toMatchObject({ status: 'ONLINE', sessions: [{ attached: false }] });
});

test('a graphql-ws client reconnects after a restart, is attached again and receives the current statuses', async () => {
  await using harness = createRestartHarness();
  const before = await harness.start();
  const device = await logIn(before, 'alice', 'WEB');
  const phone = await createPushOnlineDevice(before, 'bob', 'IPHONE');
  const closed: unknown[] = [];
  const changes = new MessageQueue<string>();
  const client = createClient({
    url: `${before.origin.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${device.token}` },
    // By default the library gives up when the port is closed for a moment.
    shouldRetry: () => true,
    retryAttempts: 20,
    on: { closed: (event) => closed.push((event as CloseEvent).code) },
  });
  interface ChangesResult {
    readonly statusChanges: readonly { readonly status: string; readonly previousStatus: string | null }[];
  }
  client.subscribe<ChangesResult>(
    { query: WATCH, variables: { userIds: ['bob'] } },
    {
      next: ({ data }) => {
        for (const { previousStatus, status } of data?.statusChanges ?? [])
          changes.push(`${previousStatus} > ${status}`);
      },
      error: (error) => changes.close(new Error(`The client gave up: ${errorToText(error)}`)),
      complete: () => changes.close(new Error('The subscription is complete.')),
    },
  );
  try {
    expect(await changes.next()).toBe('null > PUSH_ONLINE');
    await before.stop();
    expect(closed).toEqual([1012]);

    const after = await harness.start({ PORCHLIGHT_PORT: String(before.port) });
    expect(await changes.next(20_000)).toBe('null > PUSH_ONLINE');
    const attached = await fetchUser(after, 'alice');
    expect(attached).toMatchObject({ status: 'ONLINE', version: 1, sessions: [{ attached: true }] });
    const socket = await GraphqlSocket.open(after, phone.token);
    expect(await changes.next()).toBe('PUSH_ONLINE > ONLINE');
    await socket.close();
    expect(await changes.next()).toBe('ONLINE > PUSH_ONLINE');
    expect(await fetchEventSummaries(after, 'alice')).toEqual(['WEB LOGIN ONLINE: OFFLINE > ONLINE v1']);
    const watcher = await Watcher.open(after, ['alice']);
    await client.dispose();
    expect(await watcher.next()).toMatchObject({ status: 'OFFLINE', reason: 'DISCONNECT' });
  } finally {
    await client.dispose();
  }
});
