/**
 * How many sockets are open: in all, by network address and by user. Those that have not said yet who they
 * are have a share of the places, and the last of it goes to the newcomer: who connects in good faith says it
 * at once, so a flood of silent ones pushes out its own.
 */
import type { UserId } from '../../core/ids.ts';

export interface SocketCountLimits {
  readonly maxSockets: number;
  /** 0: no limit. */
  readonly maxSocketsPerUser: number;
  /** Likewise. */
  readonly maxSocketsPerAddress: number;
}

/** An open socket. */
export interface Counted {
  /** See `networkOf`. */
  readonly network: string;
  /** Others wait who may be in earnest. */
  giveWay(): void;
}

/** Why there is no place: in all, or for that address. */
export type Full = 'server' | 'address';

/** The share of all places, and of those of one address, for those that have not said who they are. */
const SILENT_SHARE = 1 / 4;
const SILENT_SHARE_PER_ADDRESS = 1 / 2;

export class SocketCounts {
  readonly #limits: SocketCountLimits;
  readonly #maxSilent: number;
  readonly #maxSilentPerAddress: number;
  readonly #byNetwork = new Map<string, number>();
  readonly #byUser = new Map<UserId, number>();
  readonly #silentByNetwork = new Map<string, number>();
  /** Oldest first. */
  readonly #silent = new Set<Counted>();
  #open = 0;

  constructor(limits: SocketCountLimits) {
    this.#limits = limits;
    this.#maxSilent = Math.ceil(limits.maxSockets * SILENT_SHARE);
    this.#maxSilentPerAddress = Math.ceil(limits.maxSocketsPerAddress * SILENT_SHARE_PER_ADDRESS);
  }

  /** In all. */
  get open(): number {
    return this.#open;
  }

  /** Of those, how many have not sent `connection_init`. */
  get silent(): number {
    return this.#silent.size;
  }

  /** What keeps one more from that address out; null: nothing. */
  full(network: string): Full | null {
    const { maxSockets, maxSocketsPerAddress } = this.#limits;
    if (this.#open >= maxSockets) return 'server';
    if (maxSocketsPerAddress === 0) return null;
    if ((this.#byNetwork.get(network) ?? 0) >= maxSocketsPerAddress) return 'address';
    return (this.#silentByNetwork.get(network) ?? 0) >= this.#maxSilentPerAddress ? 'address' : null;
  }

  /** It is open. */
  add(socket: Counted): void {
    this.#open++;
    up(this.#byNetwork, socket.network);
    up(this.#silentByNetwork, socket.network);
    this.#silent.add(socket);
    if (this.#silent.size <= this.#maxSilent) return;
    const [oldest] = this.#silent;
    if (oldest === undefined) return;
    this.spoke(oldest);
    oldest.giveWay();
  }

  /** It has said who it is, or is being closed. Again is no matter. */
  spoke(socket: Counted): void {
    if (this.#silent.delete(socket)) down(this.#silentByNetwork, socket.network);
  }

  /** It is closed. */
  remove(socket: Counted): void {
    this.#open--;
    down(this.#byNetwork, socket.network);
    this.spoke(socket);
  }

  /** It is that user's. False: she has too many, and this one is not counted. */
  addOf(userId: UserId): boolean {
    const { maxSocketsPerUser } = this.#limits;
    if (maxSocketsPerUser > 0 && (this.#byUser.get(userId) ?? 0) >= maxSocketsPerUser) return false;
    up(this.#byUser, userId);
    return true;
  }

  removeOf(userId: UserId): void {
    down(this.#byUser, userId);
  }
}

const up = <K>(counts: Map<K, number>, key: K): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

const down = <K>(counts: Map<K, number>, key: K): void => {
  const count = counts.get(key) ?? 0;
  if (count > 1) counts.set(key, count - 1);
  else counts.delete(key);
};
