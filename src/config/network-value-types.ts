/** Options that name networks. */
import ipaddr from 'ipaddr.js';
import proxyAddr from 'proxy-addr';
import { z } from 'zod';
import {
  booleanTextSchema,
  defineValueType,
  removeDuplicates,
  SECRET_MASK,
  splitList,
  type ValueType,
} from './value-types.ts';

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

const ORIGINS_EXPECTED = 'a comma-separated list of origins such as https://app.example.com, or *';

/** Schemes whose pages have no origin that could be listed, with the reason. */
const SCHEMES_WITHOUT_ORIGIN: ReadonlyMap<string, string> = new Map([
  ['ws:', 'matches no page: the page that opens a WebSocket has an origin with http or https'],
  ['wss:', 'matches no page: the page that opens a WebSocket has an origin with http or https'],
  ['ftp:', 'matches no page: browsers load no pages by ftp'],
  ['file:', 'matches no request: pages of files send null; load the page from an app scheme such as app://localhost'],
]);

type OriginResult = { readonly origin: string } | { readonly problem: string };

/** Checks one item of a list of origins. @returns the form that is sent: lower case, punycode, without a default port. */
const parseOrigin = (item: string): OriginResult => {
  if (item === '*') return { origin: item };
  if (item.toLowerCase() === 'null') {
    return { problem: 'is the origin of sandboxed frames of every site; to allow every origin, write *' };
  }
  if (/\s/.test(item)) return { problem: 'contains a space; separate origins by commas' };
  if (item.includes('*')) {
    return { problem: 'has a wildcard, which matches nothing; list each origin, or write * alone for every origin' };
  }
  const [, scheme, authority = '', rest = ''] = /^([a-z][a-z0-9+.-]*:)\/\/([^/?#\\]*)(.*)$/i.exec(item) ?? [];
  if (scheme === undefined) return { problem: 'has no scheme; write it with https:// or http:// in front' };
  const reason = SCHEMES_WITHOUT_ORIGIN.get(scheme.toLowerCase());
  if (reason !== undefined) return { problem: reason };
  const text = `${scheme}//${authority}`;
  if (authority === '' || !URL.canParse(text)) return { problem: 'has no valid host' };
  if (authority.includes('@')) return { problem: 'has a user name, which no origin has' };
  // By the URL standard, app schemes (capacitor://localhost) have no origin. Web views send one all the same.
  const parsed = new URL(text).origin;
  const origin = parsed === 'null' ? text.toLowerCase() : parsed;
  return ['', '/'].includes(rest) ? { origin } : { problem: `has more than scheme, host and port; write ${origin}` };
};

/** A URL may contain a password, which must not appear in an error message. */
const quoteOrigin = (item: string): string => JSON.stringify(item.replace(/\/\/.*@/, `//${SECRET_MASK}@`));

/** A comma-separated list of origins. "*" stands for every origin. An empty text is an empty list. */
export const originListType: ValueType<readonly string[]> = defineValueType({
  label: 'origins',
  schema: z.string().transform((input, context): readonly string[] => {
    const origins: string[] = [];
    for (const item of splitList(input)) {
      const result = parseOrigin(item);
      if ('origin' in result) origins.push(result.origin);
      else context.addIssue({ code: 'custom', message: `${ORIGINS_EXPECTED}: ${quoteOrigin(item)} ${result.problem}` });
    }
    return removeDuplicates(origins);
  }),
  formatValue: (value) => value,
});
