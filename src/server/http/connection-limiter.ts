/**
 * Limits the TCP connections that are not (yet) WebSockets. Each takes some kilobytes and a file descriptor, even when
 * a client sends only one byte now and then. At the limit, the connection that has been idle longest is closed.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import {
  createProxyMatcher,
  getPeerAddress,
  computeNetworkPrefix,
  type TrustedProxies,
} from '../limits/client-address.ts';
import type { SocketCountLimits } from '../limits/socket-limiter.ts';
import type { RejectionCounters } from '../metrics/rejection-counters.ts';

/** The limit as a share of the socket limit: every WebSocket begins as such a connection. */
const SHARE_OF_SOCKETS = 1 / 4;
/** The smallest limit: browsers and backends open several connections each. */
const MIN_CONNECTIONS = 256;

/** A connection with what is needed to release it. */
interface CountedConnection extends Socket {
  [COUNTED]?: { readonly limiter: ConnectionLimiter; readonly network: string };
}

const COUNTED = Symbol('counted');

export class ConnectionLimiter {
  readonly #maxConnections: number;
  readonly #maxPerNetwork: number;
  readonly #isTrustedProxy: (address: string | null) => boolean;
  readonly #rejections: RejectionCounters;
  readonly #countByNetwork = new Map<string, number>();
  /** Connections without a request in progress, longest idle first. */
  readonly #idle = new Set<CountedConnection>();
  #openCount = 0;

  /** @param trustProxy the limit per network does not apply to these proxies, which carry many clients. */
  constructor(
    { maxSockets, maxSocketsPerAddress }: SocketCountLimits,
    trustProxy: TrustedProxies,
    rejections: RejectionCounters,
  ) {
    const shareOf = (sockets: number): number => Math.max(MIN_CONNECTIONS, Math.ceil(sockets * SHARE_OF_SOCKETS));
    this.#maxConnections = shareOf(maxSockets);
    this.#maxPerNetwork = maxSocketsPerAddress === 0 ? Infinity : shareOf(maxSocketsPerAddress);
    this.#isTrustedProxy = createProxyMatcher(trustProxy);
    this.#rejections = rejections;
  }

  get openCount(): number {
    return this.#openCount;
  }

  /** Starts to count and to limit the connections of `server`. */
  attachTo(server: Server): void {
    server.on('connection', this.#onConnection);
    server.on('request', ({ socket }, response) => {
      this.#idle.delete(socket);
      response.once('close', () => this.#markIdle(socket));
    });
  }

  /** Whether a request of this connection is being answered. */
  isAnsweringRequest(connection: CountedConnection): boolean {
    return connection[COUNTED] !== undefined && !this.#idle.has(connection);
  }

  /** Stops counting a connection: it became a WebSocket, or it closed. Idempotent. */
  release(connection: CountedConnection): void {
    const network = connection[COUNTED]?.network;
    if (network === undefined) return;
    delete connection[COUNTED];
    connection.off('close', releaseOnClose);
    this.#idle.delete(connection);
    this.#openCount--;
    const remaining = (this.#countByNetwork.get(network) ?? 1) - 1;
    if (remaining > 0) this.#countByNetwork.set(network, remaining);
    else this.#countByNetwork.delete(network);
  }

  readonly #onConnection = (connection: CountedConnection): void => {
    const address = getPeerAddress(connection);
    const network = computeNetworkPrefix(address);
    const countInNetwork = this.#countByNetwork.get(network) ?? 0;
    const isFull = this.#openCount >= this.#maxConnections;
    const isNetworkFull = countInNetwork >= this.#maxPerNetwork && !this.#isTrustedProxy(address);
    if (isNetworkFull || (isFull && !this.#closeLongestIdle())) {
      this.#rejections.connections++;
      connection.destroy();
      return;
    }
    connection[COUNTED] = { limiter: this, network };
    connection.on('close', releaseOnClose);
    this.#openCount++;
    this.#countByNetwork.set(network, countInNetwork + 1);
    this.#idle.add(connection);
  };

  /** Returns false when no connection is idle. */
  #closeLongestIdle(): boolean {
    const [longestIdle] = this.#idle;
    if (longestIdle === undefined) return false;
    this.#rejections.connections++;
    this.release(longestIdle);
    longestIdle.destroy();
    return true;
  }

  #markIdle(connection: CountedConnection): void {
    if (connection[COUNTED] !== undefined) this.#idle.add(connection);
  }
}

/** One function for all connections, instead of a closure for each. */
function releaseOnClose(this: CountedConnection): void {
  this[COUNTED]?.limiter.release(this);
}
