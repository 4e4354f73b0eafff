/** Places in a store where a call can be stopped until the test lets it go on, or be made to fail. */
import { deferred, type Deferred } from './waiting.ts';

/** In the order in which an update passes the first three. */
export type Place =
  'before deciding' | 'before telling' | 'before answering' | 'before reading' | 'after reading' | 'reading the log';

export type Pass = (place: Place) => Promise<void>;

interface Gate {
  /** Resolves when a call has come to the gate. */
  readonly reached: Deferred<void>;
  readonly opened: Deferred<void>;
}

export class Gates {
  readonly #held = new Map<Place, Gate>();
  readonly #failures = new Map<Place, Error>();

  /** Stops every call at the place; the promise tells when the first has come there. */
  hold(place: Place): Promise<void> {
    const gate = { reached: deferred<void>(), opened: deferred<void>() };
    this.#held.set(place, gate);
    return gate.reached.promise;
  }

  open(place: Place): void {
    this.#held.get(place)?.opened.resolve();
    this.#held.delete(place);
  }

  /** The next call that passes the place fails with the error. */
  fail(place: Place, error: Error): void {
    this.#failures.set(place, error);
  }

  pass = async (place: Place): Promise<void> => {
    const gate = this.#held.get(place);
    if (gate !== undefined) {
      gate.reached.resolve();
      await gate.opened.promise;
    }
    const failure = this.#failures.get(place);
    if (failure === undefined) return;
    this.#failures.delete(place);
    throw failure;
  };
}
