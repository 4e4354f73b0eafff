/** The listeners of one kind of notification. */
export class ListenerSet<Value> {
  readonly #listeners = new Set<(value: Value) => void>();

  /**
   * Adds a listener. One that is added twice is called twice.
   * @returns a function that removes it.
   */
  addListener(listener: (value: Value) => void): () => void {
    const registered = (value: Value): void => listener(value);
    this.#listeners.add(registered);
    return () => {
      this.#listeners.delete(registered);
    };
  }

  notifyAll(value: Value): void {
    for (const listener of this.#listeners) notifyListener(listener, value);
  }
}

/**
 * A listener must not throw. An error is rethrown in a microtask, so that it is reported without affecting the
 * commit.
 */
const notifyListener = <Value>(listener: (value: Value) => void, value: Value): void => {
  try {
    listener(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
};
