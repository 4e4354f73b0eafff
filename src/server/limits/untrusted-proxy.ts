/** Warns of a proxy that is not trusted: its clients share one address, and thus the limits by address. */
import ipaddr from 'ipaddr.js';
import type { Logger } from 'pino';
import {
  createProxyMatcher,
  getPeerAddress,
  type ClientAddressResolver,
  type TrustedProxies,
} from './client-address.ts';

/** Kinds of addresses, as `ipaddr.js` names them, that a proxy in front of this server has. Clients have others. */
const LOCAL_RANGES = ['loopback', 'private', 'uniqueLocal', 'linkLocal', 'carrierGradeNat'];

const isLocalAddress = (address: string): boolean =>
  ipaddr.isValid(address) && LOCAL_RANGES.includes(ipaddr.parse(address).range());

/**
 * Returns the same resolver, which logs the first request whose peer has a local address, reports the address of a client
 * and is not trusted. A client on the internet could send the headers too, so peers with other addresses cause no line.
 */
export const warnOfUntrustedProxy = (
  resolve: ClientAddressResolver,
  trusted: TrustedProxies,
  log: Logger,
): ClientAddressResolver => {
  if (trusted === true) return resolve;
  const isTrusted = createProxyMatcher(trusted);
  let isLogged = false;
  return (request) => {
    const { headers, socket } = request;
    if (!isLogged && (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined)) {
      const peer = getPeerAddress(socket);
      if (peer !== null && isLocalAddress(peer) && !isTrusted(peer)) {
        isLogged = true;
        log.warn(
          { proxy: peer, hint: 'If this is a proxy, add its address to PORCHLIGHT_TRUST_PROXY.' },
          'A peer that is not trusted reports addresses of clients; all its clients count as one address',
        );
      }
    }
    return resolve(request);
  };
};
