/** The open sockets of this server, so that a session's end can reach the ones that it costs. */
import type { SocketId } from '../../core/ids.ts';
import type { LostLink } from '../../core/records.ts';
import type { PresenceStore } from '../ports/presence-store.ts';

/** A socket, as far as the use cases know one. */
export interface Link {
  readonly id: SocketId;
  /** The session it served has ended or timed out. The door tells the client what it must, then closes. */
  lose(lost: LostLink): void;
}

export class Links {
  readonly #links = new Map<SocketId, Link>();

  constructor(store: PresenceStore) {
    store.onCommit((changes) => {
      for (const { lostLinks } of changes) for (const lost of lostLinks) this.#links.get(lost.link)?.lose(lost);
    });
  }

  /** How many sockets are open. */
  get count(): number {
    return this.#links.size;
  }

  add(link: Link): void {
    this.#links.set(link.id, link);
  }

  remove(id: SocketId): void {
    this.#links.delete(id);
  }
}
