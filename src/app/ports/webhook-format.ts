/** The port for webhook formats: each converts a delivery into HTTP requests. */
import type { WebhookFormat } from '../../core/enums.ts';
import type { Millis } from '../../core/ids.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { Delivery } from './webhook-store.ts';

/** One POST request. */
export interface WebhookRequest {
  readonly url: URL;
  /** Without the headers that every request has (content length, user agent). */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** How many of the delivery's events, from the first, are delivered once this request is accepted. */
  readonly deliveredEventCount: number;
}

export interface WebhookClocks {
  /** The store's time, which decides whether a secret is still valid. */
  readonly storeNow: () => Millis;
  /**
   * The wall clock, in ms since 1970, for signed timestamps: receivers compare them with their own clocks. The store's
   * clock stops while the machine is suspended, and ignores corrections of the system clock.
   */
  readonly wallClockNow: () => number;
}

export interface WebhookFormatter {
  /**
   * The requests of a delivery, in the order in which to send them; each is sent after the previous one was accepted.
   * Empty when the format does not represent any of the events. Requests are created and signed lazily: receivers
   * reject signatures that are a minute old, and the earlier requests may take longer.
   */
  createRequests(webhook: WebhookRecord, delivery: Delivery, clocks: WebhookClocks): Iterable<WebhookRequest>;
}

export type WebhookFormatters = Readonly<Partial<Record<WebhookFormat, WebhookFormatter>>>;
