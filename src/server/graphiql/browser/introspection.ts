/**
 * The server tells its schema to whom it is set to, and GraphiQL asks for it once, when it starts. So its question
 * waits here until a credential is seen that may ask, and the docs come without a reload. Each is tried once.
 */

/** @returns the server's answer. */
export type IntrospectionRequest = (authorization: string) => Promise<unknown>;

const hasSchema = (answer: unknown): boolean => {
  const data = typeof answer === 'object' && answer !== null && 'data' in answer ? answer.data : null;
  return typeof data === 'object' && data !== null && '__schema' in data;
};

export class SchemaLoader {
  #candidate: string | undefined;
  #wake: (() => void)[] = [];

  /** A credential was seen: the headers of a tab were edited, or used. */
  offerCredential(authorization: string): void {
    if (authorization === this.#candidate) return;
    this.#candidate = authorization;
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** Resolves with a schema, and not before; errors are left for the operations that the user runs. */
  async loadSchema(ask: IntrospectionRequest): Promise<unknown> {
    for (;;) {
      const tried = this.#candidate;
      if (tried !== undefined) {
        const answer = await ask(tried).catch(() => undefined);
        if (hasSchema(answer)) return answer;
      }
      // Another may have come while the server was asked.
      if (tried === this.#candidate) await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}
