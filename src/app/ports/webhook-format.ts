/** How events become requests: the one thing in which formats differ. */
import type { Delivery } from './webhook-store.ts';
import type { Millis } from '../../core/ids.ts';
import type { WebhookFormat } from '../../core/enums.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';

/** One POST. */
export interface WebhookRequest {
  readonly url: URL;
  /** Without those that every request has (length, user agent). */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** How many of the delivery's events, from its first on, are done with once this one is taken. */
  readonly deliveredEventCount: number;
}

/** The two times that requests are made by. */
export interface WebhookClocks {
  /** The store's: by it a secret is in force or not. */
  readonly storeNow: () => Millis;
  /**
   * In ms since 1970. What is signed says this one, for receivers hold it against their own clocks: the store's stays
   * behind while the machine is suspended, and is deaf to a clock that is set right.
   */
  readonly wallClockNow: () => number;
}

export interface WebhookFormatter {
  /**
   * In the order in which they are to be sent, each after the one before was taken. None: the format has no words for
   * any of the events. Each is made when it is asked for, and signed as of then: receivers refuse signatures
   * that are a minute old, and those before it may take longer.
   */
  createRequests(webhook: WebhookRecord, delivery: Delivery, clocks: WebhookClocks): Iterable<WebhookRequest>;
}

export type WebhookFormatters = Readonly<Partial<Record<WebhookFormat, WebhookFormatter>>>;
