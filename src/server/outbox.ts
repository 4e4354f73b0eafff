/**
 * What goes out over sockets: all that one socket is sent within a turn of the event loop leaves in one
 * write at the end of that turn, which costs about as much as each message would by itself.
 */
import type { Duplex } from 'node:stream';
import { wireBytes, type Part } from './frames.ts';

/** Flushes the outboxes that have something to send, once a turn. */
export class Outboxes {
  #waiting: Outbox[] = [];
  readonly #flush = (): void => {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const outbox of waiting) outbox.flush();
  };

  add(outbox: Outbox): void {
    if (this.#waiting.push(outbox) === 1) setImmediate(this.#flush);
  }
}

export class Outbox {
  readonly #outboxes: Outboxes;
  readonly #socket: Duplex;
  readonly #onFailure: () => void;
  /** What is to leave with the next write; null: nothing. */
  #parts: Part[] | null = null;
  /** Of `#parts`, about. */
  #bytes = 0;
  /** Whoever waits until `#parts` are on their way waits for the same. */
  #sent: Promise<void> | null = null;
  #tellSent: (() => void) | null = null;

  /**
   * @param socket which nobody else writes parts of frames to.
   * @param onFailure what was written cannot go out: the client has gone.
   */
  constructor(outboxes: Outboxes, socket: Duplex, onFailure: () => void) {
    this.#outboxes = outboxes;
    this.#socket = socket;
    this.#onFailure = onFailure;
  }

  /** How much has not left this process, in bytes; of what was sent in this turn, in characters. */
  get unread(): number {
    return this.#socket.writableLength + this.#bytes;
  }

  /** Resolves when the bytes are on their way, or cannot be any more. */
  send(text: string): Promise<void> {
    this.put(text);
    this.#sent ??= new Promise((resolve) => {
      this.#tellSent = resolve;
    });
    return this.#sent;
  }

  /** The same, when nobody waits for it. */
  put(part: Part): void {
    this.#bytes += part.length;
    if (this.#parts !== null) this.#parts.push(part);
    else {
      this.#parts = [part];
      this.#outboxes.add(this);
    }
  }

  /** At once what would leave at the end of this turn: after it comes what is written past the outbox. */
  flush(): void {
    const parts = this.#parts;
    if (parts === null) return;
    const tellSent = this.#tellSent;
    this.#parts = null;
    this.#bytes = 0;
    this.#sent = null;
    this.#tellSent = null;
    // Closed meanwhile, which others are told of.
    if (!this.#socket.writable) return tellSent?.();
    this.#socket.write(wireBytes(parts), (error) => {
      if (error != null) this.#onFailure();
      tellSent?.();
    });
  }
}
