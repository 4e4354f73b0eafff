/** Where a request comes from. */
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';

/** An IPv4 address as an IPv6 socket has it. */
const MAPPED = /^::ffff:(?=[\d.]+$)/i;

/** Whoever is at the other end: a client, or a proxy. */
export const getPeerAddress = (socket: Socket): string | null => socket.remoteAddress?.replace(MAPPED, '') ?? null;

/** @param trustProxy the leftmost address of X-Forwarded-For counts: only behind a proxy that sets it. */
export const resolveClientAddress = (request: IncomingMessage, trustProxy: boolean): string | null => {
  const direct = getPeerAddress(request.socket);
  if (!trustProxy) return direct;
  const header = request.headers['x-forwarded-for'];
  const [first] = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',');
  return plain(first?.trim() ?? '') ?? direct;
};

/** The address alone: no port, no brackets, an IPv4 address as such. Null for what is no address. */
const plain = (text: string): string | null => {
  const [, inBrackets] = /^\[([^\]]+)\](?::\d+)?$/.exec(text) ?? [];
  const [, beforePort] = /^([\d.]+):\d+$/.exec(text) ?? [];
  const address = (inBrackets ?? beforePort ?? text).replace(MAPPED, '');
  return isIP(address) === 0 ? null : address;
};

/**
 * The network that an address is counted by: an IPv4 address by itself; of IPv6, where everybody has 2^64 of
 * them, the first half. What is no address is all one.
 */
export const networkPrefix = (address: string | null): string => {
  if (address === null) return 'unknown';
  if (!address.includes(':')) return address;
  const [before = '', after] = address.replace(/%.*$/, '').split('::', 2);
  const head = before === '' ? [] : before.split(':');
  const tail = after === undefined || after === '' ? [] : after.split(':');
  const gap = after === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...Array.from({ length: gap }, () => '0'), ...tail].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
};
