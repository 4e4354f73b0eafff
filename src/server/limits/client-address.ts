/** Finds the network address of a client, also behind trusted proxies. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import proxyAddr from 'proxy-addr';
import {
  countTrustedEntries,
  MAPPED_PREFIX,
  parseForwardedAddress,
  readForwardedElements,
  splitHeader,
} from './forwarded-header.ts';

/** The address of the other end of a TCP connection: the client, or the last proxy. Null after the socket closed. */
export const getPeerAddress = (socket: Socket): string | null =>
  socket.remoteAddress?.replace(MAPPED_PREFIX, '') ?? null;

/**
 * The proxies whose `Forwarded` and `X-Forwarded-…` headers are used. True: all of them. A list: addresses and networks
 * as proxy-addr reads them.
 */
export type TrustedProxies = boolean | readonly string[];

/** Finds the client address of a request. Null when it is unknown. */
export type ClientAddressResolver = (request: IncomingMessage) => string | null;

/**
 * Without trusted proxies, or when the peer is not one, the client address is the peer address. Otherwise it is read from
 * `X-Forwarded-For` or from `for` in `Forwarded`. With `true`, it is the leftmost entry, which clients can forge unless a
 * proxy overwrites the header. With a list, it is the rightmost address that is not a trusted proxy. An entry that is not
 * an address ends the search. When both headers give an address and the addresses differ, neither counts, because a
 * proxy that writes one header usually passes the other one on as the client sent it.
 * @throws TypeError for an invalid item of the list.
 */
export const createClientAddressResolver = (trusted: TrustedProxies): ClientAddressResolver => {
  if (trusted === false) return ({ socket }) => getPeerAddress(socket);
  const isTrusted = createProxyMatcher(trusted);
  const findAddress =
    trusted === true
      ? (entries: readonly string[]) => parseForwardedAddress(entries[0] ?? '')
      : (entries: readonly string[]) => findLastTrustedAddress(entries, isTrusted);
  return (request) => {
    const peer = getPeerAddress(request.socket);
    const { forwarded, 'x-forwarded-for': forwardedFor } = request.headers;
    // The check of the peer takes longer than everything else.
    if ((forwarded === undefined && forwardedFor === undefined) || !isTrusted(peer)) return peer;
    const entries = splitHeader(forwardedFor);
    const address = entries === null ? null : (findAddress(entries) ?? peer);
    const elements = readForwardedElements(request);
    if (elements === null) return address ?? peer;
    const standardAddress = findAddress(elements.map((element) => element.for ?? '')) ?? peer;
    return address === null || areSameAddress(address, standardAddress) ? standardAddress : peer;
  };
};

/** @returns a function that returns whether the peer of a connection is a trusted proxy. */
export const createProxyMatcher = (trusted: TrustedProxies): ((address: string | null) => boolean) => {
  if (typeof trusted === 'boolean') return () => trusted;
  const isTrusted = proxyAddr.compile([...trusted]);
  return (address) => address !== null && isTrusted(address, 0);
};

/** The leftmost address that trusted proxies wrote; null when they wrote none. */
const findLastTrustedAddress = (entries: readonly string[], isTrusted: (address: string) => boolean): string | null => {
  const count = countTrustedEntries(entries, isTrusted);
  const address = parseForwardedAddress(entries.at(-count) ?? '');
  return address === null && count > 1 ? parseForwardedAddress(entries.at(1 - count) ?? '') : address;
};

/** Whether two texts are the same address: an IPv6 address has several spellings. */
const areSameAddress = (one: string, other: string | null): boolean =>
  other !== null && (one === other || ipaddr.parse(one).toString() === ipaddr.parse(other).toString());

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
