/** Which pages may open sockets behind a proxy that reports the host, and what the log says of the others. */
import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { ServerSettings } from '../../../../src/server/server.ts';
import { ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly origin?: string;
  readonly hint?: string;
}

const open = (settings: Partial<ServerSettings> = {}): Promise<ServerHarness> => ServerHarness.open({ settings });

/** The status of an upgrade with these headers: 101 if it is accepted. The peer is 127.0.0.1. */
const requestUpgrade = (harness: ServerHarness, headers: Record<string, string>): Promise<number> => {
  const socket = new TestSocket(harness.socketUrl, { headers });
  return new Promise((resolve) => {
    socket.webSocket.once('open', () => resolve(101));
    socket.webSocket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
  });
};

/** Sends a query with `node:http`, because fetch overrides the header Origin. Resolves to the CORS header. */
const postFrom = (harness: ServerHarness, headers: Record<string, string>): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const request = httpRequest(`${harness.url}/graphql`, { method: 'POST', headers }, (response) => {
      response.resume().once('end', () => resolve(response.headers['access-control-allow-origin']));
    });
    request.once('error', reject).setHeader('content-type', 'application/json');
    request.end('{"query":"{ __typename }"}');
  });

const refusals = (harness: ServerHarness): LogLine[] =>
  harness.logLines.map((line) => JSON.parse(line) as LogLine).filter(({ origin }) => origin !== undefined);

/** A proxy that connects to `localhost:4000` without passing the header Host. */
const UPSTREAM = { host: 'localhost:4000' };
const PAGE = { ...UPSTREAM, origin: 'https://app.example' };

describe('a socket of a page that a proxy serves', () => {
  test.each<[string, Record<string, string>]>([
    ['X-Forwarded-Host', { 'x-forwarded-host': 'app.example' }],
    ['X-Forwarded-Host and -Proto', { 'x-forwarded-host': 'app.example', 'x-forwarded-proto': 'https' }],
    ['Forwarded', { forwarded: 'for=203.0.113.7;host=app.example;proto=https' }],
    ['the header Host', { host: 'app.example' }],
  ])('is accepted when a trusted proxy reports its host by %s', async (_what, headers) => {
    const harness = await open({ trustProxy: ['loopback'] });
    expect(await requestUpgrade(harness, { ...PAGE, ...headers })).toBe(101);
    expect(refusals(harness)).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    ['X-Forwarded-Host', { 'x-forwarded-host': 'app.example' }],
    ['Forwarded', { forwarded: 'for=203.0.113.7;host=app.example' }],
  ])('is rejected with 403 when the proxy that reports its host by %s is not trusted', async (_what, headers) => {
    for (const trustProxy of [false, ['10.0.0.0/8']]) {
      const harness = await open({ trustProxy });
      expect(await requestUpgrade(harness, { ...PAGE, ...headers })).toBe(403);
      expect(refusals(harness)).toMatchObject([
        {
          level: 'warn',
          forwardedHost: 'app.example',
          proxy: '127.0.0.1',
          hint: expect.stringMatching(/TRUST_PROXY/) as string,
        },
      ]);
    }
  });

  test('is rejected with 403 when it is a page of the host that the proxy connects to', async () => {
    const harness = await open({ trustProxy: true });
    const origin = `http://${UPSTREAM.host}`;
    expect(await requestUpgrade(harness, { ...UPSTREAM, origin })).toBe(101);
    expect(await requestUpgrade(harness, { ...UPSTREAM, origin, 'x-forwarded-host': 'app.example' })).toBe(403);
  });

  test('is rejected with 403 when the page was loaded without TLS and the proxy reports https', async () => {
    const harness = await open({ trustProxy: true });
    const forwarded = { 'x-forwarded-host': 'app.example', 'x-forwarded-proto': 'https' };
    expect(await requestUpgrade(harness, { ...PAGE, ...forwarded })).toBe(101);
    expect(await requestUpgrade(harness, { ...PAGE, ...forwarded, origin: 'http://app.example' })).toBe(403);
    expect(refusals(harness)).toMatchObject([{ hint: expect.stringMatching(/https/) as string }]);
  });
});

test.each(['capacitor://localhost', 'ionic://localhost', 'app://-', 'tauri://localhost', 'chrome-extension://abcdef'])(
  'the socket of an app of the origin %s is accepted when the origin is allowed, and rejected otherwise',
  async (origin) => {
    expect(await requestUpgrade(await open({ allowedOrigins: [origin] }), { origin })).toBe(101);
    expect(await requestUpgrade(await open({ allowedOrigins: ['https://app.example'] }), { origin })).toBe(403);
  },
);

describe('the log', () => {
  test('names a refused origin once for sockets and once for HTTP, with the setting that helps', async () => {
    const harness = await open();
    for (let again = 0; again < 2; again++) {
      expect(await postFrom(harness, PAGE)).toBeUndefined();
      expect(await requestUpgrade(harness, PAGE)).toBe(403);
    }
    const refused = { level: 'warn', origin: 'https://app.example', host: 'localhost:4000' };
    expect(refusals(harness)).toMatchObject([
      { ...refused, msg: expect.stringMatching(/CORS/) as string },
      { ...refused, msg: expect.stringMatching(/403/) as string },
    ]);
    for (const { hint } of refusals(harness)) expect(hint).toContain('PORCHLIGHT_ALLOWED_ORIGINS');
  });

  test('names a proxy that is not trusted once, whichever transport it forwards', async () => {
    const harness = await open();
    const forwarded = { 'x-forwarded-for': '203.0.113.7' };
    expect(await requestUpgrade(harness, forwarded)).toBe(101);
    await postFrom(harness, forwarded);
    const warnings = harness.logLines.filter((line) => line.includes('"level":"warn"'));
    expect(warnings.map((line) => JSON.parse(line) as LogLine)).toMatchObject([
      { proxy: '127.0.0.1', hint: expect.stringContaining('PORCHLIGHT_TRUST_PROXY') as string },
    ]);
  });

  test('is silent about pages that need no CORS headers, and about allowed origins', async () => {
    const harness = await open({ allowedOrigins: ['https://app.example'], trustProxy: true });
    await postFrom(harness, { origin: new URL(harness.url).origin });
    await postFrom(harness, { ...UPSTREAM, origin: 'https://b.example', 'x-forwarded-host': 'b.example' });
    await postFrom(harness, { ...UPSTREAM, origin: 'https://b.example', 'sec-fetch-site': 'same-origin' });
    await postFrom(harness, {});
    expect(await postFrom(harness, PAGE)).toBe('https://app.example');
    expect(refusals(harness)).toEqual([]);
  });
});
