/** Who asks over HTTP, and from where: the same for plain POSTs, for what yoga reads, and for another product's API. */
import type { IncomingMessage } from 'node:http';
import type { ApiContext } from '../../api/context.ts';
import { NOBODY, type Caller } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import type { Millis } from '../../core/ids.ts';
import type { Authenticate } from '../auth/authenticate.ts';
import { clientAddress, networkOf } from '../limits/client-address.ts';
import type { OperationOutline } from '../graphql/document-cache.ts';
import type { Operations, Way } from '../metrics/operation-recorder.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { rateLimited, type Rates } from '../limits/rate-limiter.ts';
import type { Refusals } from '../metrics/rejection-counters.ts';

/** Who is let in how often. */
export interface Threshold {
  readonly rates: Rates;
  readonly refusals: Refusals;
}

export interface GraphqlHttpOptions extends Threshold {
  readonly porchlight: Application;
  readonly pipeline: Pipeline;
  readonly operations: Operations;
  readonly authenticate: Authenticate;
  /** Is this what a backend sends? Told without authenticating. */
  readonly isBackend: (authorization: string | undefined) => boolean;
  readonly trustProxy: boolean;
}

/** One request on its way, and what has been found out about it so far. */
export class Passage implements Way {
  readonly door = 'http';
  readonly id: string;
  began: number;
  readonly traceparent: string | undefined;
  readonly ipAddress: string | null;
  /** The network that it was counted by; null: it was not. */
  countedBy: string | null = null;
  caller: Caller = NOBODY;
  /** Null as long as it cannot be told. */
  operation: OperationOutline | null = null;

  /** @param id of the request. @param began when it was read. */
  constructor(request: IncomingMessage, id: string, began: number, trustProxy: boolean) {
    const { traceparent } = request.headers;
    this.traceparent = typeof traceparent === 'string' ? traceparent : undefined;
    this.ipAddress = clientAddress(request, trustProxy);
    this.id = id;
    this.began = began;
  }
}

/**
 * Before anything else is looked at.
 * @param isBackend is this what a backend sends, which need not wait? It is asked only when somebody has to: as a rule
 * its authentication tells, and what was counted is given back.
 * @throws RATE_LIMITED when too much comes from there.
 */
export const knock = (
  { rates, refusals }: Threshold,
  passage: Passage,
  now: Millis,
  isBackend: () => boolean,
): void => {
  const network = networkOf(passage.ipAddress);
  const waitMs = rates.knock(network, now);
  if (waitMs === 0) passage.countedBy = network;
  else if (!isBackend()) {
    refusals.requests++;
    throw rateLimited(waitMs);
  }
};

/** It is a backend's. */
export const uncount = ({ rates }: Threshold, passage: Passage, now: Millis): void => {
  if (passage.countedBy === null) return;
  rates.giveBack(passage.countedBy, now);
  passage.countedBy = null;
};

/** @throws as `Authenticate`, and RATE_LIMITED when that session or user asks too much. */
export const contextOf = async (
  options: GraphqlHttpOptions,
  request: IncomingMessage,
  passage: Passage,
): Promise<ApiContext> => {
  const { porchlight, authenticate, rates, refusals } = options;
  const caller = await authenticate(request.headers.authorization);
  passage.caller = caller;
  const now = porchlight.store.now();
  if (caller.kind === 'backend') uncount(options, passage, now);
  const waitMs = rates.ask(caller, now);
  if (waitMs > 0) {
    refusals.requests++;
    throw rateLimited(waitMs);
  }
  return { porchlight, caller, ipAddress: passage.ipAddress, link: null };
};
