/** Brings deliveries to their receivers over HTTP, and comes back with how it went. */
import { setMaxListeners } from 'node:events';
import type { Clocks, Formats, Outgoing } from '../../app/ports/webhook-format.ts';
import type { Attempt, Delivery, WebhookCourier } from '../../app/ports/webhook-store.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { Addresses } from './address-policy.ts';
import { Connections, type Pool } from './connection-pool.ts';
import { exchange, StaleConnection, type Answer } from './http-request.ts';
import { Failure } from './request-error.ts';
import { checkedLookup, type Resolve } from './checked-lookup.ts';
import type { Targets } from './url-policy.ts';

const IDLE_MS = 4_000;
const MAX_ERROR_CHARACTERS = 300;

export interface CourierSettings extends Clocks {
  readonly formats: Formats;
  readonly addresses: Addresses;
  readonly targets: Targets;
  /** For each request: from its beginning until its answer is read. */
  readonly timeoutMs: number;
  readonly userAgent: string;
  /** Told of what is our own fault: the attempt has failed, and says nothing of why. */
  readonly onFault: (error: unknown) => void;
  /** Left out: the system's. */
  readonly resolve?: Resolve;
  readonly idleMs?: number;
  /** In PEM; left out: those that Node trusts. */
  readonly authorities?: string;
}

export class Courier implements WebhookCourier {
  readonly #settings: CourierSettings;
  readonly #connections: Connections;
  readonly #underWay = new Set<AbortController>();
  #isClosed = false;

  constructor(settings: CourierSettings) {
    this.#settings = settings;
    this.#connections = new Connections({
      lookup: checkedLookup(settings.addresses, settings.resolve),
      idleMs: settings.idleMs ?? IDLE_MS,
      authorities: settings.authorities,
    });
  }

  /** A receiver may have got what was broken off by `signal`, or by the time. */
  async attempt(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<Attempt> {
    let status: number | null = null;
    let eventsDone = 0;
    const failed = (error: string, retryAfterMs: number | null = null): Attempt => ({
      status,
      error: error.slice(0, MAX_ERROR_CHARACTERS),
      eventsDone,
      retryAfterMs,
    });
    const format = this.#settings.formats[webhook.format];
    if (format === undefined) return failed(`The format ${webhook.format} is not served here.`);
    const { pool, done } = this.#connections.use(webhook.id);
    try {
      for (const outgoing of format.requests(webhook, delivery, this.#settings)) {
        status = null;
        const answer = await this.#send(outgoing, pool, signal);
        ({ status } = answer);
        if (!isTaken(status)) return failed(refusalOf(status), answer.retryAfterMs);
        ({ eventsDone } = outgoing);
      }
      return { status, error: null, eventsDone: delivery.events.length, retryAfterMs: null };
    } catch (error) {
      if (error instanceof Failure) return failed(error.message);
      this.#settings.onFault(error);
      return failed('The request could not be made.');
    } finally {
      done();
    }
  }

  /** Breaks off what is under way, and closes every connection. Attempts that come later fail at once. */
  close(): void {
    this.#isClosed = true;
    for (const request of this.#underWay) request.abort(brokenOff());
    this.#connections.close();
  }

  /** @throws Failure */
  async #send(outgoing: Outgoing, pool: Pool, signal: AbortSignal): Promise<Answer> {
    // Looked at again: what is allowed may be less than it was when the webhook was made.
    const refusal = this.#settings.targets.refusalOfHost(outgoing.url);
    if (refusal !== null) throw new Failure(refusal);
    if (signal.aborted || this.#isClosed) throw brokenOff();

    const request = new AbortController();
    const { timeoutMs } = this.#settings;
    const onAbort = (): void => request.abort(brokenOff());
    const inVain = (): void => request.abort(new Failure(`There was no whole answer within ${timeoutMs} ms.`));
    // After what lies there was read: a server that was kept from its event loop has not heard the answer yet.
    const timer = setTimeout(() => setImmediate(inVain), timeoutMs);
    // One signal may end any number of attempts: that they all listen is no leak.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', onAbort);
    this.#underWay.add(request);
    try {
      return await this.#exchange(outgoing, pool, request.signal);
    } finally {
      this.#underWay.delete(request);
      signal.removeEventListener('abort', onAbort);
      clearTimeout(timer);
    }
  }

  async #exchange(outgoing: Outgoing, pool: Pool, signal: AbortSignal): Promise<Answer> {
    const { protocol } = outgoing.url;
    try {
      return await exchange(outgoing, { ...this.#settings, agent: pool.agent(protocol) }, signal);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      // The receiver closed a connection that it had done with, which is its right.
      return exchange(outgoing, { ...this.#settings, agent: pool.fresh(protocol) }, signal);
    }
  }
}

const isTaken = (status: number): boolean => status >= 200 && status <= 299;

const refusalOf = (status: number): string =>
  status >= 300 && status <= 399
    ? `The receiver answered with status ${status}, and redirects are not followed.`
    : `The receiver answered with status ${status}.`;

const brokenOff = (): Failure => new Failure('The attempt was broken off before there was an answer.');
