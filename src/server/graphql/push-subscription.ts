/**
 * A subscription to changes of status over a socket. The present is asked for; from then on nobody asks:
 * what there is to tell is put into the socket's outbox, round by round, as long as the client reads.
 */
import type { ExecutionResult } from 'graphql';
import type { Watcher } from '../../app/presence/status-watchers.ts';
import type { Operation } from './operation.ts';
import type { DrainListener, SendBuffer } from '../wire/send-buffer.ts';
import type { FanoutScheduler, FanoutRecipient } from './fanout-scheduler.ts';
import type { SharedResult, SharedResultCache } from './shared-results.ts';

/** Where what is pushed goes. */
export interface PushTarget {
  /** The client's name for the subscription. */
  readonly id: string;
  readonly operation: Operation;
  readonly sendBuffer: SendBuffer;
  readonly fanoutScheduler: FanoutScheduler;
  /** There is something that cannot be told. */
  onPushError(error: unknown): void;
}

export class PushSubscription implements FanoutRecipient, DrainListener {
  readonly #watcher: Watcher;
  readonly #shapes: SharedResultCache;
  readonly #shape: SharedResult;
  readonly #outlet: PushTarget;
  #over = false;
  /** It is to be told in the next round. */
  #due = false;

  /** @param shape which is given back to `shapes` in the end. */
  constructor(watcher: Watcher, shape: SharedResult, shapes: SharedResultCache, outlet: PushTarget) {
    this.#watcher = watcher;
    this.#shape = shape;
    this.#shapes = shapes;
    this.#outlet = outlet;
  }

  /** To be told before `listen` is called. */
  async readSnapshot(): Promise<ExecutionResult> {
    return this.#shape.result(await this.#watcher.present());
  }

  /** From now on all changes since the present are told. False: it is over. */
  startPushing(): boolean {
    if (this.#over) return false;
    this.#outlet.sendBuffer.addDrainListener(this);
    this.#watcher.listen(this);
    return true;
  }

  /** Nothing more is told. */
  return(): void {
    if (this.#over) return;
    this.#over = true;
    this.#outlet.sendBuffer.removeDrainListener(this);
    this.#watcher.closed();
    this.#shapes.release(this.#shape, this.#outlet.operation);
  }

  /** There is something to tell, or room to tell it in. */
  onDrain(): void {
    if (this.#due) return;
    this.#due = true;
    this.#outlet.fanoutScheduler.scheduleDelivery(this);
  }

  deliverPending(): void {
    this.#due = false;
    const { id, sendBuffer: outbox, fanoutScheduler: rounds } = this.#outlet;
    // Until there is room what happens is conflated, and then it is woken.
    if (this.#over || !outbox.isDrained()) return;
    // Whatever goes wrong is hers alone: the others of the round are told all the same.
    try {
      const changes = this.#watcher.changes();
      if (changes !== null) outbox.sendImmediately(this.#shape.encodeFrame(id, changes, rounds));
    } catch (error) {
      this.#outlet.onPushError(error);
    }
  }
}
