/**
 * GraphiQL requests the schema once, when it starts, but the server gives it only to permitted callers. The request
 * therefore waits here until a credential succeeds, and the docs appear without a reload. Each credential is tried once.
 */

/** Sends the introspection query with a credential. Resolves to the server's response. */
export type IntrospectionRequest = (authorization: string) => Promise<unknown>;

const hasSchema = (response: unknown): boolean => {
  const data = typeof response === 'object' && response !== null && 'data' in response ? response.data : null;
  return typeof data === 'object' && data !== null && '__schema' in data;
};

export class SchemaLoader {
  #candidate: string | undefined;
  #waiting: (() => void)[] = [];

  /** Called with the credential of a tab whose headers were edited or used. */
  offerCredential(authorization: string): void {
    if (authorization === this.#candidate) return;
    this.#candidate = authorization;
    for (const resume of this.#waiting.splice(0)) resume();
  }

  /** Resolves when a credential returns a schema. Errors are ignored; the user's own operations show them. */
  async loadSchema(send: IntrospectionRequest): Promise<unknown> {
    for (;;) {
      const tried = this.#candidate;
      if (tried !== undefined) {
        const response = await send(tried).catch(() => undefined);
        if (hasSchema(response)) return response;
      }
      // Another credential may have been offered meanwhile.
      if (tried === this.#candidate) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
