/**
 * The errors that a request can cause, as one union. Clients read the code as `extensions.code`; the meaning of a code
 * never changes. Any other thrown value is an internal error of the server.
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

/**
 * The retry delay, in ms, for a limit that frees up when other work ends, which cannot be predicted. A retry sooner than
 * this is unlikely to succeed.
 */
export const DEFAULT_RETRY_AFTER_MS = 1_000;

/** Rejects a request. The message and the details are safe to show to the caller. */
export class DomainError extends Error {
  readonly details: ErrorDetails;

  constructor(details: ErrorDetails, message: string) {
    super(message);
    this.name = 'DomainError';
    this.details = details;
  }
}

export const badUserInputError = (message: string): DomainError => new DomainError({ code: 'BAD_USER_INPUT' }, message);

export const unauthenticatedError = (message: string): DomainError =>
  new DomainError({ code: 'UNAUTHENTICATED' }, message);

export const forbiddenError = (message: string): DomainError => new DomainError({ code: 'FORBIDDEN' }, message);
