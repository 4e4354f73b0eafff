/** Sends deliveries to their receivers over HTTP and reports the result. */
import { setMaxListeners } from 'node:events';
import type { WebhookClocks, WebhookFormatters, WebhookRequest } from '../../app/ports/webhook-format.ts';
import type { AttemptReport, Delivery, WebhookSender } from '../../app/ports/webhook-store.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { AddressPolicy } from './address-policy.ts';
import { createCheckedLookup, type ResolveName } from './checked-lookup.ts';
import { WebhookConnectionPools, type ConnectionPool } from './connection-pool.ts';
import { sendRequest, StaleConnectionError, type WebhookResponse } from './http-request.ts';
import { RequestError } from './request-error.ts';
import type { UrlPolicy } from './url-policy.ts';

const DEFAULT_IDLE_MS = 4_000;
const MAX_ERROR_CHARACTERS = 300;

export interface HttpSenderSettings extends WebhookClocks {
  readonly formats: WebhookFormatters;
  readonly addressPolicy: AddressPolicy;
  readonly urlPolicy: UrlPolicy;
  /** For each request, from its start until its response is read, in ms. */
  readonly timeoutMs: number;
  readonly userAgent: string;
  /** Receives unexpected errors; the attempt reports a failure without details. */
  readonly onInternalError: (error: unknown) => void;
  /** Default: the system's resolver. */
  readonly resolveName?: ResolveName;
  /** How long an unused connection stays open, in ms. Default: 4 s. */
  readonly idleMs?: number;
  /** Trusted certificate authorities in PEM. Default: those of Node. */
  readonly trustedCaPem?: string;
}

export class HttpSender implements WebhookSender {
  readonly #settings: HttpSenderSettings;
  readonly #connectionPools: WebhookConnectionPools;
  readonly #requestsInProgress = new Set<AbortController>();
  #isClosed = false;

  constructor(settings: HttpSenderSettings) {
    this.#settings = settings;
    this.#connectionPools = new WebhookConnectionPools({
      lookup: createCheckedLookup(settings.addressPolicy, settings.resolveName),
      idleMs: settings.idleMs ?? DEFAULT_IDLE_MS,
      trustedCaPem: settings.trustedCaPem,
    });
  }

  /** A receiver may have processed a request that was aborted or timed out. */
  async attemptDelivery(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<AttemptReport> {
    let status: number | null = null;
    let deliveredEventCount = 0;
    const reportFailure = (error: string, retryAfterMs: number | null = null): AttemptReport => ({
      status,
      error: error.slice(0, MAX_ERROR_CHARACTERS),
      deliveredEventCount,
      retryAfterMs,
    });
    const format = this.#settings.formats[webhook.format];
    if (format === undefined) return reportFailure(`The format ${webhook.format} is not enabled on this server.`);
    const { pool, release } = this.#connectionPools.acquirePool(webhook.id);
    try {
      for (const request of format.createRequests(webhook, delivery, this.#settings)) {
        status = null;
        const response = await this.#sendWithTimeout(request, pool, signal);
        ({ status } = response);
        if (!isSuccessStatus(status)) return reportFailure(describeFailureStatus(status), response.retryAfterMs);
        ({ deliveredEventCount } = request);
      }
      return { status, error: null, deliveredEventCount: delivery.events.length, retryAfterMs: null };
    } catch (error) {
      if (error instanceof RequestError) return reportFailure(error.message);
      this.#settings.onInternalError(error);
      return reportFailure('The request could not be created because of an internal server error.');
    } finally {
      release();
    }
  }

  /** Aborts requests in progress and closes all connections. Later attempts fail at once. */
  close(): void {
    this.#isClosed = true;
    for (const abort of this.#requestsInProgress) abort.abort(createAbortError());
    this.#connectionPools.closeAllPools();
  }

  /** @throws RequestError */
  async #sendWithTimeout(request: WebhookRequest, pool: ConnectionPool, signal: AbortSignal): Promise<WebhookResponse> {
    // Checked again: the settings may be stricter now than when the webhook was created.
    const rejection = this.#settings.urlPolicy.explainHostRejection(request.url);
    if (rejection !== null) throw new RequestError(rejection);
    if (signal.aborted || this.#isClosed) throw createAbortError();

    const abort = new AbortController();
    const { timeoutMs } = this.#settings;
    const onAbort = (): void => abort.abort(createAbortError());
    const onTimeout = (): void =>
      abort.abort(new RequestError(`The receiver sent no complete response within ${timeoutMs} ms.`));
    // After a process pause the response may be waiting in the socket: setImmediate lets it be read first.
    const timer = setTimeout(() => setImmediate(onTimeout), timeoutMs);
    // All attempts of a session listen to one signal, so many listeners do not indicate a leak.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', onAbort);
    this.#requestsInProgress.add(abort);
    try {
      return await this.#sendWithStaleRetry(request, pool, abort.signal);
    } finally {
      this.#requestsInProgress.delete(abort);
      signal.removeEventListener('abort', onAbort);
      clearTimeout(timer);
    }
  }

  /** Repeats a request over a new connection if the receiver had closed the reused one. */
  async #sendWithStaleRetry(
    request: WebhookRequest,
    pool: ConnectionPool,
    signal: AbortSignal,
  ): Promise<WebhookResponse> {
    const { protocol } = request.url;
    try {
      return await sendRequest(request, { ...this.#settings, agent: pool.getKeepAliveAgent(protocol) }, signal);
    } catch (error) {
      if (!(error instanceof StaleConnectionError)) throw error;
      return sendRequest(request, { ...this.#settings, agent: pool.createSingleUseAgent(protocol) }, signal);
    }
  }
}

const isSuccessStatus = (status: number): boolean => status >= 200 && status <= 299;

const describeFailureStatus = (status: number): string =>
  status >= 300 && status <= 399
    ? `The receiver answered with status ${status}. Redirects are not followed.`
    : `The receiver answered with status ${status}.`;

const createAbortError = (): RequestError => new RequestError('The attempt was aborted before a response arrived.');
