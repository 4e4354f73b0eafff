/** Proxies with settings that cannot work say what is wrong, and settings that cost nothing do no harm. */
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isMissing } from '../../support/optional-tools.ts';
import { dataOf, GraphqlSocket } from '../../support/porchlight-client.ts';
import { startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { logIn, newUserId } from '../support/users.ts';
import { readPageConfiguration, replaceIn, substituteHaproxy, substituteNginx } from './configurations.ts';
import { FEED } from './forwarding.ts';
import { openSocket, openStream, post, sendRequest, type Target } from './http-client.ts';
import { startProxy, type Proxy } from './proxy-process.ts';

const LACKS_NGINX =
  isMissing('nginx', 'unusual settings of proxies') || isMissing('openssl', 'unusual settings of proxies');
const LACKS_HAPROXY =
  isMissing('haproxy', 'unusual settings of proxies') || isMissing('openssl', 'unusual settings of proxies');

let server: PorchlightProcess;
beforeAll(async () => {
  // The log then has a line for each request.
  server = await startPorchlight({ env: { PORCHLIGHT_LOG_LEVEL: 'debug' } });
});
afterAll(() => server?.[Symbol.asyncDispose]());

const startHaproxy = (change: (configuration: string) => string): Promise<Proxy> =>
  startProxy('haproxy', server.port, (substitutes) =>
    change(substituteHaproxy(readPageConfiguration('/etc/haproxy/haproxy.cfg'), substitutes)),
  );

const startNginx = (path: string, change: (configuration: string) => string): Promise<Proxy> =>
  startProxy('nginx', server.port, (substitutes) => change(substituteNginx(readPageConfiguration(path), substitutes)));

const PLAIN = '/etc/nginx/conf.d/porchlight-without-websocket.conf';

const targetOf = ({ port, ca }: Proxy, scheme: 'http' | 'https' = 'https'): Target => ({
  origin: `${scheme}://127.0.0.1:${port}`,
  ca,
  httpVersion: '1.1',
});

const read = async (target: Target, path: string, headers = {}) => {
  const response = await sendRequest(target, { path, headers });
  return { status: response.status, headers: response.headers, text: await text(response.body) };
};

/** The line with which the server warns about a protocol that it does not have. */
const waitForWarning = (protocol: string) =>
  expect.poll(server.output, { timeout: 10_000 }).toMatch(new RegExp(`"warn".*"protocol":"${protocol}"`));

describe.skipIf(LACKS_HAPROXY)('HAProxy', () => {
  test.each(['send-proxy', 'send-proxy-v2'])(
    'with %s: the answer says that PROXY is not supported',
    async (setting) => {
      await using proxy = await startHaproxy((configuration) => replaceIn(configuration, ' check', ` ${setting}`));
      const answer = await read(targetOf(proxy), '/health/ready');
      expect(answer.status).toBe(400);
      expect(answer.text).toContain('This is the PROXY protocol. Turn it off in the proxy');
      await waitForWarning('the PROXY protocol');
    },
  );

  test('with HTTP/2 to the server: the log says that HTTP/2 is not supported', async () => {
    await using proxy = await startHaproxy((configuration) => replaceIn(configuration, ' check', ' proto h2'));
    expect((await read(targetOf(proxy), '/health/ready')).status).toBeGreaterThanOrEqual(500);
    await waitForWarning('HTTP/2');
  });

  test.each([
    ['option httpchk', 'OPTIONS', '/'],
    ['option httpchk OPTIONS *', 'OPTIONS', '*'],
    ['option httpchk /health/ready', 'OPTIONS', '/health/ready'],
    ['option httpchk HEAD /health/live', 'HEAD', '/health/live'],
    ['option httpchk GET /health/ready', 'GET', '/health/ready'],
  ])('with `%s` the health check succeeds', async (check, method, path) => {
    await using proxy = await startHaproxy((configuration) =>
      replaceIn(
        replaceIn(configuration, 'option httpchk GET /health/ready', check),
        ' check',
        ' check inter 100ms rise 1 fall 1',
      ),
    );
    const line = `"method":"${method}","path":"${path === '*' ? 'other' : path}","status":200`;
    await expect.poll(server.output, { timeout: 10_000 }).toContain(line);
    expect((await read(targetOf(proxy), '/health/ready')).status).toBe(200);
  });

  test('with compression: an event stream is not compressed', async () => {
    await using proxy = await startHaproxy((configuration) =>
      replaceIn(
        configuration,
        'default_backend',
        'compression algo gzip\n  compression type text/event-stream application/json\n  default_backend',
      ),
    );
    await expectUncompressedStream(targetOf(proxy));
  });
});

describe.skipIf(LACKS_NGINX)('nginx', () => {
  test('with https: to the server: the log says that the port has no TLS', async () => {
    await using proxy = await startNginx(PLAIN, (configuration) => replaceIn(configuration, 'http://', 'https://'));
    expect((await read(targetOf(proxy, 'http'), '/health/ready')).status).toBe(502);
    await waitForWarning('TLS');
  });

  test('without the headers of an upgrade: a WebSocket is answered with 426 and the reason', async () => {
    await using proxy = await startNginx(PLAIN, (configuration) => configuration);
    const socket = new GraphqlSocket({ origin: `http://127.0.0.1:${proxy.port}` });
    const answer = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      socket.ws.on('unexpected-response', (_request, response) => {
        text(response).then((body) => resolve({ status: response.statusCode, body }), reject);
      });
    });
    expect(answer.status).toBe(426);
    expect(answer.body).toContain('The proxy must forward the headers Upgrade and Connection');
  });

  test.each(['proxy_http_version 1.1;', ''])(
    'with a constant Connection header and `%s`: queries, streams and WebSockets work',
    async (version) => {
      const headers = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";';
      await using proxy = await startNginx(PLAIN, (configuration) =>
        replaceIn(configuration, 'proxy_pass', `${version} ${headers} proxy_pass`),
      );
      const target = targetOf(proxy, 'http');
      const { apiKey } = server;
      expect(await post(target, { token: apiKey, query: '{ __typename }' })).toEqual({ data: { __typename: 'Query' } });
      await using feed = await openStream(target, 'POST', { token: apiKey, query: FEED });
      expect(await feed.blocks.next()).toBe(':');
      const socket = await openSocket(target, apiKey);
      await socket.close();
    },
  );

  test('with a prefix that it does not remove: the answer names the path of GraphQL', async () => {
    await using proxy = await startNginx(PLAIN, (configuration) =>
      replaceIn(configuration, 'location /', 'location /presence/'),
    );
    const answer = await read(targetOf(proxy, 'http'), '/presence/graphql');
    expect([answer.status, answer.text]).toEqual([404, expect.stringContaining('GraphQL is at /graphql.')]);
  });

  test('with gzip for all types: an event stream is not compressed', async () => {
    await using proxy = await startNginx(PLAIN, (configuration) =>
      replaceIn(
        configuration,
        'listen',
        'gzip on;\n  gzip_types *;\n  gzip_proxied any;\n  gzip_min_length 0;\n  gzip_http_version 1.0;\n  listen',
      ),
    );
    await expectUncompressedStream(targetOf(proxy, 'http'));
  });

  test('with a cache: no answer comes from it, neither a result nor an error', async () => {
    await using proxy = await startNginx(PLAIN, (configuration) =>
      replaceIn(
        `proxy_cache_path cache keys_zone=all:1m;\n${configuration}`,
        'proxy_pass',
        'proxy_cache all; proxy_cache_valid any 10m; proxy_pass',
      ),
    );
    const target = targetOf(proxy, 'http');
    const query = encodeURIComponent('{ userStatus(userId: "alice") { status } }');
    const requests: readonly [path: string, headers: Record<string, string>, status: number][] = [
      [`/graphql?query=${query}`, { accept: 'application/json', authorization: `Bearer ${server.apiKey}` }, 200],
      [
        `/graphql?query=${query}&x=1`,
        { accept: 'application/graphql-response+json', authorization: 'Bearer wrong' },
        401,
      ],
      ['/graphql', { accept: 'application/json' }, 400],
      ['/health/ready', {}, 200],
      ['/nothing', {}, 404],
      ['/', { accept: 'text/html' }, 302],
    ];
    for (const [path, headers, status] of requests) {
      const [first, second] = [await read(target, path, headers), await read(target, path, headers)];
      expect([first.status, second.status], path).toEqual([status, status]);
      // The server gives each request an id of its own.
      expect(first.headers['x-request-id'], path).not.toBe(second.headers['x-request-id']);
    }
  });
});

/** The stream works, and JSON of the same proxy is compressed. */
const expectUncompressedStream = async (target: Target): Promise<void> => {
  const compressed = { 'accept-encoding': 'gzip' };
  const query = encodeURIComponent('{ __typename }');
  const answer = await sendRequest(target, {
    path: `/graphql?query=${query}`,
    headers: { ...compressed, accept: 'application/json' },
  });
  expect(answer.headers['content-encoding']).toBe('gzip');
  answer.abort();
  await using feed = await openStream({ ...target, headers: compressed }, 'POST', {
    token: server.apiKey,
    query: FEED,
  });
  expect(feed.headers['content-encoding']).toBe('none');
  expect(await feed.blocks.next()).toBe(':');
  const user = newUserId();
  await logIn(server, user, 'WEB');
  expect(dataOf(await feed.nextResult())).toMatchObject({ presenceEvents: [{ userId: user }] });
};
