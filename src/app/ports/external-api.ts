/**
 * An API of another product in front of the same use cases, as the door that carries it sees it. Whoever calls it is a
 * backend, and proves it in the head of the request, so that nobody else's body is read.
 */
import type { DomainError } from '../../core/errors.ts';

/** A request as far as it can be told before its body is read. */
export interface ForeignHead {
  readonly method: string;
  /** As it was sent, up to the query. */
  readonly path: string;
  /** What comes after the `?`, as it was sent; empty without one. */
  readonly query: string;
}

export interface ForeignAnswer {
  /** Of HTTP. */
  readonly status: number;
  /** Sent as JSON. */
  readonly body: object;
}

/** A call by somebody who may make it. */
export interface ForeignCall {
  /** The field of our own API that does as much: the call is counted as that one, and put off when that one is. */
  readonly like: { readonly kind: 'query' | 'mutation'; readonly field: string };
  /** @throws DomainError for whatever is wrong with the request; then nothing has changed. */
  answer(body: string): Promise<ForeignAnswer>;
}

export interface ForeignApi {
  /** Its paths begin so, and no others do. */
  readonly prefix: string;
  /** Is it, at a glance, somebody who was let in before? She is let in, or not, however many others come from there. */
  knows(head: ForeignHead): boolean;
  /** @throws DomainError for whoever may not call that, and for paths that there are not. */
  call(head: ForeignHead): Promise<ForeignCall>;
  /** How it tells that something went wrong. Null: by a fault of ours, of which no more is told. */
  refusal(error: DomainError | null): ForeignAnswer;
}
