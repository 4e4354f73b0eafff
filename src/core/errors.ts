/**
 * Everything that can be wrong with a request, as one union. The code is what clients see as
 * `extensions.code`; it never changes its meaning. Anything else that is thrown is a fault of ours.
 */
import type { EventReason, Platform } from './enums.ts';

export type ErrorDetails =
  | { readonly code: 'UNAUTHENTICATED' }
  | { readonly code: 'FORBIDDEN' }
  | { readonly code: 'BAD_USER_INPUT' }
  | {
      readonly code: 'SESSION_ENDED';
      readonly reason: EventReason;
      /** Milliseconds since 1970. */
      readonly endedAt: number;
      readonly kickedBy: Platform | null;
    }
  | { readonly code: 'TOO_MANY_USERS' }
  | { readonly code: 'CURSOR_EXPIRED' }
  | { readonly code: 'RATE_LIMITED'; readonly retryAfterMs: number }
  | { readonly code: 'OVERLOADED'; readonly retryAfterMs: number };

/** A refusal that the caller is told in full: its message and its fault are safe to show. */
export class DomainError extends Error {
  readonly details: ErrorDetails;

  constructor(fault: ErrorDetails, message: string) {
    super(message);
    this.name = 'DomainError';
    this.details = fault;
  }
}

export const badUserInputError = (message: string): DomainError => new DomainError({ code: 'BAD_USER_INPUT' }, message);

export const unauthenticatedError = (message: string): DomainError =>
  new DomainError({ code: 'UNAUTHENTICATED' }, message);

export const forbiddenError = (message: string): DomainError => new DomainError({ code: 'FORBIDDEN' }, message);
