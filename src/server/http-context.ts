/** Who asks over HTTP, and from where: the same for plain POSTs and for what yoga reads. */
import type { IncomingMessage } from 'node:http';
import type { ApiContext } from '../api/context.ts';
import { NOBODY, type Caller } from '../app/caller.ts';
import type { Porchlight } from '../app/porchlight.ts';
import type { Authenticate } from './auth.ts';
import { clientAddress, networkOf } from './client-address.ts';
import type { Operation } from './documents.ts';
import type { Operations, Way } from './operations.ts';
import type { Pipeline } from './pipeline.ts';
import { rateLimited, type Rates } from './rates.ts';
import type { Refusals } from './refusals.ts';
import { SESSION_TOKEN_PREFIX } from './session-token.ts';

export interface GraphqlHttpOptions {
  readonly porchlight: Porchlight;
  readonly pipeline: Pipeline;
  readonly operations: Operations;
  readonly authenticate: Authenticate;
  /** Is this what a backend sends? Quickly told. */
  readonly isBackend: (authorization: string | undefined) => boolean;
  readonly rates: Rates;
  readonly refusals: Refusals;
  readonly trustProxy: boolean;
}

/** One request on its way, and what has been found out about it so far. */
export class Passage implements Way {
  readonly door = 'http';
  readonly id: string;
  began: number;
  readonly traceparent: string | undefined;
  caller: Caller = NOBODY;
  /** Null as long as it cannot be told. */
  operation: Operation | null = null;

  /** @param id of the request. @param began when it was read. */
  constructor({ headers }: IncomingMessage, id: string, began: number) {
    const { traceparent } = headers;
    this.traceparent = typeof traceparent === 'string' ? traceparent : undefined;
    this.id = id;
    this.began = began;
  }
}

const SESSION = `Bearer ${SESSION_TOKEN_PREFIX}`;

/** Before anything else is looked at. @throws RATE_LIMITED when too much comes from there. */
export const knock = (options: GraphqlHttpOptions, request: IncomingMessage): void => {
  const { porchlight, rates, refusals, isBackend, trustProxy } = options;
  const { authorization } = request.headers;
  // Most are sessions', of which it need not be asked. An API key that looks like their tokens is counted, not refused.
  const isSession = authorization?.startsWith(SESSION) ?? false;
  if (!isSession && isBackend(authorization)) return;
  const waitMs = rates.knock(networkOf(clientAddress(request, trustProxy)), porchlight.store.now());
  if (waitMs === 0 || (isSession && isBackend(authorization))) return;
  refusals.requests++;
  throw rateLimited(waitMs);
};

/** @throws as `Authenticate`, and RATE_LIMITED when that session or user asks too much. */
export const contextOf = async (
  { porchlight, authenticate, rates, refusals, trustProxy }: GraphqlHttpOptions,
  request: IncomingMessage,
  passage: Passage,
): Promise<ApiContext> => {
  const caller = await authenticate(request.headers.authorization);
  passage.caller = caller;
  const waitMs = rates.ask(caller, porchlight.store.now());
  if (waitMs > 0) {
    refusals.requests++;
    throw rateLimited(waitMs);
  }
  return { porchlight, caller, ipAddress: clientAddress(request, trustProxy), link: null };
};
