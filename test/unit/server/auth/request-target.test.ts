import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { createRequestTargetResolver, isOwnOrigin } from '../../../../src/server/auth/request-target.ts';
import type { TrustedProxies } from '../../../../src/server/limits/client-address.ts';

const PROXIES = ['10.0.0.0/8'];

const resolve = (trusted: TrustedProxies, headers: Record<string, string>, peer = '10.0.0.1') =>
  createRequestTargetResolver(trusted)({
    socket: { remoteAddress: peer },
    headers: { host: 'inner:4000', ...headers },
  } as unknown as IncomingMessage);

describe('the target of a request', () => {
  test('is the header Host alone when the peer is not a trusted proxy', () => {
    const headers = {
      forwarded: 'host=app.example;proto=https',
      'x-forwarded-host': 'app.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '8443',
    };
    const inner = { host: 'inner:4000', port: undefined, scheme: null };
    expect(resolve(false, headers)).toEqual(inner);
    expect(resolve(PROXIES, headers, '203.0.113.7')).toEqual(inner);
  });

  test.each<[TrustedProxies, Record<string, string>, string, string | undefined, string | null]>([
    [PROXIES, {}, 'inner:4000', undefined, null],
    [PROXIES, { 'x-forwarded-host': 'app.example' }, 'app.example', undefined, null],
    [PROXIES, { 'x-forwarded-host': '' }, 'inner:4000', undefined, null],
    // The outermost proxy wrote the first entry.
    [PROXIES, { 'x-forwarded-host': 'app.example, edge.internal' }, 'app.example', undefined, null],
    [PROXIES, { 'x-forwarded-proto': 'https, http' }, 'inner:4000', undefined, 'https'],
    // Some proxies name the scheme of a WebSocket.
    [PROXIES, { 'x-forwarded-proto': 'WSS' }, 'inner:4000', undefined, 'https'],
    [PROXIES, { 'x-forwarded-proto': 'ws' }, 'inner:4000', undefined, 'http'],
    [PROXIES, { 'x-forwarded-proto': 'gopher' }, 'inner:4000', undefined, null],
    [PROXIES, { 'x-forwarded-port': '8443' }, 'inner:4000', '8443', null],
    [PROXIES, { forwarded: 'for=198.51.100.1;host=app.example;proto=https' }, 'app.example', undefined, 'https'],
    [PROXIES, { forwarded: 'host="app.example:8443"' }, 'app.example:8443', undefined, null],
    [PROXIES, { forwarded: 'host="[2001:db8::1]:8443"' }, '[2001:db8::1]:8443', undefined, null],
    // An element counts if a trusted proxy wrote it. The leftmost of these with the parameter is used.
    [
      PROXIES,
      { forwarded: 'for=192.0.2.66;host=forged.example, for=198.51.100.1;host=app.example, for=10.0.0.2' },
      'app.example',
      undefined,
      null,
    ],
    [PROXIES, { forwarded: 'host=forged.example, for=198.51.100.1;proto=https' }, 'inner:4000', undefined, 'https'],
    [true, { forwarded: 'host=app.example, for=198.51.100.1;host=other.example' }, 'app.example', undefined, null],
    // An unquoted port is invalid.
    [PROXIES, { forwarded: 'host=app.example:8443' }, 'inner:4000', undefined, null],
    // Both families must agree.
    [PROXIES, { forwarded: 'host=app.example', 'x-forwarded-host': 'APP.example' }, 'app.example', undefined, null],
    [PROXIES, { forwarded: 'host=app.example', 'x-forwarded-host': 'b.example' }, 'inner:4000', undefined, null],
    [PROXIES, { forwarded: 'proto=https', 'x-forwarded-proto': 'http' }, 'inner:4000', undefined, null],
    [PROXIES, { forwarded: 'proto=https', 'x-forwarded-host': 'app.example' }, 'app.example', undefined, 'https'],
  ])('with the trusted proxies %j and the headers %j has the host %s', (trusted, headers, host, port, scheme) => {
    expect(resolve(trusted, headers)).toEqual({ host, port, scheme });
  });
});

describe('an origin is the server’s own', () => {
  const target = (host: string | undefined, scheme: 'http' | 'https' | null = null, port?: string) => ({
    host,
    scheme,
    port,
  });

  test.each([
    ['http://app.example', target('app.example')],
    ['https://app.example', target('app.example')],
    ['https://app.example', target('APP.example:443')],
    ['http://app.example', target('app.example:80')],
    ['https://app.example:8443', target('app.example:8443')],
    ['https://app.example:8443', target('app.example', 'https', '8443')],
    ['https://app.example', target('app.example', 'https', '443')],
    // A proxy behind the one that terminates TLS reports its own port and scheme.
    ['https://app.example', target('app.example', 'http', '80')],
    ['https://app.example', target('app.example:80', 'https', '443')],
    ['http://[2001:db8::1]:4000', target('[2001:DB8:0::1]:4000')],
    ['https://[::1]', target('[::1]:443')],
    ['https://xn--bcher-kva.example', target('xn--bcher-kva.example')],
    ['https://xn--bcher-kva.example', target('bücher.example')],
    // Apollo iOS 1 sends the address of the server.
    ['ws://app.example:4000', target('app.example:4000')],
    ['wss://app.example', target('app.example', 'https')],
    ['WSS://app.example', target('app.example:443')],
  ])('if it is %s and the target is %j', (origin, seen) => {
    expect(isOwnOrigin(origin, seen)).toBe(true);
  });

  test.each([
    ['https://app.example', target(undefined)],
    ['https://app.example', target('')],
    ['https://app.example', target('inner:4000')],
    ['https://app.example', target('app.example:80')],
    ['https://app.example:8443', target('app.example')],
    ['https://app.example:8443', target('app.example', 'https', '9443')],
    ['https://app.example.evil.example', target('app.example')],
    ['https://evil.example', target('app.example', 'https', '443@evil.example')],
    // The page was loaded without TLS, the server is reached by TLS.
    ['http://app.example', target('app.example', 'https')],
    ['http://app.example:443', target('app.example', 'https', '443')],
    ['null', target('null')],
    ['file://', target('app.example')],
    ['capacitor://app.example', target('app.example')],
    ['wss://app.example.evil.example', target('app.example')],
    ['ws://app.example', target('app.example', 'https')],
    ['wsss://app.example', target('app.example')],
    ['xws://app.example', target('app.example')],
    ['chrome-extension://app.example', target('app.example')],
    ['nonsense', target('nonsense')],
    ['', target('')],
  ])('not if it is %s and the target is %j', (origin, seen) => {
    expect(isOwnOrigin(origin, seen)).toBe(false);
  });
});
