/**
 * Outgoing bytes of WebSockets. All that one socket sends within a turn of the event loop leaves in one write at the
 * end of the turn. That write costs about as much as a write of each message would.
 */
import type { Duplex } from 'node:stream';
import { encodeFrames, type OutgoingMessage } from './frames.ts';

/** Flushes the send buffers that hold data, once per turn of the event loop. */
export class FlushScheduler {
  readonly counters: { backloggedSockets: number };
  #scheduled: SendBuffer[] = [];
  readonly #flushAll = (): void => {
    const scheduled = this.#scheduled;
    this.#scheduled = [];
    for (const buffer of scheduled) buffer.flush();
  };

  /** @param counters counts the sockets that have changes to send but whose earlier data is unsent. */
  constructor(counters = { backloggedSockets: 0 }) {
    this.counters = counters;
  }

  scheduleFlush(buffer: SendBuffer): void {
    if (this.#scheduled.push(buffer) === 1) setImmediate(this.#flushAll);
  }
}

const RESOLVED = Promise.resolve();
/** Characters that a socket may send in one turn before the sender has to wait. */
const BACKPRESSURE_THRESHOLD = 16 * 1024;

/** A sender that sends by itself whenever it has data and the buffer is drained. */
export interface DrainListener {
  /** Called when the buffer is drained. */
  onDrain(): void;
  /** Sends pending data at once if the buffer is drained. Called before the buffer closes. */
  deliverPending(): void;
}

export class SendBuffer {
  readonly #flushScheduler: FlushScheduler;
  readonly #socket: Duplex;
  readonly #owner: { onWriteError(): void };
  /** The messages of the next write, or null if there are none. */
  #messages: OutgoingMessage[] | null = null;
  /** The approximate size of `#messages`: characters of texts and bytes of frames. */
  #queuedLength = 0;
  /** Shared by all senders that wait for `#messages` to be written. */
  #flushed: Promise<void> | null = null;
  #resolveFlushed: (() => void) | null = null;
  #drainListeners: DrainListener[] | null = null;
  /** A drain listener found the buffer not drained. */
  #isDrainAwaited = false;
  #isClosed = false;

  /**
   * @param socket has no other writer until `flushAndClose`.
   * @param owner is called when a write fails because the peer is disconnected.
   */
  constructor(flushScheduler: FlushScheduler, socket: Duplex, owner: { onWriteError(): void }) {
    this.#flushScheduler = flushScheduler;
    this.#socket = socket;
    this.#owner = owner;
  }

  /** Data that has not left this process: in bytes, except for messages of this turn, which count in characters. */
  get unsentBytes(): number {
    return this.#socket.writableLength + this.#queuedLength;
  }

  /**
   * Resolves at once while the client keeps up and this turn sends little. Otherwise it resolves when the data is
   * written or dropped, so that the sender waits for a slow reader.
   */
  enqueueWithBackpressure(text: string): Promise<void> {
    if (this.#isClosed) return RESOLVED;
    this.enqueue(text);
    if (this.#queuedLength <= BACKPRESSURE_THRESHOLD && this.#socket.writableLength === 0) return RESOLVED;
    this.#flushed ??= new Promise((resolve) => {
      this.#resolveFlushed = resolve;
    });
    return this.#flushed;
  }

  /** Sends at the end of this turn, without backpressure. */
  enqueue(message: OutgoingMessage): void {
    if (this.#isClosed) return;
    this.#queuedLength += message.length;
    if (this.#messages !== null) this.#messages.push(message);
    else {
      this.#messages = [message];
      this.#flushScheduler.scheduleFlush(this);
    }
  }

  /** Sends at once, after all messages that are queued for the end of this turn. */
  enqueueAndFlush(frame: Buffer): void {
    if (this.#isClosed) return;
    if (this.#messages === null) return this.#write(frame, null);
    this.#messages.push(frame);
    this.flush();
  }

  /** True if the socket has no unsent data. Otherwise all drain listeners are called when it has none. */
  isDrained(): boolean {
    if (this.#socket.writableLength === 0) return true;
    if (!this.#isDrainAwaited && !this.#isClosed) {
      this.#isDrainAwaited = true;
      this.#flushScheduler.counters.backloggedSockets++;
    }
    return false;
  }

  addDrainListener(listener: DrainListener): void {
    if (this.#drainListeners === null) this.#drainListeners = [listener];
    else this.#drainListeners.push(listener);
  }

  removeDrainListener(listener: DrainListener): void {
    const others = this.#drainListeners?.filter((other) => other !== listener) ?? [];
    this.#drainListeners = others.length > 0 ? others : null;
  }

  /** Sends the queued messages and, if the buffer is drained, the pending data of the drain listeners. Then closes. */
  flushAndClose(): void {
    if (this.#drainListeners !== null) for (const listener of this.#drainListeners) listener.deliverPending();
    this.flush();
    this.discardFurtherMessages();
  }

  discardFurtherMessages(): void {
    this.#isClosed = true;
    if (this.#isDrainAwaited) this.#endBacklog();
  }

  /** Writes the queued messages now. */
  flush(): void {
    const messages = this.#messages;
    if (messages === null) return;
    const resolveFlushed = this.#resolveFlushed;
    this.#messages = null;
    this.#queuedLength = 0;
    this.#flushed = null;
    this.#resolveFlushed = null;
    this.#write(encodeFrames(messages), resolveFlushed);
  }

  #write(bytes: Buffer, onWritten: (() => void) | null): void {
    // The socket's close event reports a disconnected peer elsewhere.
    if (!this.#socket.writable) return onWritten?.();
    this.#socket.write(bytes, (error) => {
      if (error != null) this.#owner.onWriteError();
      else if (this.#isDrainAwaited && this.#socket.writableLength === 0) this.#notifyDrainListeners();
      onWritten?.();
    });
  }

  #endBacklog(): void {
    this.#isDrainAwaited = false;
    this.#flushScheduler.counters.backloggedSockets--;
  }

  #notifyDrainListeners(): void {
    this.#endBacklog();
    if (this.#drainListeners !== null) for (const listener of this.#drainListeners) listener.onDrain();
  }
}
