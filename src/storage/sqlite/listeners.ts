/** Those who are told of whatever happens of one kind. */
export class Listeners<Told> {
  readonly #listeners = new Set<(told: Told) => void>();

  /** @returns what ends it. A listener that is added twice is called twice. */
  add(listener: (told: Told) => void): () => void {
    const own = (told: Told): void => listener(told);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  tell(told: Told): void {
    for (const listener of this.#listeners) tellOne(listener, told);
  }
}

/** A listener must not throw. One that does is a fault to be seen, but not by those who wait for their commit. */
const tellOne = <Told>(listener: (told: Told) => void, told: Told): void => {
  try {
    listener(told);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
};
