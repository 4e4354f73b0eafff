/**
 * Requests that offer another protocol than WebSocket, as Java's HttpClient offers h2c with every request unless
 * told otherwise. A server may stay with what it speaks (RFC 9110, 7.8), so they are served as if nothing had been
 * offered; node takes every offer for an upgrade as soon as somebody listens for one.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

const OF_THE_OFFER = ['upgrade', 'http2-settings'];

export const offersOther = ({ headers }: IncomingMessage): boolean => !/websocket/i.test(headers.upgrade ?? '');

/** Puts the request back, without the offer, and lets the server begin anew with it. */
export const serveAsItIs = (server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void => {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const [name = '', value = ''] = request.rawHeaders.slice(index, index + 2);
    if (name.toLowerCase() === 'connection') lines.push(`${name}: ${withoutOffer(value)}`);
    else if (!OF_THE_OFFER.includes(name.toLowerCase())) lines.push(`${name}: ${value}`);
  }
  // As node has read it: a byte a character.
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
};

const withoutOffer = (options: string): string =>
  options
    .split(',')
    .filter((option) => !OF_THE_OFFER.includes(option.trim().toLowerCase()))
    .join(',');
