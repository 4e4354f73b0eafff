/**
 * Plain numbers about what the server has done since it started. The code that does something increments a number; the
 * metrics read it. Values that clients choose freely have no counter of their own.
 */
import { CloseCode } from 'graphql-ws';
import type { Caller } from '../../app/auth/caller.ts';
import { LATENCY_BUCKETS_MS, Histogram } from '../../app/shared/histogram.ts';
import { SERVER_CLOSE_CODES } from '../wire/close-codes.ts';
import { RejectionCounters } from './rejection-counters.ts';

export type Transport = 'http' | 'websocket';
export type CallerKind = 'unauthenticated' | 'user' | 'session' | 'backend';
/** `invalid`: the request failed before its operation was selected. */
export type OperationKind = 'query' | 'mutation' | 'subscription' | 'invalid';

/** A counter with one value for each known label, and one for all other labels together. */
export class LabelledCounter {
  readonly #counts: Map<string, number>;
  readonly #otherLabel: string | null;

  /** @param otherLabel counts all labels that are not known; null: an unknown label is an error. */
  constructor(knownLabels: Iterable<string>, otherLabel: string | null) {
    this.#counts = new Map(Array.from(knownLabels, (label) => [label, 0]));
    this.#otherLabel = otherLabel;
    if (otherLabel !== null) this.#counts.set(otherLabel, 0);
  }

  /** @throws Error for an unknown label, if there is no other label. */
  increment(label: string, by = 1): void {
    const count = this.#counts.get(label);
    if (count !== undefined) this.#counts.set(label, count + by);
    else if (this.#otherLabel === null) throw new Error(`The counter has no label ${label}.`);
    else this.increment(this.#otherLabel, by);
  }

  /** Iterates over labels and counts. */
  [Symbol.iterator](): IterableIterator<[string, number]> {
    return this.#counts.entries();
  }
}

/** All values of `extensions.code`. */
export const KNOWN_ERROR_CODES: readonly string[] = [
  ...['UNAUTHENTICATED', 'FORBIDDEN', 'BAD_USER_INPUT', 'SESSION_ENDED', 'TOO_MANY_USERS', 'CURSOR_EXPIRED'],
  ...['RATE_LIMITED', 'OVERLOADED', 'INTERNAL_SERVER_ERROR'],
  ...['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'OPERATION_RESOLUTION_FAILURE', 'BAD_REQUEST'],
  ...['PERSISTED_QUERY_NOT_SUPPORTED', 'REQUEST_ENTITY_TOO_LARGE'],
];

/** Codes of RFC 6455: normal closure, protocol error, unsupported data, no close frame, not UTF-8, message too big. */
const PROTOCOL_CLOSE_CODES = [1000, 1002, 1003, 1006, 1007, 1009];
const CLOSE_CODES = new Set(
  [...PROTOCOL_CLOSE_CODES, ...Object.values(SERVER_CLOSE_CODES), ...Object.values(CloseCode)].filter(
    (code) => typeof code === 'number',
  ),
);

/** Counts the operations of one transport. */
export class OperationCounters {
  /** Operations that were answered; subscriptions that were started. */
  readonly answered: Record<OperationKind, number> = { query: 0, mutation: 0, subscription: 0, invalid: 0 };
  /** Errors in these answers, by code. */
  readonly errors = new LabelledCounter(KNOWN_ERROR_CODES, 'OTHER');
  /** Time from reading a query or mutation until its answer is written, in ms. */
  readonly durations = new Histogram(LATENCY_BUCKETS_MS);
}

export class ServerCounters {
  readonly operations: Readonly<Record<Transport, OperationCounters>> = {
    http: new OperationCounters(),
    websocket: new OperationCounters(),
  };
  /** Sockets that are open now, by kind of caller. */
  readonly openSockets: Record<CallerKind, number> = { unauthenticated: 0, user: 0, session: 0, backend: 0 };
  /** Sockets with changes to send whose clients have not read what was sent before. */
  backloggedSockets = 0;
  /** Closed sockets, by the code that the server sent. `client`: the client closed it. 1006: no close frame was sent. */
  readonly closedSockets = new LabelledCounter(['client', ...Array.from(CLOSE_CODES, String)], 'other');
  /** Rejected upgrades to WebSocket, by HTTP status. */
  readonly rejectedUpgrades = new LabelledCounter(['400', '403', '404', '405', '429', '503'], 'other');
  /** HTTP responses, by the first digit of their status. */
  readonly httpResponses = new LabelledCounter(['1xx', '2xx', '3xx', '4xx', '5xx'], 'other');
  readonly rejections = new RejectionCounters();
  /** Internal errors, whether or not a client received one. */
  internalErrors = 0;
  /** Failed attempts to fetch the JWKS. */
  jwksFailures = 0;
}

export const getCallerKind = (caller: Caller): CallerKind => {
  if (caller.kind !== 'app') return caller.kind;
  return caller.sessionId === null ? 'user' : 'session';
};
