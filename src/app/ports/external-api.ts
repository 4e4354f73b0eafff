/**
 * An API of another product in front of the same use cases, as the door that carries it sees it. Whoever calls it is a
 * backend, and proves it in the head of the request, so that nobody else's body is read.
 */
import type { DomainError } from '../../core/errors.ts';

/** A request as far as it can be told before its body is read. */
export interface ExternalApiRequestHead {
  readonly method: string;
  /** As it was sent, up to the query. */
  readonly path: string;
  /** What comes after the `?`, as it was sent; empty without one. */
  readonly query: string;
}

export interface ExternalApiResponse {
  /** Of HTTP. */
  readonly status: number;
  /** Sent as JSON. */
  readonly body: object;
}

/** A call by somebody who may make it. */
export interface ExternalApiCall {
  /** The field of our own API that does as much: the call is counted as that one, and put off when that one is. */
  readonly equivalentOperation: { readonly kind: 'query' | 'mutation'; readonly field: string };
  /** @throws DomainError for whatever is wrong with the request; then nothing has changed. */
  execute(body: string): Promise<ExternalApiResponse>;
}

export interface ExternalApi {
  /** Its paths begin so, and no others do. */
  readonly pathPrefix: string;
  /** Is it, at a glance, somebody who was let in before? She is let in, or not, however many others come from there. */
  isKnownCaller(head: ExternalApiRequestHead): boolean;
  /** @throws DomainError for whoever may not call that, and for paths that there are not. */
  authorizeCall(head: ExternalApiRequestHead): Promise<ExternalApiCall>;
  /** How it tells that something went wrong. Null: by a fault of ours, of which no more is told. */
  createErrorResponse(error: DomainError | null): ExternalApiResponse;
}
