import type { CommittedChange } from '../../app/ports.ts';

type Listener = (changes: readonly CommittedChange[]) => void;

/** Those who are told of every commit. */
export class Listeners {
  readonly #listeners = new Set<Listener>();

  /** @returns what ends it. A listener that is added twice is called twice. */
  add(listener: Listener): () => void {
    const own: Listener = (changes) => listener(changes);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  tell(changes: readonly CommittedChange[]): void {
    if (changes.length > 0) for (const listener of this.#listeners) tellOne(listener, changes);
  }
}

/** A listener must not throw. One that does is a fault to be seen, but not by those who wait for their commit. */
const tellOne = (listener: Listener, changes: readonly CommittedChange[]): void => {
  try {
    listener(changes);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
};
