/**
 * Limits the open sockets of the server, of each network address and of each user. Sockets without `connection_init`
 * may use only a share of the limit. When that share is full, the oldest of them is closed for a new one: real clients
 * send `connection_init` at once, so a flood of idle sockets displaces mostly its own.
 */
import type { UserId } from '../../core/ids.ts';

export interface SocketCountLimits {
  readonly maxSockets: number;
  /** 0: no limit. */
  readonly maxSocketsPerUser: number;
  /** 0: no limit. */
  readonly maxSocketsPerAddress: number;
}

/** An open socket, as the limiter sees it. */
export interface LimitedSocket {
  /** As returned by `computeNetworkPrefix`. */
  readonly network: string;
  /** What the server keeps for the socket until `connection_init`, in characters. It must not change before that. */
  readonly retainedLength: number;
  /** Closes the socket to make room for another one. */
  evict(): void;
}

/** The limit that is exceeded: that of the whole server, or that of one network address. */
export type LimitScope = 'server' | 'address';

/** The shares of the limits that sockets without `connection_init` may use. */
const UNINITIALISED_SHARE = 1 / 4;
const UNINITIALISED_SHARE_PER_ADDRESS = 1 / 2;

/**
 * What all sockets without `connection_init` may retain together: some 2,000 of the longest credentials. Without a limit,
 * a flood of upgrades with long headers would fill the heap.
 */
const MAX_RETAINED_LENGTH = 64 * 1024 * 1024;

export class SocketLimiter {
  readonly #limits: SocketCountLimits;
  readonly #maxUninitialised: number;
  readonly #maxUninitialisedPerNetwork: number;
  readonly #countByNetwork = new Map<string, number>();
  readonly #countByUser = new Map<UserId, number>();
  readonly #uninitialisedByNetwork = new Map<string, number>();
  /** Oldest first. */
  readonly #uninitialised = new Set<LimitedSocket>();
  readonly #maxRetainedLength: number;
  #retainedLength = 0;
  #openCount = 0;

  /** @param maxRetainedLength override of the default, for tests. */
  constructor(limits: SocketCountLimits, maxRetainedLength = MAX_RETAINED_LENGTH) {
    this.#limits = limits;
    this.#maxRetainedLength = maxRetainedLength;
    this.#maxUninitialised = Math.ceil(limits.maxSockets * UNINITIALISED_SHARE);
    this.#maxUninitialisedPerNetwork = Math.ceil(limits.maxSocketsPerAddress * UNINITIALISED_SHARE_PER_ADDRESS);
  }

  get openCount(): number {
    return this.#openCount;
  }

  /** The number of open sockets that have not sent `connection_init`. */
  get uninitialisedCount(): number {
    return this.#uninitialised.size;
  }

  /** Returns the limit that one more socket of this network would exceed; null: none. */
  findExceededLimit(network: string): LimitScope | null {
    const { maxSockets, maxSocketsPerAddress } = this.#limits;
    if (this.#openCount >= maxSockets) return 'server';
    if (maxSocketsPerAddress === 0) return null;
    if ((this.#countByNetwork.get(network) ?? 0) >= maxSocketsPerAddress) return 'address';
    return (this.#uninitialisedByNetwork.get(network) ?? 0) >= this.#maxUninitialisedPerNetwork ? 'address' : null;
  }

  /** Counts a new socket, and evicts the oldest uninitialised ones if there are too many or they retain too much. */
  addSocket(socket: LimitedSocket): void {
    this.#openCount++;
    increment(this.#countByNetwork, socket.network);
    increment(this.#uninitialisedByNetwork, socket.network);
    this.#uninitialised.add(socket);
    this.#retainedLength += socket.retainedLength;
    for (const oldest of this.#uninitialised) {
      const isOverLimit =
        this.#uninitialised.size > this.#maxUninitialised || this.#retainedLength > this.#maxRetainedLength;
      // The new socket may stay. Its own header is limited.
      if (!isOverLimit || oldest === socket) return;
      this.markInitialised(oldest);
      oldest.evict();
    }
  }

  /** Stops counting the socket as uninitialised: it sent `connection_init`, or it is closing. Idempotent. */
  markInitialised(socket: LimitedSocket): void {
    if (!this.#uninitialised.delete(socket)) return;
    decrement(this.#uninitialisedByNetwork, socket.network);
    this.#retainedLength -= socket.retainedLength;
  }

  /** Stops counting a closed socket. */
  removeSocket(socket: LimitedSocket): void {
    this.#openCount--;
    decrement(this.#countByNetwork, socket.network);
    this.markInitialised(socket);
  }

  /** Counts a socket for its user. Returns false, and does not count it, when the user has too many. */
  addUserSocket(userId: UserId): boolean {
    const { maxSocketsPerUser } = this.#limits;
    if (maxSocketsPerUser > 0 && (this.#countByUser.get(userId) ?? 0) >= maxSocketsPerUser) return false;
    increment(this.#countByUser, userId);
    return true;
  }

  removeUserSocket(userId: UserId): void {
    decrement(this.#countByUser, userId);
  }
}

const increment = <K>(counts: Map<K, number>, key: K): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

const decrement = <K>(counts: Map<K, number>, key: K): void => {
  const count = counts.get(key) ?? 0;
  if (count > 1) counts.set(key, count - 1);
  else counts.delete(key);
};
