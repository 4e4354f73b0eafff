/** Finds the network address of a client, also behind trusted proxies. */
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import proxyAddr from 'proxy-addr';

/** The prefix of an IPv4 address on an IPv6 socket. */
const MAPPED_PREFIX = /^::ffff:(?=[\d.]+$)/i;

/** The address of the other end of a TCP connection: the client, or the last proxy. Null after the socket closed. */
export const getPeerAddress = (socket: Socket): string | null =>
  socket.remoteAddress?.replace(MAPPED_PREFIX, '') ?? null;

/** The proxies whose X-Forwarded-For is used. True: all of them. A list: addresses and networks as proxy-addr reads them. */
export type TrustedProxies = boolean | readonly string[];

/** Finds the client address of a request. Null when it is unknown. */
export type ClientAddressResolver = (request: IncomingMessage) => string | null;

/**
 * Without trusted proxies, the client address is the peer address. With `true`, it is the leftmost entry of
 * X-Forwarded-For, which clients can forge unless a proxy overwrites the header. With a list, it is the rightmost
 * address that is not a trusted proxy. An entry that is not an address ends the search.
 * @throws TypeError for an invalid item of the list.
 */
export const createClientAddressResolver = (trusted: TrustedProxies): ClientAddressResolver => {
  if (trusted === false) return ({ socket }) => getPeerAddress(socket);
  if (trusted === true) return (request) => leftmostForwardedAddress(request) ?? getPeerAddress(request.socket);
  const isTrusted = proxyAddr.compile([...trusted]);
  return (request) => {
    const peer = getPeerAddress(request.socket);
    if (peer === null) return null;
    // From the peer to the client, up to the first untrusted address.
    const chain = proxyAddr.all(request, (entry, hop) => isTrusted(parseForwardedAddress(entry) ?? entry, hop));
    const addresses = chain.map(parseForwardedAddress).filter((address) => address !== null);
    return addresses.at(-1) ?? peer;
  };
};

/** @returns a function that returns whether the peer of a connection is a trusted proxy. */
export const createProxyMatcher = (trusted: TrustedProxies): ((address: string | null) => boolean) => {
  if (typeof trusted === 'boolean') return () => trusted;
  const isTrusted = proxyAddr.compile([...trusted]);
  return (address) => address !== null && isTrusted(address, 0);
};

const leftmostForwardedAddress = (request: IncomingMessage): string | null => {
  const header = request.headers['x-forwarded-for'];
  const [first] = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',');
  return parseForwardedAddress(first?.trim() ?? '');
};

/** Removes a port, brackets and the prefix of a mapped IPv4 address. @returns null for any other text. */
const parseForwardedAddress = (text: string): string | null => {
  const [, inBrackets] = /^\[([^\]]+)\](?::\d+)?$/.exec(text) ?? [];
  const [, beforePort] = /^([\d.]+):\d+$/.exec(text) ?? [];
  const address = (inBrackets ?? beforePort ?? text).replace(MAPPED_PREFIX, '');
  return isIP(address) === 0 ? null : address;
};

/**
 * The network by which an address is counted. An IPv4 address counts alone. An IPv6 address counts with its /64 network,
 * because one client usually has all 2^64 addresses of it. Unknown addresses count as one network.
 */
export const computeNetworkPrefix = (address: string | null): string => {
  if (address === null) return 'unknown';
  if (!address.includes(':')) return address;
  const [before = '', after] = address.replace(/%.*$/, '').split('::', 2);
  const head = before === '' ? [] : before.split(':');
  const tail = after === undefined || after === '' ? [] : after.split(':');
  const gap = after === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...Array.from({ length: gap }, () => '0'), ...tail].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
};
