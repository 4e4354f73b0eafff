/** Finds the host and scheme to which a client sent its request, also behind trusted proxies. */
import type { IncomingMessage } from 'node:http';
import { createProxyMatcher, getPeerAddress, type TrustedProxies } from '../limits/client-address.ts';
import {
  countTrustedEntries,
  readForwardedElements,
  splitHeader,
  type ForwardedElement,
} from '../limits/forwarded-header.ts';

export interface RequestTarget {
  /** As in the header `Host`, with an optional port. Undefined when no header names it. */
  readonly host: string | undefined;
  /** The port that a proxy reports beside the host. It may be wrong behind several proxies. */
  readonly port: string | undefined;
  /** Null: not reported. This server never sees TLS itself. */
  readonly scheme: 'http' | 'https' | null;
}

export type RequestTargetResolver = (request: IncomingMessage) => RequestTarget;

/**
 * Returns a resolver. Headers of proxies are used when the peer is a trusted proxy:
 *
 * - of `Forwarded`, the leftmost element that a trusted proxy wrote and that has the parameter (`true`: the leftmost);
 * - of `X-Forwarded-Host`, `-Proto` and `-Port`, the leftmost entry: what the client asked of the outermost proxy. Most
 *   proxies replace these headers. Clients can forge entries, but pages of browsers cannot set these headers.
 *
 * When both families give a value and the values differ, neither counts. Without a forwarded host, `Host` counts.
 */
export const createRequestTargetResolver = (trusted: TrustedProxies): RequestTargetResolver => {
  const isTrusted = createProxyMatcher(trusted);
  const selectTrusted = (elements: readonly ForwardedElement[]): readonly ForwardedElement[] => {
    if (trusted === true) return elements;
    const addresses = elements.map((element) => element.for ?? '');
    return elements.slice(elements.length - countTrustedEntries(addresses, isTrusted));
  };
  return (request) => {
    const { headers } = request;
    if (!isTrusted(getPeerAddress(request.socket))) return { host: headers.host, port: undefined, scheme: null };
    const elements = selectTrusted(readForwardedElements(request) ?? []);
    const host = agree(
      elements.find((element) => element.host !== undefined)?.host,
      splitHeader(headers['x-forwarded-host'])?.[0],
    );
    const scheme = agree(
      toScheme(elements.find((element) => element.proto !== undefined)?.proto),
      toScheme(splitHeader(headers['x-forwarded-proto'])?.[0]),
    );
    return {
      host: host ?? headers.host,
      port: splitHeader(headers['x-forwarded-port'])?.[0],
      scheme: scheme ?? null,
    };
  };
};

/** Some proxies report the scheme of a WebSocket. */
const SCHEMES: ReadonlyMap<string, 'http' | 'https'> = new Map([
  ['http', 'http'],
  ['ws', 'http'],
  ['https', 'https'],
  ['wss', 'https'],
]);

const toScheme = (text: string | undefined): 'http' | 'https' | undefined => SCHEMES.get(text?.toLowerCase() ?? '');

/** Returns the value that is given, or that both give. An empty one counts as not given. */
const agree = <T extends string>(one: T | undefined, other: T | undefined): T | undefined => {
  if (one === undefined || one === '') return other === '' ? undefined : other;
  return other === undefined || other === '' || one.toLowerCase() === other.toLowerCase() ? one : undefined;
};

/**
 * Whether a page of this origin was served under the host of the request: its host is that host, with the port in it or
 * with the forwarded port. The scheme is compared only where a proxy reports `https` and the page has `http:`. The report
 * `http` is ignored, because a proxy behind the one that terminates TLS often makes it.
 */
export const isOwnOrigin = (origin: string, { host, port, scheme }: RequestTarget): boolean => {
  if (host === undefined) return false;
  if (scheme !== 'https' && origin === `http://${host}`) return true;
  if (!URL.canParse(origin)) return false;
  // Apollo iOS 1 names the server as its origin, with the scheme of the socket. No page has such an origin.
  const page = new URL(origin.replace(/^ws(?=s?:)/i, 'http'));
  // The page of an app scheme is of another origin, whatever its host is.
  if (page.protocol !== 'https:' && (page.protocol !== 'http:' || scheme === 'https')) return false;
  // A default port in one of the two is removed by the scheme of the page.
  return hasHost(page, host) || (port !== undefined && hasHost(page, replacePort(host, port)));
};

/** Characters that end the host in a URL, or its user name. */
const NO_HOST = /[/\\?#@]/;

const hasHost = (page: URL, host: string): boolean => {
  const own = `${page.protocol}//${host}`;
  return !NO_HOST.test(host) && URL.canParse(own) && new URL(own).host === page.host;
};

const replacePort = (host: string, port: string): string => `${host.replace(/:\d*$/, '')}:${port}`;
