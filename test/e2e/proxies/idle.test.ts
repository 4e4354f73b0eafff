/**
 * Streams and sockets on which nothing happens, behind proxies that close idle connections. With
 * PORCHLIGHT_TEST_IDLE=stock (`npm run test:idle`) the timeouts are those of docs/proxies.md, and the tests take minutes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isMissing } from '../../support/optional-tools.ts';
import { GraphqlSocket } from '../../support/porchlight-client.ts';
import { startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { delay, RETRY_AFTER_STALL } from '../support/stopwatch.ts';
import {
  readPageConfiguration,
  replaceIn,
  substituteHaproxy,
  substituteNginx,
  type Substitutes,
} from './configurations.ts';
import { FEED } from './forwarding.ts';
import { openSocket, openStream, type Target } from './http-client.ts';
import { startProxy, type Proxy } from './proxy-process.ts';

interface Times {
  /** Idle timeout of the proxies in seconds; null: as on the page, and 60 s for nginx, its default. */
  readonly proxyTimeoutS: number | null;
  /** PORCHLIGHT_PING_INTERVAL; undefined: the default. */
  readonly pingInterval: string | undefined;
  readonly idleMs: number;
}

const SHORT: Times = { proxyTimeoutS: 5, pingInterval: '1s', idleMs: 10_000 };
const STOCK: Times = { proxyTimeoutS: null, pingInterval: undefined, idleMs: 150_000 };
const TIMES = process.env.PORCHLIGHT_TEST_IDLE === 'stock' ? STOCK : SHORT;
/** In which a proxy must have closed an idle connection. */
const CUT_WITHIN_MS = (TIMES.proxyTimeoutS ?? 60) * 1_000 * 2 + 10_000;

const addNginxTimeout = (configuration: string): string =>
  TIMES.proxyTimeoutS === null
    ? configuration
    : replaceIn(
        configuration,
        'proxy_http_version 1.1;',
        `proxy_http_version 1.1;\n    proxy_read_timeout ${TIMES.proxyTimeoutS}s;`,
      );

/** Without `timeout tunnel`, which is an hour: the shorter timeouts then apply to WebSockets too. */
const shortenHaproxyTimeouts = (configuration: string): string => {
  const withoutTunnel = replaceIn(configuration, '  timeout tunnel 1h\n', '');
  if (TIMES.proxyTimeoutS === null) return withoutTunnel;
  const withClient = replaceIn(withoutTunnel, 'timeout client 60s', `timeout client ${TIMES.proxyTimeoutS}s`);
  return replaceIn(withClient, 'timeout server 60s', `timeout server ${TIMES.proxyTimeoutS}s`);
};

const PROXIES: Readonly<Record<'nginx' | 'haproxy', (substitutes: Substitutes) => string>> = {
  nginx: (substitutes) =>
    addNginxTimeout(substituteNginx(readPageConfiguration('/etc/nginx/conf.d/porchlight.conf'), substitutes)),
  haproxy: (substitutes) =>
    shortenHaproxyTimeouts(substituteHaproxy(readPageConfiguration('/etc/haproxy/haproxy.cfg'), substitutes)),
};

const LACKS_OPENSSL = isMissing('openssl', 'idle streams behind proxies');

describe.each(['nginx', 'haproxy'] as const)('behind %s, idle for longer than its timeout', (software) => {
  const isSkipped = isMissing(software, 'idle streams behind proxies') || LACKS_OPENSSL;

  describe.skipIf(isSkipped)('with pings', { timeout: TIMES.idleMs + 60_000, ...RETRY_AFTER_STALL }, () => {
    const { server, targetOf } = startBoth(software, TIMES.pingInterval);

    test.concurrent.each(['1.1', '2'] as const)('an event stream over HTTP/%s stays open', async (httpVersion) => {
      const stream = await openStream(targetOf(httpVersion), 'POST', { token: server().apiKey, query: FEED });
      await expectStaysOpen(stream.ended);
      expect(stream.blocks.all.length).toBeGreaterThan(2);
      expect(new Set(stream.blocks.all)).toEqual(new Set([':']));
      await stream[Symbol.asyncDispose]();
    });

    test.concurrent('a WebSocket stays open', async () => {
      const socket = await openSocket(targetOf('1.1'), server().apiKey);
      let pings = 0;
      socket.ws.on('ping', () => pings++);
      await expectStaysOpen(socket.closed);
      expect(pings).toBeGreaterThan(2);
      await socket.close();
    });

    test.concurrent('a WebSocket without connection_init is closed by the server with 4408', async () => {
      const { origin, ca } = targetOf('1.1');
      expect((await new GraphqlSocket({ origin }, { ca }).closed).code).toBe(4408);
    });
  });

  // Shows that the tests above can fail, and measures the timeouts of the proxies.
  describe.skipIf(isSkipped)('without pings', { timeout: CUT_WITHIN_MS + 30_000 }, () => {
    const { server, targetOf } = startBoth(software, '10m');

    test.concurrent.each(['1.1', '2'] as const)('an event stream over HTTP/%s is cut', async (httpVersion) => {
      const openedAt = performance.now();
      const stream = await openStream(targetOf(httpVersion), 'POST', { token: server().apiKey, query: FEED });
      report(`an idle event stream over HTTP/${httpVersion}`, (await stream.ended) - openedAt);
    });

    test.concurrent('a WebSocket is cut', async () => {
      const openedAt = performance.now();
      const socket = await openSocket(targetOf('1.1'), server().apiKey);
      const { code, at } = await socket.closed;
      expect(code).toBe(1006);
      report('an idle WebSocket', at - openedAt);
    });

    const report = (what: string, ms: number): void => {
      if (TIMES === STOCK) console.info(`${software} cut ${what} after ${(ms / 1_000).toFixed(1)} s`);
    };
  });
});

const expectStaysOpen = async (ended: Promise<unknown>): Promise<void> => {
  const outcome = await Promise.race([ended.then(() => 'closed'), delay(TIMES.idleMs).then(() => 'open')]);
  expect(outcome).toBe('open');
};

interface Started {
  readonly server: () => PorchlightProcess;
  readonly targetOf: (httpVersion: Target['httpVersion']) => Target;
}

/** Starts Porchlight and a proxy before the tests, and stops both after them. */
function startBoth(software: keyof typeof PROXIES, pingInterval: string | undefined): Started {
  let server: PorchlightProcess;
  let proxy: Proxy;
  beforeAll(async () => {
    server = await startPorchlight({ env: { PORCHLIGHT_PING_INTERVAL: pingInterval } });
    proxy = await startProxy(software, server.port, PROXIES[software]);
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });
  return {
    server: () => server,
    targetOf: (httpVersion) => ({ origin: `https://127.0.0.1:${proxy.port}`, ca: proxy.ca, httpVersion }),
  };
}
