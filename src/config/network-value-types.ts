/** Networks, as an option names them. */
import ipaddr from 'ipaddr.js';
import { boolean, type ValueType } from './value-types.ts';

/** Every address there is. */
const ALL = ['0.0.0.0/0', '::/0'];

/** Networks in CIDR notation, in their shortest form; an address alone is a network of one. None for a no, all for a yes. */
export const privateNetworks: ValueType<readonly string[]> = {
  label: 'networks',
  parse: (input) => {
    const answer = boolean.parse(input);
    if (answer.ok) return { ok: true, value: answer.value ? ALL : [] };
    const networks = input
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map(canonicalNetwork);
    return networks.includes(null)
      ? { ok: false, expected: 'true, false, or a comma-separated list of networks such as 10.1.0.0/16,::1/128' }
      : { ok: true, value: [...new Set(networks.filter((network) => network !== null))] };
  },
  show: (value) => (value.length === ALL.length && ALL.every((network) => value.includes(network)) ? true : value),
};

const canonicalNetwork = (text: string): string | null => {
  const [address = '', , ...more] = text.split('/');
  // The library also takes 10.1, 0x7f000001 and the like for addresses.
  const isPlain = ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address);
  if (!isPlain || more.length > 0) return null;
  if (!text.includes('/')) return canonicalNetwork(`${text}/${address.includes(':') ? 128 : 32}`);
  try {
    const [parsed, bits] = ipaddr.parseCIDR(text);
    return `${parsed.toString()}/${bits}`;
  } catch {
    // Said by what comes back: the number of bits fits no such address.
    return null;
  }
};
