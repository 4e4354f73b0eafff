/**
 * Serves requests that offer an upgrade to a protocol other than WebSocket. Java's HttpClient, for example, offers h2c
 * with every request by default. A server may ignore such an offer (RFC 9110, 7.8), but node emits `upgrade` for all of
 * them as soon as that event has a listener.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

const UPGRADE_HEADERS = ['upgrade', 'http2-settings'];

export const offersOtherProtocol = ({ headers }: IncomingMessage): boolean => !/websocket/i.test(headers.upgrade ?? '');

/** Puts the request back into the socket without the offer, and lets the server parse it again. */
export const replayWithoutUpgrade = (server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void => {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const [name = '', value = ''] = request.rawHeaders.slice(index, index + 2);
    if (name.toLowerCase() === 'connection') lines.push(`${name}: ${removeUpgradeOptions(value)}`);
    else if (!UPGRADE_HEADERS.includes(name.toLowerCase())) lines.push(`${name}: ${value}`);
  }
  // Node decodes headers as latin1, one character for each byte.
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
};

const removeUpgradeOptions = (options: string): string =>
  options
    .split(',')
    .filter((option) => !UPGRADE_HEADERS.includes(option.trim().toLowerCase()))
    .join(',');
