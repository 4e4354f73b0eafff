/** The configurations of nginx in docs/proxies.md, run by Debian's nginx. */
import { describe } from 'vitest';
import { isMissing } from '../../support/optional-tools.ts';
import { readPageConfiguration, substituteNginx } from './configurations.ts';
import { describeForwarding } from './forwarding.ts';
import { startProxy } from './proxy-process.ts';

const LACKS_NGINX =
  isMissing('nginx', 'the proxy configurations') || isMissing('openssl', 'the proxy configurations over TLS');

const startNginx =
  (path: string) =>
  ({ port: serverPort }: { readonly port: number }) =>
    startProxy('nginx', serverPort, (substitutes) => substituteNginx(readPageConfiguration(path), substitutes));

describe.skipIf(LACKS_NGINX)('nginx with the configuration of the page', () => {
  describeForwarding({
    startProxy: startNginx('/etc/nginx/conf.d/porchlight.conf'),
    scheme: 'https',
    httpVersions: ['1.1', '2'],
    hasWebSockets: true,
  });
});

describe.skipIf(LACKS_NGINX)('nginx with a location and proxy_pass alone, which uses HTTP/1.0', () => {
  describeForwarding({
    startProxy: startNginx('/etc/nginx/conf.d/porchlight-without-websocket.conf'),
    scheme: 'http',
    httpVersions: ['1.1'],
    hasWebSockets: false,
  });
});

describe.skipIf(LACKS_NGINX)('nginx with a path prefix', () => {
  describeForwarding({
    startProxy: startNginx('/etc/nginx/conf.d/porchlight-with-prefix.conf'),
    scheme: 'https',
    httpVersions: ['1.1', '2'],
    hasWebSockets: true,
    prefix: '/presence',
  });
});
