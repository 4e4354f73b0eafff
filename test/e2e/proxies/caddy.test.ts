/** The configuration of Caddy in docs/proxies.md, run by Debian's Caddy. */
import { describe } from 'vitest';
import { isMissing } from '../../support/optional-tools.ts';
import { readPageConfiguration, substituteCaddy } from './configurations.ts';
import { describeForwarding } from './forwarding.ts';
import { startProxy } from './proxy-process.ts';

const LACKS_CADDY =
  isMissing('caddy', 'the proxy configurations') || isMissing('openssl', 'the proxy configurations over TLS');

describe.skipIf(LACKS_CADDY)('Caddy with the configuration of the page', () => {
  describeForwarding({
    startProxy: ({ port }) =>
      startProxy('caddy', port, (substitutes) =>
        substituteCaddy(readPageConfiguration('/etc/caddy/Caddyfile'), substitutes),
      ),
    scheme: 'https',
    httpVersions: ['1.1', '2'],
    hasWebSockets: true,
  });
});
