/** Options that name networks. */
import ipaddr from 'ipaddr.js';
import proxyAddr from 'proxy-addr';
import { z } from 'zod';
import { booleanTextSchema, defineValueType, removeDuplicates, splitList, type ValueType } from './value-types.ts';

const ALL_NETWORKS = ['0.0.0.0/0', '::/0'];

const NETWORKS_EXPECTED = 'true, false, or a comma-separated list of networks such as 10.1.0.0/16,::1/128';

/**
 * Networks in CIDR notation, in their shortest form. A single address is a network of one address.
 * `false` is an empty list; `true` is every network.
 */
export const networkListType: ValueType<readonly string[]> = defineValueType({
  label: 'networks',
  schema: z.union(
    [
      booleanTextSchema.transform((isEverything) => (isEverything ? ALL_NETWORKS : [])),
      z
        .string()
        .transform((input) => splitList(input).map(canonicalNetwork))
        .pipe(z.array(z.string()))
        .transform(removeDuplicates),
    ],
    { error: NETWORKS_EXPECTED },
  ),
  formatValue: (networks) =>
    networks.length === ALL_NETWORKS.length && ALL_NETWORKS.every((network) => networks.includes(network))
      ? true
      : networks,
});

/** @returns undefined when the text is neither an address nor a network. */
function canonicalNetwork(text: string): string | undefined {
  const [address = '', , ...more] = text.split('/');
  // The library also accepts 10.1, 0x7f000001 and similar forms as addresses.
  const isPlain = ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address);
  if (!isPlain || more.length > 0) return undefined;
  if (!text.includes('/')) return canonicalNetwork(`${text}/${address.includes(':') ? 128 : 32}`);
  try {
    const [parsed, bits] = ipaddr.parseCIDR(text);
    return `${parsed.toString()}/${bits}`;
  } catch {
    // The number of bits does not fit the address.
    return undefined;
  }
}

const PROXIES_EXPECTED =
  'true, false, or a comma-separated list of addresses, networks, loopback, linklocal and uniquelocal, ' +
  'such as 10.0.0.0/8,loopback';

const isProxyList = (proxies: readonly string[]): boolean => {
  try {
    proxyAddr.compile([...proxies]);
    return proxies.length > 0;
  } catch {
    return false;
  }
};

/** `true`: every proxy is trusted. A list: the proxies in these networks are trusted, in the notation of proxy-addr. */
export const trustedProxiesType: ValueType<boolean | readonly string[]> = defineValueType({
  label: 'proxies',
  isFlagValueOptional: true,
  schema: z.union(
    [
      booleanTextSchema,
      z
        .string()
        .transform((input) => removeDuplicates(splitList(input)))
        .refine(isProxyList, { error: PROXIES_EXPECTED }),
    ],
    { error: PROXIES_EXPECTED },
  ),
  formatValue: (value) => value,
});
