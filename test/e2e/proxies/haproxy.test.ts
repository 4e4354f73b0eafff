/** The configurations of HAProxy in docs/proxies.md, run by Debian's HAProxy. */
import { describe } from 'vitest';
import { isMissing } from '../../support/optional-tools.ts';
import { readPageConfiguration, substituteHaproxy } from './configurations.ts';
import { describeForwarding } from './forwarding.ts';
import { startProxy } from './proxy-process.ts';

const LACKS_HAPROXY =
  isMissing('haproxy', 'the proxy configurations') || isMissing('openssl', 'the proxy configurations over TLS');

/** Over HTTP/1.1, HAProxy notices that a client is gone when it forwards the next comment. */
const PING_INTERVAL = '1s';

const startHaproxy =
  (path: string) =>
  ({ port: serverPort }: { readonly port: number }) =>
    startProxy('haproxy', serverPort, (substitutes) => substituteHaproxy(readPageConfiguration(path), substitutes));

describe.skipIf(LACKS_HAPROXY)('HAProxy with the configuration of the page', () => {
  describeForwarding({
    startProxy: startHaproxy('/etc/haproxy/haproxy.cfg'),
    scheme: 'https',
    httpVersions: ['1.1', '2'],
    hasWebSockets: true,
    pingInterval: PING_INTERVAL,
  });
});

describe.skipIf(LACKS_HAPROXY)('HAProxy with a path prefix', () => {
  describeForwarding({
    startProxy: startHaproxy('/etc/haproxy/haproxy-with-prefix.cfg'),
    scheme: 'https',
    httpVersions: ['1.1', '2'],
    hasWebSockets: true,
    pingInterval: PING_INTERVAL,
    prefix: '/presence',
  });
});
