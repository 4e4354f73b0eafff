/** Steps of a store where a test can hold a call until it opens the gate, or make it fail. */
import { deferred, type Deferred } from './waiting.ts';

/** An update passes the first three in this order. */
export type Place =
  'before deciding' | 'before publishing' | 'before answering' | 'before reading' | 'after reading' | 'reading the log';

export type Pass = (place: Place) => Promise<void>;

interface Gate {
  /** Resolves when a call has reached the gate. */
  readonly reached: Deferred<void>;
  readonly opened: Deferred<void>;
}

export class Gates {
  readonly #held = new Map<Place, Gate>();
  readonly #failures = new Map<Place, Error>();

  /** Holds every call at the step. The promise resolves when the first one has reached it. */
  hold(place: Place): Promise<void> {
    const gate = { reached: deferred<void>(), opened: deferred<void>() };
    this.#held.set(place, gate);
    return gate.reached.promise;
  }

  open(place: Place): void {
    this.#held.get(place)?.opened.resolve();
    this.#held.delete(place);
  }

  /** Makes the next call at the step fail with the error. */
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
