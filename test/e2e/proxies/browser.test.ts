/** Chromium behind the proxies of docs/proxies.md, over HTTP/2. */
import type { CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChromiumSession, launchChromium } from '../../support/chromium.ts';
import { GraphiqlPage } from '../../support/graphiql-page.ts';
import { isMissing } from '../../support/optional-tools.ts';
import { mintToken, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { logIn, newUserId } from '../support/users.ts';
import { readPageConfiguration, substituteHaproxy, substituteNginx } from './configurations.ts';
import { startProxy, type Proxy } from './proxy-process.ts';

const WHAT = 'proxies in front of a browser';
const LACKS_BROWSER = isMissing('chromium', WHAT) || isMissing('openssl', WHAT);

const FILES = {
  nginx: { plain: '/etc/nginx/conf.d/porchlight.conf', prefix: '/etc/nginx/conf.d/porchlight-with-prefix.conf' },
  haproxy: { plain: '/etc/haproxy/haproxy.cfg', prefix: '/etc/haproxy/haproxy-with-prefix.cfg' },
} as const;
const SUBSTITUTE = { nginx: substituteNginx, haproxy: substituteHaproxy } as const;

const start = (software: keyof typeof FILES, path: string, { port }: PorchlightProcess): Promise<Proxy> =>
  startProxy(software, port, (substitutes) => SUBSTITUTE[software](readPageConfiguration(path), substitutes));

/** Reads the stream in the page until the event arrives. The texts so far are in `window.received`. */
const WATCH_BY_FETCH = `(async (apiKey, userId) => {
  window.received = [];
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { accept: 'text/event-stream', 'content-type': 'application/json', authorization: 'Bearer ' + apiKey },
    body: JSON.stringify({
      query: 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { status } }', variables: { ids: [userId] },
    }),
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const read = async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) window.received.push(part.value);
  };
  read();
  return response.headers.get('content-type');
})`;

/** An EventSource cannot send credentials. */
const READ_EVENT_SOURCE = `new Promise((resolve) => {
  const source = new EventSource('/graphql?query=' + encodeURIComponent('subscription { presenceEvents { reason } }'));
  source.addEventListener('next', ({ data }) => { source.close(); resolve(data); });
})`;

/** Resolves with the type of the answer to connection_init. */
const OPEN_SOCKET = `((apiKey) => new Promise((resolve) => {
  const socket = new WebSocket(location.origin.replace('http', 'ws') + '/graphql', 'graphql-transport-ws');
  socket.onopen = () => socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: 'Bearer ' + apiKey } }));
  socket.onmessage = ({ data }) => { socket.close(); resolve(JSON.parse(data).type); };
  socket.onclose = ({ code }) => resolve(code);
}))`;

const call = <T>(page: Page, script: string, ...args: readonly string[]): Promise<T> =>
  page.evaluate<T>(`(${script})(${args.map((arg) => JSON.stringify(arg)).join(', ')})`);

/** The status with which the next WebSocket of the page opens: 101 over HTTP/1.1, 200 over HTTP/2. */
const nextHandshakeStatus = async (session: CDPSession): Promise<() => Promise<number>> => {
  await session.send('Network.enable');
  const received = new Promise<number>((resolve) => {
    session.once('Network.webSocketHandshakeResponseReceived', ({ response }) => resolve(response.status));
  });
  return () => received;
};

describe.each(['nginx', 'haproxy'] as const)('Chromium behind %s', { timeout: 90_000 }, (software) => {
  const isSkipped = isMissing(software, WHAT) || LACKS_BROWSER;
  let server: PorchlightProcess;
  let proxy: Proxy;
  let proxyWithPrefix: Proxy;
  let browser: ChromiumSession;
  beforeAll(async () => {
    if (isSkipped) return;
    server = await startPorchlight();
    proxy = await start(software, FILES[software].plain, server);
    proxyWithPrefix = await start(software, FILES[software].prefix, server);
    browser = await launchChromium({ ignoresCertificates: true });
  });
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await proxyWithPrefix?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const openPage = async (): Promise<Page> => {
    const page = await browser.context.newPage();
    await page.goto(`https://127.0.0.1:${proxy.port}/graphql`);
    const protocol = await page.evaluate<string>('performance.getEntriesByType("navigation")[0].nextHopProtocol');
    expect(protocol).toBe('h2');
    return page;
  };

  it.skipIf(isSkipped)('reads an event stream with fetch, and each event at once', async () => {
    const page = await openPage();
    const user = newUserId();
    expect(await call(page, WATCH_BY_FETCH, server.apiKey, user)).toBe('text/event-stream');
    const readText = async (): Promise<string> => (await page.evaluate<string[]>('window.received')).join('');
    await expect.poll(readText, { timeout: 20_000 }).toContain('"status":"OFFLINE"');
    expect(await readText()).toMatch(/^:\n\nevent: next\n/);
    await logIn(server, user, 'WEB');
    await expect.poll(readText, { timeout: 20_000 }).toContain('"status":"ONLINE"');
    await page.close();
  });

  it.skipIf(isSkipped)('receives the answer to an EventSource, which has no credential', async () => {
    const page = await openPage();
    expect(await page.evaluate<string>(READ_EVENT_SOURCE)).toContain('"code":"UNAUTHENTICATED"');
    await page.close();
  });

  it.skipIf(isSkipped)(
    software === 'nginx' ? 'opens a WebSocket over HTTP/1.1' : 'opens a WebSocket over HTTP/2',
    async () => {
      const page = await openPage();
      const handshakeStatus = await nextHandshakeStatus(await browser.context.newCDPSession(page));
      expect(await call(page, OPEN_SOCKET, server.apiKey)).toBe('connection_ack');
      expect(await handshakeStatus()).toBe(software === 'nginx' ? 101 : 200);
      await page.close();
    },
  );

  it.skipIf(isSkipped)('uses GraphiQL under a path prefix: a login, and a subscription', async () => {
    const origin = `https://127.0.0.1:${proxyWithPrefix.port}/presence`;
    const on = await GraphiqlPage.open(browser.context, origin);
    const { page } = on;
    await on.setHeaders({ authorization: `Bearer ${await mintToken('alice')}` });
    await on.pressExecuteButton();
    await on.waitForResponseText('"userId": "alice"', '"ONLINE"');
    await on.selectTab('WatchTwoUsers');
    await on.setHeaders({ authorization: `Bearer ${await mintToken('bob')}` });
    await on.pressExecuteButton();
    await on.waitForResponseText('"received": 1', '"alice"', '"ONLINE"');
    await page.goto(`${origin}/`);
    expect(page.url()).toBe(`${origin}/graphql`);
    await page.close();
  });
});
