/** The open sockets of this server, so that a session's end can reach the ones that it costs. */
import type { SocketId } from '../../core/ids.ts';
import type { LostSocket } from '../../core/records.ts';
import type { PresenceStore } from '../ports/presence-store.ts';

/** A socket, as far as the use cases know one. */
export interface RegisteredSocket {
  readonly id: SocketId;
  /** The session it served has ended or timed out. The door tells the client what it must, then closes. */
  onSessionLost(lost: LostSocket): void;
}

export class SocketRegistry {
  readonly #sockets = new Map<SocketId, RegisteredSocket>();

  constructor(store: PresenceStore) {
    store.onCommit((changes) => {
      for (const { lostSockets: lostLinks } of changes)
        for (const lost of lostLinks) this.#sockets.get(lost.socketId)?.onSessionLost(lost);
    });
  }

  /** How many sockets are open. */
  get openSocketCount(): number {
    return this.#sockets.size;
  }

  register(link: RegisteredSocket): void {
    this.#sockets.set(link.id, link);
  }

  unregister(id: SocketId): void {
    this.#sockets.delete(id);
  }
}
