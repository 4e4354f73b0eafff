/** Where a request comes from. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** An IPv4 address as an IPv6 socket has it. */
const MAPPED = /^::ffff:(?=[\d.]+$)/i;

/** @param trustProxy the leftmost address of X-Forwarded-For counts: only behind a proxy that sets it. */
export const clientAddress = (request: IncomingMessage, trustProxy: boolean): string | null => {
  const direct = request.socket.remoteAddress?.replace(MAPPED, '') ?? null;
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
