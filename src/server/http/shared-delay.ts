/** A wait of always the same length, for very many at once: those who begin within one turn of the loop share a timer. */
export class SharedDelay {
  readonly #ms: number;
  #begun: Promise<void> | null = null;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Resolves when the time, counted from now, is over. */
  wait(): Promise<void> {
    this.#begun ??= this.#begin();
    return this.#begun;
  }

  #begin(): Promise<void> {
    setImmediate(() => (this.#begun = null));
    return new Promise((resolve) => setTimeout(resolve, this.#ms));
  }
}
