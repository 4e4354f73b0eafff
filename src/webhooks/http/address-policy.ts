/** Decides which IP addresses webhooks may be sent to: public ones, and those that the operator allows. */
import ipaddr from 'ipaddr.js';

type IpAddress = ipaddr.IPv4 | ipaddr.IPv6;
type IpNetwork = readonly [address: IpAddress, prefixBits: number];

const GLOBAL_UNICAST: IpNetwork = [ipaddr.IPv6.parse('2000::'), 3];
const NAT64: IpNetwork = [ipaddr.IPv6.parse('64:ff9b::'), 96];
const SIX_TO_FOUR: IpNetwork = [ipaddr.IPv6.parse('2002::'), 16];
const TEREDO: IpNetwork = [ipaddr.IPv6.parse('2001::'), 32];
const IPV4_MAPPED_PREFIX_BITS = 96;

export class AddressPolicy {
  readonly #allowedNetworks: readonly IpNetwork[];

  /** @param allowedNetworks private networks in CIDR notation. @throws Error for an invalid one. */
  constructor(allowedNetworks: readonly string[]) {
    this.#allowedNetworks = allowedNetworks.map((network) => {
      const [address, prefixBits] = ipaddr.parseCIDR(network);
      const plain = unmapIpv4(address);
      return plain === address ? [address, prefixBits] : [plain, Math.max(0, prefixBits - IPV4_MAPPED_PREFIX_BITS)];
    });
  }

  /** @param address as `dns.lookup` returns it, or a URL's host without brackets. @returns false for any other text. */
  allowsAddress(address: string): boolean {
    if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !ipaddr.IPv6.isValid(address)) return false;
    // ipaddr.js reads ::8.8.8.8, which is not an IPv4-mapped address, as ::ffff:8.8.8.8. It reads ::0:8.8.8.8 correctly.
    return this.#allowsParsed(unmapIpv4(ipaddr.parse(address.replace(/^::(?=[0-9]+\.)/, '::0:'))));
  }

  #allowsParsed(address: IpAddress): boolean {
    if (this.#allowedNetworks.some((network) => isInNetwork(address, network))) return true;
    if (address instanceof ipaddr.IPv4) return address.range() === 'unicast';
    const embedded = embeddedIpv4Addresses(address);
    if (embedded !== null) return embedded.every((ipv4) => this.#allowsParsed(ipv4));
    // Addresses outside the global unicast range are not assigned to hosts.
    return isInNetwork(address, GLOBAL_UNICAST) && address.range() === 'unicast';
  }
}

/** Packets to an IPv4-mapped address are sent over IPv4. */
const unmapIpv4 = (address: IpAddress): IpAddress =>
  address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;

const isInNetwork = (address: IpAddress, [network, prefixBits]: IpNetwork): boolean =>
  address.kind() === network.kind() && address.match([network, prefixBits] as [ipaddr.IPv4 & ipaddr.IPv6, number]);

/** The IPv4 addresses that a tunnel forwards packets for `address` to; null: it belongs to no known tunnel. */
const embeddedIpv4Addresses = (address: ipaddr.IPv6): readonly ipaddr.IPv4[] | null => {
  const bytes = address.toByteArray();
  const ipv4At = (offset: number, xorMask = 0): ipaddr.IPv4 =>
    new ipaddr.IPv4(bytes.slice(offset, offset + 4).map((byte) => byte ^ xorMask));
  if (isInNetwork(address, NAT64)) return [ipv4At(12)];
  if (isInNetwork(address, SIX_TO_FOUR)) return [ipv4At(2)];
  // The address of the Teredo server, and that of the client with all bits inverted.
  if (isInNetwork(address, TEREDO)) return [ipv4At(4), ipv4At(12, 0xff)];
  return null;
};
