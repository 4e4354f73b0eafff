/** The ranges of RFC 6890 and its successors, each with its first and its last address. */
import { describe, expect, it } from 'vitest';
import { AddressPolicy } from '../../../../src/webhooks/http/address-policy.ts';

const NOT_PUBLIC: readonly (readonly [what: string, ...addresses: string[]])[] = [
  ['this network', '0.0.0.0', '0.0.0.1', '0.255.255.255'],
  ['private', '10.0.0.0', '10.255.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255'],
  ['shared address space of RFC 6598', '100.64.0.0', '100.127.255.255'],
  ['loopback', '127.0.0.0', '127.0.0.1', '127.255.255.255'],
  ['link-local, with the metadata of clouds', '169.254.0.0', '169.254.169.254', '169.254.255.255'],
  ['protocol assignments', '192.0.0.0', '192.0.0.8', '192.0.0.170', '192.0.0.255'],
  ['documentation', '192.0.2.0', '192.0.2.255', '198.51.100.0', '198.51.100.255', '203.0.113.0', '203.0.113.255'],
  ['relays of 6to4', '192.88.99.0', '192.88.99.255'],
  ['benchmarks', '198.18.0.0', '198.19.255.255'],
  ['multicast', '224.0.0.0', '224.0.0.1', '239.255.255.255'],
  ['reserved', '240.0.0.0', '255.255.255.254'],
  ['broadcast', '255.255.255.255'],
  ['unspecified', '::', '0:0:0:0:0:0:0:0'],
  ['loopback of IPv6', '::1'],
  ['IPv4-compatible', '::7f00:1', '::8.8.8.8', '::10.0.0.1'],
  ['link-local of IPv6', 'fe80::', 'fe80::1', 'fe80::1%eth0', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['unique local', 'fc00::', 'fc00::1', 'fd00:ec2::254', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['site-local', 'fec0::', 'fec0::1', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['multicast of IPv6', 'ff00::', 'ff02::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['mapped', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:169.254.169.254', '::ffff:0.0.0.0'],
  ['translated', '::ffff:0:127.0.0.1', '::ffff:0:8.8.8.8'],
  ['NAT64 of what is not public', '64:ff9b::7f00:1', '64:ff9b::10.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b::'],
  ['NAT64 of one’s own network', '64:ff9b:1::7f00:1', '64:ff9b:1::8.8.8.8', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  [
    '6to4 of what is not public',
    '2002:7f00:1::',
    '2002:7f00:1::1',
    '2002:a00:1:5::8',
    '2002:c0a8:1::',
    '2002:a9fe:a9fe::',
  ],
  [
    'Teredo of what is not public',
    // The client is 192.0.2.45, then 127.0.0.1; in the third the server is 10.0.0.1.
    '2001:0:4136:e378:8000:63bf:3fff:fdd2',
    '2001:0:4136:e378:8000:63bf:80ff:fffe',
    '2001:0:a00:1:8000:63bf:f7f7:f7f7',
    '2001::',
  ],
  ['protocol assignments of IPv6', '2001:1::1', '2001:2::1', '2001:10::1', '2001:20::1', '2001:1ff:ffff::1'],
  [
    'documentation of IPv6',
    '2001:db8::',
    '2001:db8::1',
    '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
    '3fff::1',
    '3fff:fff::1',
  ],
  ['discard', '100::', '100::1', '100::ffff:ffff:ffff:ffff', '100:0:0:1::'],
  [
    'unassigned',
    '200::1',
    '400::1',
    '1000::1',
    '1fff::1',
    '4000::1',
    '5f00::1',
    '8000::1',
    'a000::1',
    'e000::1',
    'fe00::1',
  ],
];

const PUBLIC = [
  '1.1.1.1',
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '169.253.255.255',
  '169.255.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.0.1.0',
  '192.167.255.255',
  '192.169.0.0',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
  '2001:200::1',
  '2001:4860:4860::8888',
  '2606:4700::1111',
  '2a00::1',
  '3ffe::1',
  '::ffff:8.8.8.8',
  '::ffff:808:808',
  '64:ff9b::8.8.8.8',
  '2002:808:808::1',
  // The server is 65.54.227.120, the client 8.8.8.8.
  '2001:0:4136:e378:8000:63bf:f7f7:f7f7',
];

describe('without allowed networks', () => {
  const addresses = new AddressPolicy([]);

  it.each(NOT_PUBLIC)('rejects the addresses of: %s', (_what, ...those) => {
    for (const address of those) expect(addresses.allowsAddress(address), address).toBe(false);
  });

  it.each(PUBLIC)('allows the public address %s', (address) => {
    expect(addresses.allowsAddress(address)).toBe(true);
  });

  it.each([
    '',
    'localhost',
    '10.1',
    '0x8.8.8.8',
    '010.8.8.8',
    '134744072',
    '8.8.8',
    '8.8.8.8.',
    '[::1]',
    '8.8.8.8/32',
    '8.8.8.256',
    'x',
  ])('rejects %j, which is not an address', (text) => {
    expect(addresses.allowsAddress(text)).toBe(false);
  });
});

describe('with allowed networks', () => {
  const addresses = new AddressPolicy(['10.1.0.0/16', 'fd00:1::/32', '127.0.0.1/32', '::ffff:172.16.0.0/112']);

  it.each([
    '10.1.0.0',
    '10.1.255.255',
    '127.0.0.1',
    'fd00:1::1',
    '172.16.255.255',
    '8.8.8.8',
    '2606:4700::1111',
    // The same hosts in other notations.
    '::ffff:10.1.2.3',
    '::ffff:172.16.0.1',
    '64:ff9b::10.1.2.3',
    '2002:a01:203::1',
  ])('allows %s, which is in a network or public', (address) => {
    expect(addresses.allowsAddress(address)).toBe(true);
  });

  it.each([
    '10.0.255.255',
    '10.2.0.0',
    '127.0.0.2',
    '::1',
    'fd00:2::1',
    '172.17.0.0',
    '::ffff:10.2.0.0',
    '64:ff9b::10.2.0.1',
    '169.254.169.254',
  ])('rejects %s, which is in no network and not public', (address) => {
    expect(addresses.allowsAddress(address)).toBe(false);
  });

  it('allows all addresses with 0.0.0.0/0 and ::/0', () => {
    const all = new AddressPolicy(['0.0.0.0/0', '::/0']);
    for (const [, ...those] of NOT_PUBLIC)
      for (const address of those) expect(all.allowsAddress(address), address).toBe(true);
    const four = new AddressPolicy(['0.0.0.0/0']);
    expect(four.allowsAddress('127.0.0.1')).toBe(true);
    expect(four.allowsAddress('::1')).toBe(false);
    const six = new AddressPolicy(['::/0']);
    expect(six.allowsAddress('::1')).toBe(true);
    expect(six.allowsAddress('127.0.0.1')).toBe(false);
    expect(six.allowsAddress('::ffff:127.0.0.1')).toBe(false);
  });

  it('rejects invalid networks', () => {
    expect(() => new AddressPolicy(['10.0.0.0/33'])).toThrow();
    expect(() => new AddressPolicy(['somewhere'])).toThrow();
  });
});
