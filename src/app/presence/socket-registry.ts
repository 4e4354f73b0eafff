/** The open sockets of this server. It notifies a socket when its session has ended or timed out. */
import type { SocketId } from '../../core/ids.ts';
import type { LostSocket } from '../../core/records.ts';
import type { PresenceStore } from '../ports/presence-store.ts';

/** A socket, as far as the use cases know it. */
export interface RegisteredSocket {
  readonly id: SocketId;
  /** Called when the session of the socket has ended or timed out. The socket must send the reason and close. */
  onSessionLost(lost: LostSocket): void;
}

export class SocketRegistry {
  readonly #sockets = new Map<SocketId, RegisteredSocket>();

  constructor(store: PresenceStore) {
    store.onCommit((changes) => {
      for (const { lostSockets } of changes) {
        for (const lost of lostSockets) this.#sockets.get(lost.socketId)?.onSessionLost(lost);
      }
    });
  }

  get openSocketCount(): number {
    return this.#sockets.size;
  }

  register(socket: RegisteredSocket): void {
    this.#sockets.set(socket.id, socket);
  }

  unregister(id: SocketId): void {
    this.#sockets.delete(id);
  }
}
