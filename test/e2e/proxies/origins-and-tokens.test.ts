/** Which pages may open sockets behind a proxy, and long tokens through proxies. */
import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchChromium } from '../../support/chromium.ts';
import { isMissing } from '../../support/optional-tools.ts';
import { dataOf, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { fetchEvents, LOGIN, newUserId, type LoginResult, type StatusChange } from '../support/users.ts';
import {
  readPageConfiguration,
  replaceIn,
  substituteHaproxy,
  substituteNginx,
  type Substitutes,
} from './configurations.ts';
import { WATCH } from './forwarding.ts';
import { openSocket, post, sendRequest, type Target } from './http-client.ts';
import { startProxy, type Proxy, type Software } from './proxy-process.ts';

const WHAT = 'origins and long tokens behind a proxy';
const LACKS_NGINX = isMissing('nginx', WHAT) || isMissing('openssl', WHAT);
const LACKS_CHROMIUM = isMissing('chromium', WHAT);
const LACKS_HAPROXY = isMissing('haproxy', WHAT) || isMissing('openssl', WHAT);

let server: PorchlightProcess;
beforeAll(async () => {
  server = await startPorchlight({ env: { PORCHLIGHT_TRUST_PROXY: 'loopback', PORCHLIGHT_VISIBILITY: 'none' } });
});
afterAll(() => server?.[Symbol.asyncDispose]());

const start = (software: Software, create: (substitutes: Substitutes) => string): Promise<Proxy> =>
  startProxy(software, server.port, create);

const startForwardingNginx = (change: (configuration: string) => string): Promise<Proxy> =>
  start('nginx', (substitutes) =>
    change(substituteNginx(readPageConfiguration('/etc/nginx/conf.d/porchlight-with-forwarded.conf'), substitutes)),
  );

/** Opens a socket as a page of this origin. Resolves to 101, or to the status of the rejection. */
const openFrom = async ({ port }: Proxy, origin: string, headers: Record<string, string> = {}): Promise<number> => {
  const { ws } = new GraphqlSocket({ origin: `http://127.0.0.1:${port}` }, { headers: { origin, ...headers } });
  const status = await new Promise<number>((resolve) => {
    ws.once('open', () => resolve(101));
    ws.once('unexpected-response', (_request, { statusCode }) => resolve(statusCode ?? 0));
  });
  ws.terminate();
  return status;
};

/** What a script in a page of the server does: a query, and a socket that is acknowledged or closed. */
interface PageReport {
  readonly query: unknown;
  /** The type of the first message, or the close code. */
  readonly socket: string | number;
}

const runInPage = (apiKey: string): Promise<PageReport> =>
  fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"query":"{ __typename }"}',
  })
    .then((response) => response.json())
    .then(
      (query: unknown) =>
        new Promise((resolve) => {
          const socket = new WebSocket('/graphql', 'graphql-transport-ws');
          const init = { type: 'connection_init', payload: { authorization: `Bearer ${apiKey}` } };
          socket.onopen = () => socket.send(JSON.stringify(init));
          socket.onmessage = ({ data }) =>
            resolve({ query, socket: (JSON.parse(String(data)) as { type: string }).type });
          socket.onclose = ({ code }) => resolve({ query, socket: code });
        }),
    );

describe.skipIf(LACKS_NGINX)('a page behind nginx', () => {
  const pageOf = ({ port }: Proxy): string => `http://127.0.0.1:${port}`;

  test.each([
    ['headers of a client', { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9' }],
    ['a Host that ends the quotes', { host: 'a",for="203.0.113.9";host="b' }],
  ])(
    'opens a socket when nginx sends Forwarded, and a client cannot choose its address by %s',
    async (_what, forged) => {
      await using proxy = await startForwardingNginx((configuration) => configuration);
      expect(await openFrom(proxy, pageOf(proxy))).toBe(101);
      expect(await openFrom(proxy, 'http://elsewhere.example')).toBe(403);
      const user = newUserId();
      const target: Target = { origin: pageOf(proxy), httpVersion: '1.1', headers: forged };
      const input = { platform: 'WEB' };
      dataOf(await post(target, { token: await mintToken(user), query: LOGIN, variables: { input } }));
      expect(await fetchEvents(server, user)).toMatchObject([{ reason: 'LOGIN', ipAddress: '127.0.0.1' }]);
    },
  );

  const WITHOUT_HOST = (configuration: string): string =>
    replaceIn(configuration, /^ *proxy_set_header (X-)?Forwarded.*$/, '');

  test('opens no socket when nginx sends its own Host alone, and the log names the settings that help', async () => {
    await using proxy = await startForwardingNginx(WITHOUT_HOST);
    const page = pageOf(proxy);
    expect(await openFrom(proxy, page)).toBe(403);
    const line = new RegExp(`"warn".*"origin":"${page}","host":"127.0.0.1:${server.port}".*PORCHLIGHT_TRUST_PROXY`);
    await expect.poll(server.output).toMatch(line);
    // The browser does not need CORS headers for the own origin.
    const answer = await post(
      { origin: page, httpVersion: '1.1', headers: { origin: page } },
      { token: null, query: '{ __typename }' },
    );
    expect(answer).toEqual({ data: { __typename: 'Query' } });
  });

  test('opens a socket when nginx sends its own Host with X-Forwarded-Host', async () => {
    await using proxy = await startForwardingNginx((configuration) =>
      replaceIn(
        WITHOUT_HOST(configuration),
        'proxy_pass',
        'proxy_set_header X-Forwarded-Host $http_host;\n    proxy_pass',
      ),
    );
    expect(await openFrom(proxy, pageOf(proxy))).toBe(101);
    expect(await openFrom(proxy, `http://127.0.0.1:${server.port}`)).toBe(403);
  });

  test.skipIf(LACKS_CHROMIUM)('in Chromium, queries and opens a socket unless nginx hides the host', async () => {
    await using browser = await launchChromium();
    const [page] = browser.context.pages();
    if (page === undefined) throw new Error('Chromium has no page.');
    const reports: PageReport[] = [];
    for (const change of [(configuration: string) => configuration, WITHOUT_HOST]) {
      await using proxy = await startForwardingNginx(change);
      await page.goto(`${pageOf(proxy)}/graphql`);
      reports.push(await page.evaluate(runInPage, server.apiKey));
    }
    const query = { data: { __typename: 'Query' } };
    expect(reports).toEqual([
      { query, socket: 'connection_ack' },
      { query, socket: 1006 },
    ]);
  });
});

const FRIENDS = Array.from({ length: 500 }, () => randomUUID());
const LOGIN_VARIABLES = { input: { platform: 'WEB' } };

const targetOf = ({ port, ca }: Proxy, httpVersion: Target['httpVersion']): Target => ({
  origin: `https://127.0.0.1:${port}`,
  ca,
  httpVersion,
});

/** The status of a login over HTTP with this token. */
const logInStatus = async (target: Target, token: string): Promise<number> => {
  const { status, body } = await sendRequest(target, {
    method: 'POST',
    path: '/graphql',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query: LOGIN, variables: LOGIN_VARIABLES }),
  });
  await text(body);
  return status;
};

/** Logs in with a token that lists 500 users, over HTTP and by an upgrade, and watches them all. */
const expectLongTokens = async (proxy: Proxy): Promise<void> => {
  for (const httpVersion of ['1.1', '2'] as const) {
    const token = await mintToken(newUserId(), { claims: { watch: FRIENDS } });
    const target = targetOf(proxy, httpVersion);
    const { login } = dataOf(await post<LoginResult>(target, { token, query: LOGIN, variables: LOGIN_VARIABLES }));
    await expectWatching(await openSocket(targetOf(proxy, '1.1'), login.sessionToken));
  }
  const headers = { authorization: `Bearer ${await mintToken(newUserId(), { claims: { watch: FRIENDS } })}` };
  const socket = await GraphqlSocket.open({ origin: targetOf(proxy, '1.1').origin }, null, {
    ws: { ca: proxy.ca, headers },
  });
  await expectWatching(socket);
};

const expectWatching = async (socket: GraphqlSocket): Promise<void> => {
  const statuses = socket.subscribe<{ statusChanges: StatusChange[] }>(WATCH, { ids: FRIENDS });
  expect(dataOf(await statuses.next()).statusChanges).toHaveLength(500);
  await socket.close();
};

/** A token in connection_init is no header, so that no setting of a proxy limits it. */
const expectLongTokenInPayload = async (proxy: Proxy): Promise<void> => {
  const token = await mintToken(newUserId(), { claims: { watch: FRIENDS } });
  const socket = await openSocket(targetOf(proxy, '1.1'), token);
  await socket.executeForData(LOGIN, LOGIN_VARIABLES);
  await expectWatching(socket);
};

describe.each([
  {
    software: 'nginx',
    lacksSoftware: LACKS_NGINX,
    create: (substitutes: Substitutes) =>
      substituteNginx(readPageConfiguration('/etc/nginx/conf.d/porchlight.conf'), substitutes),
    settings: '/etc/nginx/conf.d/long-tokens.conf',
  },
  {
    software: 'haproxy',
    lacksSoftware: LACKS_HAPROXY,
    create: (substitutes: Substitutes) =>
      substituteHaproxy(readPageConfiguration('/etc/haproxy/haproxy.cfg'), substitutes),
    settings: '/etc/haproxy/long-tokens.cfg',
  },
] as const)('a token that lists 500 users, behind $software', ({ software, lacksSoftware, create, settings }) => {
  test.skipIf(lacksSoftware)('passes as a header with the settings of the page', async () => {
    await using proxy = await start(software, (substitutes) => readPageConfiguration(settings) + create(substitutes));
    await expectLongTokens(proxy);
  });

  test.skipIf(lacksSoftware)('passes in connection_init alone without them', async () => {
    await using proxy = await start(software, create);
    await expectLongTokenInPayload(proxy);
    const token = await mintToken(newUserId(), { claims: { watch: FRIENDS } });
    expect(await logInStatus(targetOf(proxy, '1.1'), token)).toBe(400);
  });
});
