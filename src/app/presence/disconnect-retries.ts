/**
 * Sockets that are gone and whose sessions could not be told, because nothing could be written: nobody else
 * will ever tell of them, so they are told again until they are heard.
 */
import { DomainError } from '../../core/errors.ts';
import type { SocketId, UserId } from '../../core/ids.ts';

export interface Departure {
  readonly userId: UserId;
  readonly link: SocketId;
  /** Closed for the server's own reasons. */
  readonly byServer: boolean;
}

/** Told at once, so that thousands do not stall everybody else. */
const PORTION = 256;

export class Departures {
  readonly #untold = new Map<SocketId, Departure>();
  readonly #tell: (departure: Departure) => Promise<unknown>;

  constructor(tell: (departure: Departure) => Promise<unknown>) {
    this.#tell = tell;
  }

  /** Resolves when it is told, or will be. @throws what is no refusal but a fault of the store. */
  async tell(departure: Departure): Promise<void> {
    try {
      await this.#tell(departure);
      this.#untold.delete(departure.link);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      this.#untold.set(departure.link, departure);
    }
  }

  /** Tells again: one, and where that is heard, all the others. */
  async tellAgain(): Promise<void> {
    for (let count = 1; this.#untold.size > 0; count = PORTION) {
      const untold = [...this.#untold.values()].slice(0, count);
      await Promise.all(untold.map((departure) => this.tell(departure)));
      if (untold.some(({ link }) => this.#untold.has(link))) return;
    }
  }
}
