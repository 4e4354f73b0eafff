/** Where on the network anything may be sent: to the public, and to what the operator has allowed. */
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = readonly [Address, number];

const GLOBAL_UNICAST: Network = [ipaddr.IPv6.parse('2000::'), 3];
const NAT64: Network = [ipaddr.IPv6.parse('64:ff9b::'), 96];
const SIX_TO_FOUR: Network = [ipaddr.IPv6.parse('2002::'), 16];
const TEREDO: Network = [ipaddr.IPv6.parse('2001::'), 32];
const MAPPED_BITS = 96;

export class Addresses {
  readonly #allowed: readonly Network[];

  /** @param allowed networks in CIDR notation that are not public. @throws Error for what is none. */
  constructor(allowed: readonly string[]) {
    this.#allowed = allowed.map((network) => {
      const [address, bits] = ipaddr.parseCIDR(network);
      const plain = unmapped(address);
      return plain === address ? [address, bits] : [plain, Math.max(0, bits - MAPPED_BITS)];
    });
  }

  /** @param address in the notation of `dns.lookup`, or of a URL's host without brackets; for anything else the answer is no. */
  allows(address: string): boolean {
    if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !ipaddr.IPv6.isValid(address)) return false;
    // The library takes ::8.8.8.8, which is no IPv4 address any more, for ::ffff:8.8.8.8: written like this it does not.
    return this.#allows(unmapped(ipaddr.parse(address.replace(/^::(?=[0-9]+\.)/, '::0:'))));
  }

  #allows(address: Address): boolean {
    if (this.#allowed.some((network) => isIn(address, network))) return true;
    if (address instanceof ipaddr.IPv4) return address.range() === 'unicast';
    const within = tunnelledTo(address);
    if (within !== null) return within.every((each) => this.#allows(each));
    // What nobody has been given yet is no address of a receiver.
    return isIn(address, GLOBAL_UNICAST) && address.range() === 'unicast';
  }
}

/** Whatever is sent to a mapped address is sent over IPv4. */
const unmapped = (address: Address): Address =>
  address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;

const isIn = (address: Address, [network, bits]: Network): boolean =>
  address.kind() === network.kind() && address.match([network, bits] as [ipaddr.IPv4 & ipaddr.IPv6, number]);

/** The IPv4 addresses that a packet to this one is carried to; null: it is not carried over IPv4. */
const tunnelledTo = (address: ipaddr.IPv6): readonly ipaddr.IPv4[] | null => {
  const bytes = address.toByteArray();
  const at = (first: number, mask = 0): ipaddr.IPv4 =>
    new ipaddr.IPv4(bytes.slice(first, first + 4).map((byte) => byte ^ mask));
  if (isIn(address, NAT64)) return [at(12)];
  if (isIn(address, SIX_TO_FOUR)) return [at(2)];
  // The server, and the client with all its bits turned around.
  if (isIn(address, TEREDO)) return [at(4), at(12, 0xff)];
  return null;
};
