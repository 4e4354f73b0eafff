/** The state of one HTTP request, and the checks that all HTTP APIs share: rate limits and authentication. */
import type { IncomingMessage } from 'node:http';
import type { ApiContext } from '../../api/context.ts';
import { UNAUTHENTICATED_CALLER, type Caller } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import type { Millis } from '../../core/ids.ts';
import type { Authenticator } from '../auth/authenticate.ts';
import { computeNetworkPrefix, type ClientAddressResolver } from '../limits/client-address.ts';
import type { OperationInfo } from '../graphql/operation.ts';
import type { OperationRecorder, OperationOrigin } from '../metrics/operation-recorder.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { rateLimitedError, type RateLimiter } from '../limits/rate-limiter.ts';
import type { RejectionCounters } from '../metrics/rejection-counters.ts';

export interface RateLimitDeps {
  readonly rateLimiter: RateLimiter;
  readonly rejections: RejectionCounters;
}

export interface GraphqlHandlerOptions extends RateLimitDeps {
  readonly application: Application;
  readonly pipeline: Pipeline;
  readonly operationRecorder: OperationRecorder;
  readonly authenticate: Authenticator;
  /** Whether the header holds an API key. Must be cheap: it is called before authentication. */
  readonly isApiKeyRequest: (authorization: string | undefined) => boolean;
  readonly resolveClientAddress: ClientAddressResolver;
  /** The interval of the comments in event streams. */
  readonly pingIntervalMs: number;
}

/** One HTTP request, with what is known about it so far. */
export class RequestContext implements OperationOrigin {
  readonly transport = 'http';
  readonly id: string;
  /** As returned by `OperationRecorder.startTiming`. */
  startedAt: number;
  readonly traceparent: string | undefined;
  readonly ipAddress: string | null;
  /** The network whose rate limit was charged; null when none was. */
  chargedNetwork: string | null = null;
  caller: Caller = UNAUTHENTICATED_CALLER;
  /** Null until the document is parsed and its operation is selected. */
  operation: OperationInfo | null = null;

  /**
   * @param id of the request.
   * @param startedAt when the request was read, as returned by `OperationRecorder.startTiming`.
   */
  constructor(request: IncomingMessage, id: string, startedAt: number, resolveClientAddress: ClientAddressResolver) {
    const { traceparent } = request.headers;
    this.traceparent = typeof traceparent === 'string' ? traceparent : undefined;
    this.ipAddress = resolveClientAddress(request);
    this.id = id;
    this.startedAt = startedAt;
  }
}

/**
 * Charges the rate limit of the client's network, before any other work for the request.
 * @param isApiKeyRequest backends are not limited. It is called only above the limit: below it, authentication
 *   recognises a backend and the charge is refunded.
 * @throws RATE_LIMITED above the limit.
 */
export const checkAddressRate = (
  { rateLimiter, rejections }: RateLimitDeps,
  context: RequestContext,
  now: Millis,
  isApiKeyRequest: () => boolean,
): void => {
  const network = computeNetworkPrefix(context.ipAddress);
  const waitMs = rateLimiter.chargeAddress(network, now);
  if (waitMs === 0) context.chargedNetwork = network;
  else if (!isApiKeyRequest()) {
    rejections.requestRate++;
    throw rateLimitedError(waitMs);
  }
};

/** Takes the charge of `checkAddressRate` back, because the caller is a backend. */
export const refundAddressRate = (
  { rateLimiter }: Pick<RateLimitDeps, 'rateLimiter'>,
  context: RequestContext,
  now: Millis,
): void => {
  if (context.chargedNetwork === null) return;
  rateLimiter.refundAddress(context.chargedNetwork, now);
  context.chargedNetwork = null;
};

/**
 * Authenticates the caller and charges the rate limits of the session and user.
 * @throws as `Authenticator`, and RATE_LIMITED above a limit.
 */
export const authenticateRequest = async (
  options: GraphqlHandlerOptions,
  request: IncomingMessage,
  context: RequestContext,
): Promise<ApiContext> => {
  const { application, authenticate, rateLimiter, rejections } = options;
  const caller = await authenticate(request.headers.authorization);
  context.caller = caller;
  const now = application.store.now();
  if (caller.kind === 'backend') refundAddressRate(options, context, now);
  const waitMs = rateLimiter.chargeCaller(caller, now);
  if (waitMs > 0) {
    rejections.requestRate++;
    throw rateLimitedError(waitMs);
  }
  return { application, caller, ipAddress: context.ipAddress, socket: null };
};
