/**
 * Reads what proxies report about a request: `Forwarded` (RFC 7239) and the headers `X-Forwarded-…`. Nothing here checks
 * whether a proxy is trusted.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { parse } from 'forwarded-parse';

/** The prefix of an IPv4 address on an IPv6 socket. */
export const MAPPED_PREFIX = /^::ffff:(?=[\d.]+$)/i;

/** What one proxy reports about the request that it received. Values are as sent; a missing one is undefined. */
export interface ForwardedElement {
  readonly for?: string;
  readonly host?: string;
  readonly proto?: string;
}

/**
 * The elements of `Forwarded`, from the client to the server. Null when the header is missing or invalid: the rest of an
 * invalid header cannot be assigned to proxies. An element that has a parameter twice is invalid.
 */
export const readForwardedElements = ({ headers }: Pick<IncomingMessage, 'headers'>): ForwardedElement[] | null => {
  const { forwarded } = headers;
  if (forwarded === undefined) return null;
  try {
    const elements = parse(forwarded);
    return hasRepeatedParameter(forwarded) ? null : elements;
  } catch {
    // A client can send any text. The position of the first wrong character has no use here.
    return null;
  }
};

/**
 * Whether an element of a valid header has a parameter twice. The parser would return the last one, which may be a part of
 * a quoted value that a client closed.
 */
const hasRepeatedParameter = (header: string): boolean =>
  header
    .replace(/"(?:\\.|[^"\\])*"/g, '')
    .split(',')
    .some((element) => {
      const names = element.split(';').map((pair) => pair.split('=', 1)[0]?.trim().toLowerCase());
      return new Set(names).size < names.length;
    });

/** The comma-separated entries of a header, trimmed. Null when it is missing. */
export const splitHeader = (header: string | string[] | undefined): string[] | null => {
  if (header === undefined) return null;
  return (Array.isArray(header) ? header.join(',') : header).split(',').map((entry) => entry.trim());
};

/**
 * Reads the address in an entry of `X-Forwarded-For` or in the parameter `for`. Removes a port, brackets and the prefix
 * of a mapped IPv4 address. @returns null for any other text, such as `unknown` or an obfuscated `_name`.
 */
export const parseForwardedAddress = (text: string): string | null => {
  const [, inBrackets] = /^\[([^\]]+)\](?::[\w.-]+)?$/.exec(text) ?? [];
  const [, beforePort] = /^([\d.]+):[\w.-]+$/.exec(text) ?? [];
  const address = (inBrackets ?? beforePort ?? text).replace(MAPPED_PREFIX, '');
  return isIP(address) === 0 ? null : address;
};

/**
 * Counts the entries that trusted proxies wrote, from the end. Each proxy appends the address of its peer, so an entry
 * counts if the addresses behind it are those of trusted proxies. An entry that is not an address is the last to count.
 * @param entries the addresses from the client to the server.
 */
export const countTrustedEntries = (entries: readonly string[], isTrusted: (address: string) => boolean): number => {
  let count = 0;
  while (count < entries.length) {
    const address = parseForwardedAddress(entries.at(-1 - count) ?? '');
    count++;
    if (address === null || !isTrusted(address)) break;
  }
  return count;
};
