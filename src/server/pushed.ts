/**
 * A subscription to changes of status over a socket. Its first answer is pulled like those of any other
 * subscription; from then on nobody pulls: what there is to tell is put into the socket's outbox, round
 * by round, as long as the client reads.
 */
import type { Watcher } from '../app/watchers.ts';
import type { StatusChange } from '../core/record.ts';
import type { Feeder, Outbox } from './outbox.ts';
import type { Rounds, Told } from './rounds.ts';
import type { Shape } from './shapes.ts';

/** Where what is pushed goes. */
export interface Outlet {
  /** The client's name for the subscription. */
  readonly id: string;
  readonly outbox: Outbox;
  readonly rounds: Rounds;
}

type Present = IteratorResult<readonly StatusChange[], undefined>;
const DONE: Present = { done: true, value: undefined };

/** Yields the present; the pull after that is answered when the subscription is over, or fails. */
export class Pushed implements AsyncIterator<readonly StatusChange[], undefined>, Told, Feeder {
  readonly #watcher: Watcher;
  readonly #shape: Shape;
  readonly #outlet: Outlet;
  #begun = false;
  #over = false;
  /** It is to be told in the next round. */
  #due = false;
  #end: { resolve(answer: Present): void; reject(error: unknown): void } | null = null;

  constructor(watcher: Watcher, shape: Shape, outlet: Outlet) {
    this.#watcher = watcher;
    this.#shape = shape;
    this.#outlet = outlet;
  }

  async next(): Promise<Present> {
    if (this.#over) return DONE;
    if (!this.#begun) {
      this.#begun = true;
      return { done: false, value: await this.#watcher.present() };
    }
    return new Promise((resolve, reject) => {
      this.#end = { resolve, reject };
      this.#outlet.outbox.attach(this);
      // The present is on its way.
      this.#watcher.listen(this);
    });
  }

  return(): Promise<Present> {
    if (!this.#over) {
      this.#over = true;
      this.#outlet.outbox.detach(this);
      this.#watcher.closed();
      this.#end?.resolve(DONE);
    }
    return Promise.resolve(DONE);
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
    const changes = this.#watcher.changes();
    if (changes === null) return;
    try {
      outbox.sendNow(this.#shape.frame(id, changes, rounds));
    } catch (error) {
      this.#end?.reject(error);
    }
  }
}
