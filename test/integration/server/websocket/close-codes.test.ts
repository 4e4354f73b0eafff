/**
 * The table of close codes in docs/api.md: it has every code that the server sends, and says for each what clients of
 * graphql-ws do, which Apollo Client and urql contain.
 */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { ApolloClient, gql as document, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client as UrqlClient, subscriptionExchange } from '@urql/core';
import { CloseCode, createClient, type Client } from 'graphql-ws';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { SERVER_CLOSE_CODES } from '../../../../src/server/wire/close-codes.ts';

const ROW = /^\| `(\d{4})` +\|[^|]*\| ([^|]+) \| (reconnects|gives up) +\|$/;

/** The rows of the table: code, what the client should do, and what graphql-ws does. */
const ROWS = readFileSync('docs/api.md', 'utf8')
  .split('\n')
  .map((line) => ROW.exec(line))
  .filter((match) => match !== null)
  .map(([, code, advice = '', reaction]) => ({ code: Number(code), advice: advice.trim(), reaction }));

/** Codes of RFC 6455 that `ws` sends by itself: a protocol error, text that is not UTF-8, too many fragments, too long. */
const LIBRARY_CODES = [1002, 1007, 1008, 1009];
/** Codes of graphql-ws that the server sends beside its own. */
const PROTOCOL_CODES = [
  CloseCode.SubprotocolNotAcceptable,
  CloseCode.ConnectionInitialisationTimeout,
  CloseCode.SubscriberAlreadyExists,
  CloseCode.TooManyInitialisationRequests,
];

/** A server that closes the first socket with a code after `connection_init`, and answers every operation on the next ones. */
const openServer = async (code: number): Promise<{ readonly url: string; readonly connections: () => number }> => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  let connections = 0;
  server.on('connection', (socket) => {
    const isFirst = ++connections === 1;
    socket.on('message', (data: Buffer) => {
      const { type, id } = JSON.parse(data.toString('utf8')) as { type: string; id?: string };
      if (isFirst) return socket.close(code, 'for a test');
      if (type === 'connection_init') socket.send('{"type":"connection_ack"}');
      if (type === 'subscribe') socket.send(JSON.stringify({ type: 'next', id, payload: { data: { answer: '42' } } }));
    });
  });
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, connections: () => connections };
};

const openClient = (url: string): Client => {
  const client = createClient({ url, webSocketImpl: WebSocket, retryWait: () => Promise.resolve() });
  onTestFinished(() => client.dispose());
  return client;
};

const QUERY = 'subscription { answer }';

/** Returns the first result. It rejects when the client gives up. */
type Subscribe = (url: string) => Promise<unknown>;

const CLIENTS: Readonly<Record<string, Subscribe>> = {
  'graphql-ws': async (url) => (await openClient(url).iterate({ query: QUERY }).next()).value as unknown,
  'Apollo Client': (url) => {
    const client = new ApolloClient({ link: new GraphQLWsLink(openClient(url)), cache: new InMemoryCache() });
    onTestFinished(() => client.stop());
    return new Promise((resolve, reject) => {
      client
        .subscribe({ query: document(QUERY) })
        .subscribe(({ data, error }) => (error === undefined ? resolve(data) : reject(new Error(error.message))));
    });
  },
  urql: (url) => {
    const socket = openClient(url);
    const client = new UrqlClient({
      url: 'http://127.0.0.1/',
      exchanges: [
        subscriptionExchange({
          forwardSubscription: ({ query = '', variables }) => ({
            subscribe: (sink) => ({
              unsubscribe: socket.subscribe(
                { query, variables: variables as Record<string, unknown> },
                { ...sink, next: (result) => sink.next(result as Parameters<typeof sink.next>[0]) },
              ),
            }),
          }),
        }),
      ],
      preferGetMethod: false,
    });
    return new Promise((resolve, reject) => {
      client
        .subscription(QUERY, {})
        .subscribe(({ data, error }) => (error === undefined ? resolve(data) : reject(error)));
    });
  },
};

test('docs/api.md has a row for every code with which the server closes sockets', () => {
  const sent = new Set<number>([...LIBRARY_CODES, ...PROTOCOL_CODES, ...Object.values(SERVER_CLOSE_CODES)]);
  expect(ROWS.map(({ code }) => code)).toEqual([...sent].sort((one, other) => one - other));
});

describe.each(Object.entries(CLIENTS))('%s', (_name, subscribe) => {
  test.each(ROWS)('$reaction after $code, as docs/api.md says', async ({ code, reaction }) => {
    const { url, connections } = await openServer(code);
    const result = await subscribe(url).then(
      () => 'reconnects',
      () => 'gives up',
    );
    expect(result).toBe(reaction);
    expect(connections()).toBe(reaction === 'reconnects' ? 2 : 1);
  });
});

test('graphql-ws reconnects after every code after which the client should, and gives up after all others but 4410', () => {
  for (const { code, advice, reaction } of ROWS) {
    const shouldReconnect = advice.startsWith('reconnect');
    if (code !== SERVER_CLOSE_CODES.SESSION_ENDED)
      expect(reaction, String(code)).toBe(shouldReconnect ? 'reconnects' : 'gives up');
    else expect([advice, reaction]).toEqual(['not reconnect', 'reconnects']);
  }
});
