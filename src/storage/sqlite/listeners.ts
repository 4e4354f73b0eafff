/** Those who are told of whatever happens of one kind. */
export class ListenerSet<Value> {
  readonly #listeners = new Set<(told: Value) => void>();

  /** @returns what ends it. A listener that is added twice is called twice. */
  addListener(listener: (told: Value) => void): () => void {
    const registered = (told: Value): void => listener(told);
    this.#listeners.add(registered);
    return () => {
      this.#listeners.delete(registered);
    };
  }

  notifyAll(told: Value): void {
    for (const listener of this.#listeners) notifyListener(listener, told);
  }
}

/** A listener must not throw. One that does is a fault to be seen, but not by those who wait for their commit. */
const notifyListener = <Value>(listener: (told: Value) => void, told: Value): void => {
  try {
    listener(told);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
};
