/** What every proxy must forward: the tests of nginx and HAProxy have this suite in common. */
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codeOf, dataOf, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { readMetrics } from '../../support/prometheus.ts';
import { fetchUser, logIn, logOut, newUserId, type StatusChange } from '../support/users.ts';
import { openSocket, openStream, post, sendRequest, type Target } from './http-client.ts';
import type { Proxy } from './proxy-process.ts';

export const FEED = 'subscription { presenceEvents { userId reason } }';
export const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { status reason } }';

interface WatchResult {
  readonly statusChanges: readonly StatusChange[];
}
interface FeedResult {
  readonly presenceEvents: readonly { readonly userId: string; readonly reason: string }[];
}

const APP_ORIGIN = 'https://app.example.com';

export interface ForwardingOptions {
  readonly startProxy: (server: PorchlightProcess) => Promise<Proxy>;
  readonly scheme: 'http' | 'https';
  readonly httpVersions: readonly Target['httpVersion'][];
  /** Whether the configuration forwards WebSockets. */
  readonly hasWebSockets: boolean;
  readonly prefix?: string;
  /** PORCHLIGHT_PING_INTERVAL. By default the server sends no ping and no further comment during the tests. */
  readonly pingInterval?: string;
}

/** Watchers of the server, from its metrics. */
export const countWatchers = async ({ origin, apiKey }: PorchlightProcess): Promise<number> => {
  const response = await fetch(`${origin}/metrics`, { headers: { authorization: `Bearer ${apiKey}` } });
  const metrics = readMetrics(await response.text());
  return [...metrics].reduce((sum, [name, value]) => (name.startsWith('porchlight_watchers{') ? sum + value : sum), 0);
};

export const describeForwarding = (options: ForwardingOptions): void => {
  const { httpVersions, hasWebSockets, scheme, prefix = '', pingInterval = '10m' } = options;
  let server: PorchlightProcess;
  let proxy: Proxy;
  beforeAll(async () => {
    server = await startPorchlight({
      env: { PORCHLIGHT_ALLOWED_ORIGINS: APP_ORIGIN, PORCHLIGHT_PING_INTERVAL: pingInterval },
    });
    proxy = await options.startProxy(server);
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });
  const targetOf = (httpVersion: Target['httpVersion']): Target => ({
    origin: `${scheme}://127.0.0.1:${proxy.port}`,
    prefix,
    httpVersion,
    ...(scheme === 'https' ? { ca: proxy.ca } : {}),
  });

  describe.each(httpVersions)('over HTTP/%s', (httpVersion) => {
    test('answers queries, also with a long body and with a body in chunks', async () => {
      const user = newUserId();
      const query = 'query ($id: ID!) { userStatus(userId: $id) { status } }';
      const target = targetOf(httpVersion);
      const expected = { data: { userStatus: { status: 'OFFLINE' } } };
      expect(await post(target, { token: server.apiKey, query, variables: { id: user } })).toEqual(expected);
      const long = `${query} # ${'x'.repeat(100_000)}`;
      expect(await post(target, { token: server.apiKey, query: long, variables: { id: user } })).toEqual(expected);
      const json = JSON.stringify({ query: long, variables: { id: user } });
      const chunked = await sendRequest(target, {
        method: 'POST',
        path: '/graphql',
        headers: { authorization: `Bearer ${server.apiKey}`, 'content-type': 'application/json' },
        body: [json.slice(0, 10), json.slice(10, 50_000), json.slice(50_000)],
      });
      expect(JSON.parse(await text(chunked.body))).toEqual(expected);
    });

    test('a request that expects 100-continue is answered', async () => {
      const response = await sendRequest(targetOf(httpVersion), {
        method: 'POST',
        path: '/graphql',
        headers: { 'content-type': 'application/json', expect: '100-continue' },
        body: '{"query":"{ __typename }"}',
      });
      expect([response.status, JSON.parse(await text(response.body))]).toEqual([
        200,
        { data: { __typename: 'Query' } },
      ]);
    });

    test('answers the preflight of an allowed origin', async () => {
      const response = await sendRequest(targetOf(httpVersion), {
        method: 'OPTIONS',
        path: '/graphql',
        headers: { origin: APP_ORIGIN, 'access-control-request-method': 'POST' },
      });
      expect(response.status).toBe(204);
      expect(response.headers).toMatchObject({
        'access-control-allow-origin': APP_ORIGIN,
        'cache-control': 'no-store',
        vary: 'Origin',
      });
      response.abort();
    });

    test.each(['GET', 'POST'] as const)(
      'an event stream by %s sends a comment before the first event, and each event at once',
      async (method) => {
        const target = targetOf(httpVersion);
        await using feed = await openStream(target, method, { token: server.apiKey, query: FEED });
        expect(feed.status).toBe(200);
        expect(feed.headers).toMatchObject({
          'content-type': 'text/event-stream',
          'cache-control': 'no-cache, no-transform',
        });
        expect(feed.headers['content-length']).toBeUndefined();
        expect(await feed.blocks.next()).toBe(':');
        const user = newUserId();
        const device = await logIn(server, user, 'WEB');
        const next = async (): Promise<unknown> =>
          dataOf(await feed.nextResult<FeedResult>()).presenceEvents.filter(({ userId }) => userId === user);
        expect(await next()).toEqual([{ userId: user, reason: 'LOGIN' }]);
        await logOut(server, device);
        expect(await next()).toEqual([{ userId: user, reason: 'LOGOUT' }]);
      },
    );

    test('an invalid subscription is answered at once, and the stream ends', async () => {
      await using stream = await openStream(targetOf(httpVersion), 'POST', { token: null, query: FEED });
      expect(codeOf(await stream.nextResult())).toBe('UNAUTHENTICATED');
      await stream.ended;
    });

    test('the server ends a stream when its client disconnects from the proxy', async () => {
      const before = await countWatchers(server);
      const stream = await openStream(targetOf(httpVersion), 'POST', {
        token: server.apiKey,
        query: WATCH,
        variables: { ids: [newUserId()] },
      });
      await stream.nextResult<WatchResult>();
      expect(await countWatchers(server)).toBe(before + 1);
      await stream[Symbol.asyncDispose]();
      await expect.poll(() => countWatchers(server), { timeout: 20_000 }).toBe(before);
    });
  });

  const describeWebSockets = (): void => {
    test('a client logs in, watches, and its disconnect is noticed', async () => {
      const [alice, bob] = [newUserId(), newUserId()];
      const watcher = await openSocket(targetOf('1.1'), await mintToken(bob));
      const changes = watcher.subscribe<WatchResult>(WATCH, { ids: [alice] });
      expect(dataOf(await changes.next()).statusChanges).toMatchObject([{ status: 'OFFLINE' }]);
      const device = await logIn(server, alice, 'IPHONE');
      expect(dataOf(await changes.next()).statusChanges).toMatchObject([{ status: 'ONLINE', reason: 'LOGIN' }]);
      const socket = await openSocket(targetOf('1.1'), device.token);
      expect((await fetchUser(server, alice)).sessions).toMatchObject([{ attached: true }]);
      socket.ws.terminate();
      expect(dataOf(await changes.next()).statusChanges).toMatchObject([
        { status: 'PUSH_ONLINE', reason: 'DISCONNECT' },
      ]);
      await watcher.close();
    });

    test('a client sees the code and the reason with which the server closes its socket', async () => {
      const device = await logIn(server, newUserId(), 'IPHONE');
      const socket = await openSocket(targetOf('1.1'), device.token);
      await logIn(server, device.userId, 'WEB');
      expect(await socket.closed).toMatchObject({ code: 4410, reason: 'KICKED' });
    });

    test('a page of the own origin may open a socket, and a page of another origin may not', async () => {
      const { origin, ca } = targetOf('1.1');
      const open = (from: string): GraphqlSocket =>
        new GraphqlSocket({ origin: `${origin}${prefix}` }, { ca, headers: { origin: from } });
      const own = open(origin);
      await own.init(server.apiKey);
      await own.frames.nextMatching(({ type }) => type === 'connection_ack');
      await own.close();
      const foreign = open('https://elsewhere.example');
      const refused = new Promise((resolve) =>
        foreign.ws.on('unexpected-response', (_request, { statusCode }) => resolve(statusCode)),
      );
      expect(await refused).toBe(403);
    });
  };
  if (hasWebSockets) describe('over a WebSocket', describeWebSockets);

  // The last test: it stops the server.
  test('when the server stops, streams end with OVERLOADED and sockets are closed with 1012', async () => {
    const streams = await Promise.all(
      httpVersions.map((version) =>
        openStream(targetOf(version), 'POST', {
          token: server.apiKey,
          query: WATCH,
          variables: { ids: [newUserId()] },
        }),
      ),
    );
    for (const stream of streams) await stream.nextResult();
    const socket = hasWebSockets ? await openSocket(targetOf('1.1'), server.apiKey) : null;
    const exit = server.stop();
    for (const stream of streams) {
      expect(codeOf(await stream.nextResult())).toBe('OVERLOADED');
      await stream.blocks.nextMatching((block) => block.startsWith('event: complete\n'));
      await stream.ended;
    }
    if (socket !== null) expect(await socket.closed).toMatchObject({ code: 1012 });
    expect(await exit).toEqual({ code: 0, signal: null });
  });
};
