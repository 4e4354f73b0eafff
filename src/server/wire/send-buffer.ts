/**
 * What goes out over sockets: all that one socket is sent within a turn of the event loop leaves in one
 * write at the end of that turn, which costs about as much as each message would by itself.
 */
import type { Duplex } from 'node:stream';
import { encodeFrames, type OutgoingMessage } from './frames.ts';

/** Flushes the outboxes that have something to send, once a turn. */
export class FlushScheduler {
  readonly counters: { behind: number };
  #waiting: SendBuffer[] = [];
  readonly #flush = (): void => {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const outbox of waiting) outbox.flush();
  };

  /** @param counts where sockets are counted that have something to be told and no room for it. */
  constructor(counts = { backloggedSockets: 0 }) {
    this.counters = counts;
  }

  scheduleFlush(outbox: SendBuffer): void {
    if (this.#waiting.push(outbox) === 1) setImmediate(this.#flush);
  }
}

const SENT = Promise.resolve();
/** How much, in characters, a socket may be sent in a turn before whoever sends has to wait. */
const AT_ONCE = 16 * 1024;

/** Sends by itself whenever it has something and there is room. */
export interface DrainListener {
  /** There is room again. */
  onDrain(): void;
  /** At once, if there is something, and room. */
  deliverPending(): void;
}

export class SendBuffer {
  readonly #outboxes: FlushScheduler;
  readonly #socket: Duplex;
  readonly #owner: { unwritable(): void };
  /** What is to leave with the next write; null: nothing. */
  #parts: OutgoingMessage[] | null = null;
  /** Of `#parts`, about. */
  #bytes = 0;
  /** Whoever waits until `#parts` are on their way waits for the same. */
  #sent: Promise<void> | null = null;
  #tellSent: (() => void) | null = null;
  #feeders: DrainListener[] | null = null;
  /** One of them waits for room. */
  #awaited = false;
  #closed = false;

  /**
   * @param socket which nobody else writes to before `close`.
   * @param owner hears that what was written cannot go out: the client has gone.
   */
  constructor(outboxes: FlushScheduler, socket: Duplex, owner: { unwritable(): void }) {
    this.#outboxes = outboxes;
    this.#socket = socket;
    this.#owner = owner;
  }

  /** How much has not left this process, in bytes; of what was sent in this turn, in characters. */
  get unsentBytes(): number {
    return this.#socket.writableLength + this.#bytes;
  }

  /**
   * Resolves at once as long as the client keeps up and little was sent in this turn; otherwise when the
   * bytes are on their way, or cannot be any more, so that whoever produces them waits for a slow reader.
   */
  enqueueWithBackpressure(text: string): Promise<void> {
    if (this.#closed) return SENT;
    this.enqueue(text);
    if (this.#bytes <= AT_ONCE && this.#socket.writableLength === 0) return SENT;
    this.#sent ??= new Promise((resolve) => {
      this.#tellSent = resolve;
    });
    return this.#sent;
  }

  /** The same, when nobody waits for it. */
  enqueue(part: OutgoingMessage): void {
    if (this.#closed) return;
    this.#bytes += part.length;
    if (this.#parts !== null) this.#parts.push(part);
    else {
      this.#parts = [part];
      this.#outboxes.scheduleFlush(this);
    }
  }

  /** The same, and at once, with all that was to leave at the end of this turn. */
  sendImmediately(frame: Buffer): void {
    if (this.#closed) return;
    if (this.#parts === null) return this.#write(frame, null);
    this.#parts.push(frame);
    this.flush();
  }

  /** Has everything left this process? If not, every feeder is woken when it has. */
  isDrained(): boolean {
    if (this.#socket.writableLength === 0) return true;
    if (!this.#awaited && !this.#closed) {
      this.#awaited = true;
      this.#outboxes.counters.behind++;
    }
    return false;
  }

  addDrainListener(feeder: DrainListener): void {
    if (this.#feeders === null) this.#feeders = [feeder];
    else this.#feeders.push(feeder);
  }

  removeDrainListener(feeder: DrainListener): void {
    const others = this.#feeders?.filter((other) => other !== feeder) ?? [];
    this.#feeders = others.length > 0 ? others : null;
  }

  /** The last that goes out: what was sent, and what feeders have yet to tell, if there is room. */
  flushAndClose(): void {
    if (this.#feeders !== null) for (const feeder of this.#feeders) feeder.deliverPending();
    this.flush();
    this.discard();
  }

  /** Nothing goes out any more. */
  discard(): void {
    this.#closed = true;
    if (this.#awaited) this.#hasCaughtUp();
  }

  /** At once what would leave at the end of this turn. */
  flush(): void {
    const parts = this.#parts;
    if (parts === null) return;
    const tellSent = this.#tellSent;
    this.#parts = null;
    this.#bytes = 0;
    this.#sent = null;
    this.#tellSent = null;
    this.#write(encodeFrames(parts), tellSent);
  }

  #write(bytes: Buffer, tellSent: (() => void) | null): void {
    // Gone meanwhile, which others are told of.
    if (!this.#socket.writable) return tellSent?.();
    this.#socket.write(bytes, (error) => {
      if (error != null) this.#owner.unwritable();
      else if (this.#awaited && this.#socket.writableLength === 0) this.#wakeFeeders();
      tellSent?.();
    });
  }

  #hasCaughtUp(): void {
    this.#awaited = false;
    this.#outboxes.counters.behind--;
  }

  #wakeFeeders(): void {
    this.#hasCaughtUp();
    if (this.#feeders !== null) for (const feeder of this.#feeders) feeder.onDrain();
  }
}
