/**
 * What the doors have done since the start, as plain numbers: where it happens one is added, and whoever
 * wants to know reads them. Whatever clients choose freely has no count of its own.
 */
import { CloseCode } from 'graphql-ws';
import type { Caller } from '../../app/auth/caller.ts';
import { LATENCY_BUCKETS_MS, Histogram } from '../../app/shared/histogram.ts';
import { SERVER_CLOSE_CODES } from '../wire/close-codes.ts';
import { RejectionCounters } from './rejection-counters.ts';

export type Transport = 'http' | 'socket';
export type CallerKind = 'nobody' | 'user' | 'session' | 'backend';
/** `invalid`: it never came so far that it could be told. */
export type OperationKind = 'query' | 'mutation' | 'subscription' | 'invalid';

/** A count for each of the words it knows, and one for all others together. */
export class LabelledCounter {
  readonly #counts: Map<string, number>;
  readonly #others: string | null;

  /** @param others the name of the others; null: there are none, and one is a mistake. */
  constructor(known: Iterable<string>, others: string | null) {
    this.#counts = new Map(Array.from(known, (word) => [word, 0]));
    this.#others = others;
    if (others !== null) this.#counts.set(others, 0);
  }

  increment(word: string, by = 1): void {
    const count = this.#counts.get(word);
    if (count !== undefined) this.#counts.set(word, count + by);
    else if (this.#others === null) throw new Error(`There is no count of ${word}.`);
    else this.increment(this.#others, by);
  }

  [Symbol.iterator](): IterableIterator<[string, number]> {
    return this.#counts.entries();
  }
}

/** Every `extensions.code` there is. */
export const KNOWN_ERROR_CODES: readonly string[] = [
  ...['UNAUTHENTICATED', 'FORBIDDEN', 'BAD_USER_INPUT', 'SESSION_ENDED', 'TOO_MANY_USERS', 'CURSOR_EXPIRED'],
  ...['RATE_LIMITED', 'OVERLOADED', 'INTERNAL_SERVER_ERROR'],
  ...['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'OPERATION_RESOLUTION_FAILURE', 'BAD_REQUEST'],
];

/** Those of the WebSocket protocol itself: too slow a goodbye, protocol error, no UTF-8, too long. */
const OF_THE_PROTOCOL = [1000, 1002, 1003, 1006, 1007, 1009];
const CLOSE_CODES = new Set(
  [...OF_THE_PROTOCOL, ...Object.values(SERVER_CLOSE_CODES), ...Object.values(CloseCode)].filter(
    (code) => typeof code === 'number',
  ),
);

/** Operations of one door. */
export class OperationCounters {
  /** Once they are answered; a subscription when it has begun. */
  readonly answered: Record<OperationKind, number> = { query: 0, mutation: 0, subscription: 0, invalid: 0 };
  /** Those of `answered` that were answered with an error, by the code of each error. */
  readonly errors = new LabelledCounter(KNOWN_ERROR_CODES, 'OTHER');
  /** How long queries and mutations took, in ms, from when they were read until the answer was written. */
  readonly durations = new Histogram(LATENCY_BUCKETS_MS);
}

export class ServerCounters {
  readonly operations: Readonly<Record<Transport, OperationCounters>> = {
    http: new OperationCounters(),
    socket: new OperationCounters(),
  };
  /** Sockets that are open now, by who speaks on them. */
  readonly openSockets: Record<CallerKind, number> = { nobody: 0, user: 0, session: 0, backend: 0 };
  /** Sockets whose clients have news waiting, and have yet to read what was sent before. */
  backloggedSockets = 0;
  /** Sockets that have closed, by the code we gave; `client`: she went by herself. 1006: cut off without a word. */
  readonly closedSockets = new LabelledCounter(['client', ...Array.from(CLOSE_CODES, String)], 'other');
  /** Upgrades to a socket that were refused, by HTTP status. */
  readonly rejectedUpgrades = new LabelledCounter(['403', '404', '429', '503'], 'other');
  /** HTTP responses, by the first digit of their status. */
  readonly httpResponses = new LabelledCounter(['1xx', '2xx', '3xx', '4xx', '5xx'], 'other');
  readonly rejections = new RejectionCounters();
  /** Errors that are our own, whether or not a client was told of one. */
  internalErrors = 0;
  /** Times that the keys of users' tokens could not be had. */
  jwksFailures = 0;
}

export const callerKindOf = (caller: Caller): CallerKind => {
  if (caller.kind !== 'app') return caller.kind === 'backend' ? 'backend' : 'nobody';
  return caller.sessionId === null ? 'user' : 'session';
};
