/**
 * Sockets that are gone and whose sessions could not be told, because nothing could be written: nobody else
 * will ever tell of them, so they are told again until they are heard.
 */
import { DomainError } from '../../core/errors.ts';
import type { SocketId, UserId } from '../../core/ids.ts';

export interface ClosedSocket {
  readonly userId: UserId;
  readonly socketId: SocketId;
  /** Closed for the server's own reasons. */
  readonly closedByServer: boolean;
}

/** Told at once, so that thousands do not stall everybody else. */
const MAX_CONCURRENT_RETRIES = 256;

export class DisconnectRetries {
  readonly #pending = new Map<SocketId, ClosedSocket>();
  readonly #detach: (departure: ClosedSocket) => Promise<unknown>;

  constructor(tell: (departure: ClosedSocket) => Promise<unknown>) {
    this.#detach = tell;
  }

  /** Resolves when it is told, or will be. @throws what is no refusal but a fault of the store. */
  async detachOrRetryLater(departure: ClosedSocket): Promise<void> {
    try {
      await this.#detach(departure);
      this.#pending.delete(departure.socketId);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      this.#pending.set(departure.socketId, departure);
    }
  }

  /** Tells again: one, and where that is heard, all the others. */
  async retryPending(): Promise<void> {
    for (let count = 1; this.#pending.size > 0; count = MAX_CONCURRENT_RETRIES) {
      const untold = [...this.#pending.values()].slice(0, count);
      await Promise.all(untold.map((departure) => this.detachOrRetryLater(departure)));
      if (untold.some(({ socketId: link }) => this.#pending.has(link))) return;
    }
  }
}
