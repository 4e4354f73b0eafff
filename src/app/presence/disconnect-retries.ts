/**
 * Retries the detach of closed sockets while the store rejects writes. A socket closes only once, so a lost detach would
 * leave its session attached.
 */
import { DomainError } from '../../core/errors.ts';
import type { SocketId, UserId } from '../../core/ids.ts';

export interface ClosedSocket {
  readonly userId: UserId;
  readonly socketId: SocketId;
  /** The server closed it for its own reasons. */
  readonly closedByServer: boolean;
}

/** Limits how many retries run at once, so that thousands of them do not delay other work. */
const MAX_CONCURRENT_RETRIES = 256;

export class DisconnectRetries {
  readonly #pending = new Map<SocketId, ClosedSocket>();
  readonly #detach: (socket: ClosedSocket) => Promise<unknown>;

  constructor(detach: (socket: ClosedSocket) => Promise<unknown>) {
    this.#detach = detach;
  }

  /**
   * Resolves when the socket is detached, or queued for a retry because the store rejected the write.
   * @throws any error that is not a `DomainError`.
   */
  async detachOrRetryLater(socket: ClosedSocket): Promise<void> {
    try {
      await this.#detach(socket);
      this.#pending.delete(socket.socketId);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      this.#pending.set(socket.socketId, socket);
    }
  }

  /** Retries one socket first, and the others only if that succeeds. Stops at the first failure. */
  async retryPending(): Promise<void> {
    for (let count = 1; this.#pending.size > 0; count = MAX_CONCURRENT_RETRIES) {
      const batch = [...this.#pending.values()].slice(0, count);
      await Promise.all(batch.map((socket) => this.detachOrRetryLater(socket)));
      if (batch.some(({ socketId }) => this.#pending.has(socketId))) return;
    }
  }
}
