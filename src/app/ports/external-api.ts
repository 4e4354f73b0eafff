/**
 * The port for an API of another product on top of the same use cases, such as Tencent's. Only backends call it. They
 * authenticate in the request head, so the body of an unauthenticated request is not read.
 */
import type { DomainError } from '../../core/errors.ts';

/** A request before its body is read. */
export interface ExternalApiRequestHead {
  readonly method: string;
  /** As sent, without the query. */
  readonly path: string;
  /** As sent, without the `?`; empty if there is none. */
  readonly query: string;
}

export interface ExternalApiResponse {
  /** HTTP status. */
  readonly status: number;
  /** Sent as JSON. */
  readonly body: object;
}

/** An authorized call whose body is not read yet. */
export interface ExternalApiCall {
  /** The GraphQL field with the same effect. The call is counted, and rejected under overload, like that field. */
  readonly equivalentOperation: { readonly kind: 'query' | 'mutation'; readonly field: string };
  /** @throws DomainError when the request is invalid. Nothing has changed then. */
  execute(body: string): Promise<ExternalApiResponse>;
}

export interface ExternalApi {
  /** It handles all paths that start with this prefix, and no others. */
  readonly pathPrefix: string;
  /**
   * A cheap check whether the caller has authenticated before. Known callers are not affected by the rate limit of
   * their address.
   */
  isKnownCaller(head: ExternalApiRequestHead): boolean;
  /** @throws DomainError when the caller may not make the call, or the path does not exist. */
  authorizeCall(head: ExternalApiRequestHead): Promise<ExternalApiCall>;
  /** Renders an error. Null: an internal error, whose details are not disclosed. */
  createErrorResponse(error: DomainError | null): ExternalApiResponse;
}
