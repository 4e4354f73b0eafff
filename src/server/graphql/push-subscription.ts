/**
 * A subscription to changes of status over a socket. The present is asked for; from then on nobody asks:
 * what there is to tell is put into the socket's outbox, round by round, as long as the client reads.
 */
import type { ExecutionResult } from 'graphql';
import type { Watcher } from '../../app/presence/status-watchers.ts';
import type { Operation } from './document-cache.ts';
import type { Feeder, SendBuffer } from '../wire/send-buffer.ts';
import type { Rounds, Told } from './fanout-scheduler.ts';
import type { Shape, Shapes } from './shared-results.ts';

/** Where what is pushed goes. */
export interface Outlet {
  /** The client's name for the subscription. */
  readonly id: string;
  readonly operation: Operation;
  readonly outbox: SendBuffer;
  readonly rounds: Rounds;
  /** There is something that cannot be told. */
  failed(error: unknown): void;
}

export class Pushed implements Told, Feeder {
  readonly #watcher: Watcher;
  readonly #shapes: Shapes;
  readonly #shape: Shape;
  readonly #outlet: Outlet;
  #over = false;
  /** It is to be told in the next round. */
  #due = false;

  /** @param shape which is given back to `shapes` in the end. */
  constructor(watcher: Watcher, shape: Shape, shapes: Shapes, outlet: Outlet) {
    this.#watcher = watcher;
    this.#shape = shape;
    this.#shapes = shapes;
    this.#outlet = outlet;
  }

  /** To be told before `listen` is called. */
  async present(): Promise<ExecutionResult> {
    return this.#shape.result(await this.#watcher.present());
  }

  /** From now on all changes since the present are told. False: it is over. */
  listen(): boolean {
    if (this.#over) return false;
    this.#outlet.outbox.attach(this);
    this.#watcher.listen(this);
    return true;
  }

  /** Nothing more is told. */
  return(): void {
    if (this.#over) return;
    this.#over = true;
    this.#outlet.outbox.detach(this);
    this.#watcher.closed();
    this.#shapes.release(this.#shape, this.#outlet.operation);
  }

  /** There is something to tell, or room to tell it in. */
  wake(): void {
    if (this.#due) return;
    this.#due = true;
    this.#outlet.rounds.add(this);
  }

  tell(): void {
    this.#due = false;
    const { id, outbox, rounds } = this.#outlet;
    // Until there is room what happens is conflated, and then it is woken.
    if (this.#over || !outbox.hasRoom()) return;
    // Whatever goes wrong is hers alone: the others of the round are told all the same.
    try {
      const changes = this.#watcher.changes();
      if (changes !== null) outbox.sendNow(this.#shape.frame(id, changes, rounds));
    } catch (error) {
      this.#outlet.failed(error);
    }
  }
}
