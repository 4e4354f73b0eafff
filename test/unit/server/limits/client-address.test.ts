import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import {
  createClientAddressResolver,
  createProxyMatcher,
  computeNetworkPrefix,
  type TrustedProxies,
} from '../../../../src/server/limits/client-address.ts';

interface SentHeaders {
  readonly xForwardedFor?: string | undefined;
  readonly forwarded?: string | undefined;
}

/** Resolves the client address of a request from `peer` with these headers. */
const resolve = (
  trusted: TrustedProxies,
  peer: string | undefined,
  { xForwardedFor, forwarded }: SentHeaders = {},
): string | null =>
  createClientAddressResolver(trusted)({
    socket: { remoteAddress: peer },
    headers: {
      ...(xForwardedFor === undefined ? {} : { 'x-forwarded-for': xForwardedFor }),
      ...(forwarded === undefined ? {} : { forwarded }),
    },
  } as unknown as IncomingMessage);

describe('the client address', () => {
  test.each<[TrustedProxies, string | undefined, string | undefined, string | null]>([
    // Without trusted proxies, the header is ignored.
    [false, '203.0.113.7', '198.51.100.1', '203.0.113.7'],
    [false, '::ffff:203.0.113.7', undefined, '203.0.113.7'],
    [false, undefined, undefined, null],
    // With true, the leftmost entry is used.
    [true, '10.0.0.1', '198.51.100.1, 10.0.0.2', '198.51.100.1'],
    [true, '10.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
    [true, '10.0.0.1', 'unknown, 198.51.100.1', '10.0.0.1'],
    [true, '10.0.0.1', undefined, '10.0.0.1'],
    // With a list, the rightmost address that is not a trusted proxy is used.
    [['10.0.0.0/8'], '10.0.0.1', '198.51.100.1', '198.51.100.1'],
    [['10.0.0.0/8'], '10.0.0.1', '192.0.2.66, 198.51.100.1, 10.0.0.2', '198.51.100.1'],
    [['10.0.0.0/8'], '203.0.113.7', '198.51.100.1', '203.0.113.7'],
    [['10.0.0.0/8'], '::ffff:10.0.0.1', '198.51.100.1', '198.51.100.1'],
    [['10.0.0.0/8'], '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    [['10.0.0.0/8'], '10.0.0.1', '198.51.100.1:4711, 10.0.0.2:80', '198.51.100.1'],
    [['10.0.0.0/8'], '10.0.0.1', '198.51.100.1, unknown', '10.0.0.1'],
    [['10.0.0.0/8'], '10.0.0.1', undefined, '10.0.0.1'],
    [['10.0.0.0/8'], undefined, '198.51.100.1', null],
    [['loopback', '192.0.2.1'], '::1', '198.51.100.1, 192.0.2.1', '198.51.100.1'],
    [['2001:db8::/32'], '2001:db8::9', '198.51.100.1', '198.51.100.1'],
  ])(
    'with the trusted proxies %j, the peer %s and X-Forwarded-For %j is %s',
    (trusted, peer, xForwardedFor, address) => {
      expect(resolve(trusted, peer, { xForwardedFor })).toBe(address);
    },
  );

  const PROXIES = ['10.0.0.0/8', '2001:db8:ffff::/48'];

  test.each<[TrustedProxies, string, string, string]>([
    // Without trusted proxies, or from another peer, the header is ignored.
    [false, '203.0.113.7', 'for=198.51.100.1', '203.0.113.7'],
    [PROXIES, '203.0.113.7', 'for=198.51.100.1', '203.0.113.7'],
    // With true, the leftmost element is used.
    [true, '10.0.0.1', 'for=198.51.100.1, for=10.0.0.2', '198.51.100.1'],
    [true, '10.0.0.1', 'for=unknown, for=198.51.100.1', '10.0.0.1'],
    // With a list, the rightmost address that is not a trusted proxy is used.
    [PROXIES, '10.0.0.1', 'for=198.51.100.1;proto=https;by=10.0.0.1', '198.51.100.1'],
    [PROXIES, '10.0.0.1', 'For="198.51.100.1:4711"', '198.51.100.1'],
    [PROXIES, '10.0.0.1', 'for="198.51.100.1:_port-1.a"', '198.51.100.1'],
    [PROXIES, '10.0.0.1', 'for="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    [PROXIES, '10.0.0.1', 'for="[2001:db8:cafe::17]"', '2001:db8:cafe::17'],
    [PROXIES, '10.0.0.1', 'for="[::ffff:198.51.100.1]"', '198.51.100.1'],
    [PROXIES, '10.0.0.1', 'for=192.0.2.66, for=198.51.100.1, for=10.0.0.2', '198.51.100.1'],
    [PROXIES, '2001:db8:ffff::1', 'for=198.51.100.1, for="[2001:db8:ffff::2]:80"', '198.51.100.1'],
    [PROXIES, '10.0.0.1', 'for=10.0.0.3, for=10.0.0.2', '10.0.0.3'],
    // What is not an address ends the search at the proxy that hides it.
    [PROXIES, '10.0.0.1', 'for=_hidden', '10.0.0.1'],
    [PROXIES, '10.0.0.1', 'for=unknown', '10.0.0.1'],
    [PROXIES, '10.0.0.1', 'for=198.51.100.1, for=_hidden, for=10.0.0.2', '10.0.0.2'],
    [PROXIES, '10.0.0.1', 'for=198.51.100.1, proto=https', '10.0.0.1'],
    [PROXIES, '10.0.0.1', 'for=', '10.0.0.1'],
    // An invalid header is ignored as a whole: an IPv6 address and a port need quotes.
    [PROXIES, '10.0.0.1', 'for=[2001:db8:cafe::17]', '10.0.0.1'],
    [PROXIES, '10.0.0.1', 'for=198.51.100.1:80', '10.0.0.1'],
    [PROXIES, '10.0.0.1', 'for="192.0.2.66, for=198.51.100.1', '10.0.0.1'],
    [PROXIES, '10.0.0.1', 'for=198.51.100.1;host="a";for="192.0.2.66"', '10.0.0.1'],
    [PROXIES, '10.0.0.1', 'for=198.51.100.1;For=198.51.100.1', '10.0.0.1'],
    [PROXIES, '10.0.0.1', 'x="for=1;for=2, for=3\\"";for=198.51.100.1', '198.51.100.1'],
    [PROXIES, '10.0.0.1', '__proto__=x;for=198.51.100.1', '198.51.100.1'],
    [PROXIES, '10.0.0.1', '', '10.0.0.1'],
  ])('with the trusted proxies %j, the peer %s and Forwarded %j is %s', (trusted, peer, forwarded, address) => {
    expect(resolve(trusted, peer, { forwarded })).toBe(address);
  });

  test.each<[string, string, string]>([
    ['198.51.100.1', 'for=198.51.100.1', '198.51.100.1'],
    ['192.0.2.66, 198.51.100.1', 'for=198.51.100.1', '198.51.100.1'],
    ['2001:DB8:cafe:0::17', 'for="[2001:db8:cafe::17]"', '2001:db8:cafe::17'],
    // One of the headers is the client's own, and the server cannot know which one.
    ['198.51.100.1', 'for=192.0.2.66', '10.0.0.1'],
    ['198.51.100.1', 'for=_hidden', '10.0.0.1'],
    ['unknown', 'for=192.0.2.66', '10.0.0.1'],
    ['198.51.100.1', 'for=192.0.2.66:80', '198.51.100.1'],
  ])('with X-Forwarded-For %j and Forwarded %j together is %s', (xForwardedFor, forwarded, address) => {
    expect(resolve(PROXIES, '10.0.0.1', { xForwardedFor, forwarded })).toBe(address);
  });

  test('a list with an invalid item is rejected', () => {
    expect(() => createClientAddressResolver(['10.0.0.0/33'])).toThrow(TypeError);
  });
});

test('a peer is a trusted proxy if its address is in the list', () => {
  const isTrusted = createProxyMatcher(['10.0.0.0/8']);
  expect([isTrusted('10.1.2.3'), isTrusted('203.0.113.7'), isTrusted(null)]).toEqual([true, false, false]);
  expect([createProxyMatcher(true)('203.0.113.7'), createProxyMatcher(false)('10.1.2.3')]).toEqual([true, false]);
});

describe('the network by which an address is counted', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1::', '2001:db8:1:0::/64'],
    ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ])('of %s is %s', (address, network) => {
    expect(computeNetworkPrefix(address)).toBe(network);
  });

  test('is the same for all unknown addresses', () => {
    expect(computeNetworkPrefix(null)).toBe('unknown');
  });
});
