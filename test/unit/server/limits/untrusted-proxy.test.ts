import type { IncomingMessage } from 'node:http';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createClientAddressResolver, type TrustedProxies } from '../../../../src/server/limits/client-address.ts';
import { warnOfUntrustedProxy } from '../../../../src/server/limits/untrusted-proxy.ts';

/** Resolves the addresses of requests with these peers and headers. Returns the addresses and the logged proxies. */
const resolveAll = (
  trusted: TrustedProxies,
  requests: readonly (readonly [peer: string | undefined, headers: Record<string, string>])[],
) => {
  const lines: { proxy?: string; level?: number }[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line) as object) });
  const resolve = warnOfUntrustedProxy(createClientAddressResolver(trusted), trusted, log);
  const addresses = requests.map(([remoteAddress, headers]) =>
    resolve({ socket: { remoteAddress }, headers } as unknown as IncomingMessage),
  );
  return { addresses, proxies: lines.map(({ proxy }) => proxy) };
};

const FORWARDED = { 'x-forwarded-for': '198.51.100.1' };

describe('a peer that is not trusted', () => {
  test.each([
    ['::ffff:127.0.0.1', FORWARDED, '127.0.0.1'],
    ['::1', FORWARDED, '::1'],
    ['10.1.2.3', { forwarded: 'for=198.51.100.1' }, '10.1.2.3'],
    ['192.168.0.9', FORWARDED, '192.168.0.9'],
    ['100.64.0.1', FORWARDED, '100.64.0.1'],
    ['fd00::9', FORWARDED, 'fd00::9'],
  ])('is logged once when it is %s and sends %j', (peer, headers, proxy) => {
    for (const trusted of [false, ['172.16.0.0/12']]) {
      expect(
        resolveAll(trusted, [
          [peer, headers],
          [peer, headers],
          ['10.9.9.9', headers],
        ]),
      ).toEqual({ addresses: [proxy, proxy, '10.9.9.9'], proxies: [proxy] });
    }
  });

  test('is not logged when it reports no client, or has an address of the internet', () => {
    const requests = [
      ['10.0.0.1', {}],
      ['203.0.113.7', FORWARDED],
      ['2001:db8::1', FORWARDED],
      [undefined, FORWARDED],
    ] as const;
    expect(resolveAll(false, requests).proxies).toEqual([]);
  });

  test('is not logged when it is trusted after all', () => {
    for (const trusted of [true, ['10.0.0.0/8']]) {
      expect(resolveAll(trusted, [['10.0.0.1', FORWARDED]])).toEqual({ addresses: ['198.51.100.1'], proxies: [] });
    }
  });
});
