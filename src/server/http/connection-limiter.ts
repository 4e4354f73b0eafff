/**
 * Connections that are no sockets (yet), counted as they are accepted: each takes some kilobytes and a file
 * descriptor however little comes over it, and who sends a byte now and then can hold thousands of them.
 * When there are too many, the one on which nothing has been asked for longest makes room for a newcomer.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { networkOf, peerAddress } from '../limits/client-address.ts';
import type { Refusals } from '../metrics/rejection-counters.ts';
import type { SocketCountLimits } from '../limits/socket-limiter.ts';

/** Of the sockets that there may be: every one of them begins as such a connection. */
const SHARE = 1 / 4;
/** Even where few sockets are allowed, browsers and backends have several connections each. */
const LEAST = 256;

/** A connection that is counted, and as whose. */
interface Counted extends Socket {
  [COUNTED]?: { readonly by: HttpConnections; readonly network: string };
}

const COUNTED = Symbol('counted');

export class HttpConnections {
  readonly #max: number;
  readonly #maxPerAddress: number;
  readonly #refusals: Refusals;
  readonly #byNetwork = new Map<string, number>();
  /** Nothing is being answered on them. Since longest first. */
  readonly #waiting = new Set<Counted>();
  #open = 0;

  /** @param trustProxy whose connections come all from the same proxy: those of one address are not bounded. */
  constructor({ maxSockets, maxSocketsPerAddress }: SocketCountLimits, trustProxy: boolean, refusals: Refusals) {
    const bound = (sockets: number): number => Math.max(LEAST, Math.ceil(sockets * SHARE));
    this.#max = bound(maxSockets);
    this.#maxPerAddress = trustProxy || maxSocketsPerAddress === 0 ? Infinity : bound(maxSocketsPerAddress);
    this.#refusals = refusals;
  }

  get open(): number {
    return this.#open;
  }

  /** Counts those of this server. */
  watch(server: Server): void {
    server.on('connection', this.#accepted);
    server.on('request', ({ socket }, response) => {
      this.#waiting.delete(socket);
      response.once('close', () => this.#rests(socket));
    });
  }

  /** Is a request that came over it being answered? */
  isAnswering(connection: Counted): boolean {
    return connection[COUNTED] !== undefined && !this.#waiting.has(connection);
  }

  /** It is a socket from now on, or gone. Again is no matter. */
  left(connection: Counted): void {
    const network = connection[COUNTED]?.network;
    if (network === undefined) return;
    delete connection[COUNTED];
    connection.off('close', closed);
    this.#waiting.delete(connection);
    this.#open--;
    const others = (this.#byNetwork.get(network) ?? 1) - 1;
    if (others > 0) this.#byNetwork.set(network, others);
    else this.#byNetwork.delete(network);
  }

  readonly #accepted = (connection: Counted): void => {
    const network = networkOf(peerAddress(connection));
    const others = this.#byNetwork.get(network) ?? 0;
    if (others >= this.#maxPerAddress || (this.#open >= this.#max && !this.#makeRoom())) {
      this.#refusals.connections++;
      connection.destroy();
      return;
    }
    connection[COUNTED] = { by: this, network };
    connection.on('close', closed);
    this.#open++;
    this.#byNetwork.set(network, others + 1);
    this.#waiting.add(connection);
  };

  /** False: something is being answered on every one. */
  #makeRoom(): boolean {
    const [longest] = this.#waiting;
    if (longest === undefined) return false;
    this.#refusals.connections++;
    this.left(longest);
    longest.destroy();
    return true;
  }

  #rests(connection: Counted): void {
    if (connection[COUNTED] !== undefined) this.#waiting.add(connection);
  }
}

/** One function for all of them. */
function closed(this: Counted): void {
  this[COUNTED]?.by.left(this);
}
