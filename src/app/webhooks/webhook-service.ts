/** Manages webhooks and shows their deliveries. The delivery engine sends the events. */
import { badUserInputError, DomainError } from '../../core/errors.ts';
import { addMs, type DeliveryId, type WebhookId } from '../../core/ids.ts';
import { quoteText } from '../../core/quote.ts';
import { validateText } from '../../core/texts.ts';
import type { DeliveryStatus, EventReason, WebhookFormat } from '../../core/enums.ts';
import {
  applyWebhookChange,
  validatePreviousSecretValidMs,
  validateReasons,
  DEFAULT_PREVIOUS_SECRET_VALID_MS,
} from '../../core/webhooks/webhook-update.ts';
import { validateSecret } from '../../core/webhooks/webhook-secret.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import type {
  Delivery,
  DeliveryPage,
  WebhookSender,
  WebhookIdFactory,
  WebhookStore,
  WebhookUrlPolicy,
} from '../ports/webhook-store.ts';
import { TestDeliveries } from './test-deliveries.ts';

/** A new webhook as a backend requests it. Null has the same meaning as an omitted field. */
export interface CreateWebhookRequest {
  readonly url: string;
  /** Omitted: a secret is created for STANDARD; requests of TENCENT are not signed. */
  readonly secret?: string | null | undefined;
  /** Omitted: all. */
  readonly reasons?: readonly EventReason[] | null | undefined;
  /** Default: false. */
  readonly userStatusOnly?: boolean | null | undefined;
  /** Default: STANDARD. */
  readonly format?: WebhookFormat | null | undefined;
}

/**
 * Omitted fields do not change. Null has a meaning for `reasons` (all) and `secret` (none). It is the same as omitted for
 * `rotateSecret` and `previousSecretValidMs`, which are not fields of a webhook, and an error for the others.
 */
export interface UpdateWebhookRequest {
  readonly url?: string | null | undefined;
  readonly secret?: string | null | undefined;
  readonly rotateSecret?: boolean | null | undefined;
  readonly previousSecretValidMs?: number | null | undefined;
  readonly reasons?: readonly EventReason[] | null | undefined;
  readonly userStatusOnly?: boolean | null | undefined;
  readonly format?: WebhookFormat | null | undefined;
  readonly enabled?: boolean | null | undefined;
}

/** The only results that contain a secret. */
export interface WebhookWithSecret {
  readonly webhook: WebhookRecord;
  /** The new secret; null: there is no new one. */
  readonly secret: string | null;
}

export interface ListDeliveriesRequest {
  readonly status: DeliveryStatus | null;
  readonly webhookId: WebhookId | null;
  readonly after: DeliveryId | null;
  readonly limit: number;
}

export interface RedeliverRequest {
  readonly deliveryId: DeliveryId | null;
  /** All DEAD deliveries of this webhook. */
  readonly webhookId: WebhookId | null;
}

export interface WebhookServiceOptions {
  readonly store: WebhookStore;
  readonly secretFactory: WebhookIdFactory;
  readonly urlPolicy: WebhookUrlPolicy;
  readonly sender: WebhookSender;
  /** The formats that are enabled on this server. */
  readonly formats: readonly WebhookFormat[];
  /** How long a failed delivery is retried, in ms. */
  readonly retryForMs: number;
}

// `URL` drops some white space, so requests would go to another address than the one that is shown.
const WHITE_SPACE = /\s/;

/** A delivery may have hundreds of events, so a page is also complete when it has this many events. */
const MAX_PAGE_EVENTS = 500;
/** Deliveries per read from the store; limits how many are read and not used. */
const STORE_PAGE_SIZE = 20;

export class WebhookService {
  readonly #presence: Pick<PresenceStore, 'now' | 'eventLog'>;
  readonly #options: WebhookServiceOptions;
  readonly #testDeliveries: TestDeliveries;

  /** @param presence the store whose events are delivered, and whose clock is used. */
  constructor(presence: Pick<PresenceStore, 'now' | 'eventLog'>, options: WebhookServiceOptions) {
    this.#presence = presence;
    this.#options = options;
    this.#testDeliveries = new TestDeliveries({ ...options, clock: presence });
  }

  /** In the order of their creation. */
  listWebhooks(): Promise<readonly WebhookRecord[]> {
    return this.#options.store.listWebhooks();
  }

  /** Null: it does not exist. */
  async findWebhook(id: WebhookId): Promise<WebhookRecord | null> {
    return (await this.listWebhooks()).find((webhook) => webhook.id === id) ?? null;
  }

  /**
   * Creates an ACTIVE webhook. It receives the events from now on.
   * @throws BAD_USER_INPUT for an invalid URL, format, secret or list of reasons, and when the maximum number of
   * webhooks is reached.
   */
  async createWebhook(request: CreateWebhookRequest): Promise<WebhookWithSecret> {
    const { store, secretFactory: secrets } = this.#options;
    const url = this.#validateUrl(request.url);
    const format = this.#validateFormat(request.format ?? 'STANDARD');
    const reasons = validateReasons(request.reasons ?? null);
    const givenSecret = request.secret == null ? null : validateSecret(format, request.secret);
    const secret = givenSecret ?? (format === 'STANDARD' ? secrets.createSecret() : null);
    const start = await this.#presence.eventLog.getLatestCursor();
    const now = this.#presence.now();
    const webhook: WebhookRecord = {
      id: secrets.createWebhookId(),
      url,
      format,
      secret,
      previousSecret: null,
      reasons,
      userStatusOnly: request.userStatusOnly ?? false,
      state: 'ACTIVE',
      createdAt: now,
      changedAt: now,
      startCursor: start,
    };
    await store.createWebhook(webhook);
    return { webhook, secret };
  }

  /**
   * A changed URL, format or secret applies from the next attempt; a changed filter to events that are in no delivery yet.
   * @throws BAD_USER_INPUT as `createWebhook`; for an unknown webhook; for a new secret that equals the current one.
   */
  async updateWebhook(id: WebhookId, request: UpdateWebhookRequest): Promise<WebhookWithSecret> {
    const { store, secretFactory: secrets } = this.#options;
    const url = rejectNull('url', request.url);
    const format = rejectNull('format', request.format);
    const { reasons } = request;
    if (request.rotateSecret === true && request.secret !== undefined) {
      throw badUserInputError('Set either secret or rotateSecret, not both.');
    }
    const change = {
      url: url === undefined ? undefined : this.#validateUrl(url),
      format: format === undefined ? undefined : this.#validateFormat(format),
      reasons: reasons === undefined ? undefined : validateReasons(reasons),
      userStatusOnly: rejectNull('userStatusOnly', request.userStatusOnly),
      enabled: rejectNull('enabled', request.enabled),
      previousSecretValidMs: validatePreviousSecretValidMs(
        request.previousSecretValidMs ?? DEFAULT_PREVIOUS_SECRET_VALID_MS,
      ),
      secret: request.rotateSecret === true ? secrets.createSecret() : request.secret,
    };
    const now = this.#presence.now();
    const webhook = await store.updateWebhook(id, (before) => applyWebhookChange(before, change, now));
    if (webhook === null) throw unknownWebhookError(id);
    return { webhook, secret: change.secret ?? null };
  }

  /** Also deletes its deliveries. @returns the deleted webhook. @throws BAD_USER_INPUT for an unknown webhook. */
  async deleteWebhook(id: WebhookId): Promise<WebhookRecord> {
    const webhook = await this.#options.store.deleteWebhook(id);
    if (webhook === null) throw unknownWebhookError(id);
    return webhook;
  }

  /**
   * The latest first. A page can have fewer than `limit` deliveries although there are more: it ends with the delivery
   * with which it reaches 500 events.
   * @throws BAD_USER_INPUT for an unknown webhook, or when `after` is not the id of a stored delivery.
   */
  async listDeliveries({ status, webhookId, after, limit }: ListDeliveriesRequest): Promise<DeliveryPage> {
    if (webhookId !== null) await this.#requireWebhook(webhookId);
    const found: Delivery[] = [];
    let events = 0;
    for (;;) {
      const page = await this.#options.store.listDeliveries({
        status: status ?? undefined,
        webhookId: webhookId ?? undefined,
        after: found.at(-1)?.id ?? after,
        limit: Math.min(limit - found.length, STORE_PAGE_SIZE),
      });
      for (const [index, delivery] of page.deliveries.entries()) {
        found.push(delivery);
        events += delivery.events.length;
        if (events >= MAX_PAGE_EVENTS) {
          return { deliveries: found, hasMore: page.hasMore || index + 1 < page.deliveries.length };
        }
      }
      if (!page.hasMore || found.length >= limit) return { deliveries: found, hasMore: page.hasMore };
    }
  }

  /**
   * Retries DEAD deliveries: one, or all of a webhook, for as long as new ones. Deliveries of a webhook that is not
   * ACTIVE wait until it is. Deliveries that are not DEAD, or have no events to deliver, do not change: tests, and
   * deliveries whose events were removed before they could be read.
   * @returns the number of deliveries.
   * @throws BAD_USER_INPUT unless exactly one id is set; for an unknown delivery or webhook; for a single delivery
   * that has no events to deliver.
   */
  async redeliver(request: RedeliverRequest): Promise<number> {
    const { store, retryForMs } = this.#options;
    const selector = requireOneSelector(request);
    if ('webhookId' in selector) await this.#requireWebhook(selector.webhookId);
    else {
      const delivery = await store.findDelivery(selector.deliveryId);
      if (delivery === null) throw badUserInputError(`There is no delivery ${quoteText(selector.deliveryId)}.`);
      if (delivery.status === 'DEAD' && delivery.events.length === 0) {
        throw badUserInputError(`The delivery ${quoteText(selector.deliveryId)} has no events to deliver.`);
      }
    }
    const now = this.#presence.now();
    const requeued = await store.requeueDeadDeliveries(selector, (delivery) =>
      delivery.events.length === 0
        ? delivery
        : {
            ...delivery,
            status: 'RETRYING',
            shard: null,
            attempts: 0,
            nextAttemptAt: now,
            giveUpAt: addMs(now, retryForMs),
          },
    );
    return requeued.length;
  }

  /**
   * Sends a test delivery, in any state of the webhook. The result does not change the webhook.
   * @returns a DELIVERED or DEAD delivery.
   * @throws BAD_USER_INPUT for an unknown webhook, RATE_LIMITED while ten tests are in progress.
   */
  async sendTestDelivery(id: WebhookId): Promise<Delivery> {
    return this.#testDeliveries.sendTestDelivery(await this.#requireWebhook(id));
  }

  /** Aborts test deliveries, so that the server need not wait for receivers when it closes. May be called again. */
  close(): void {
    this.#testDeliveries.close();
  }

  async #requireWebhook(id: WebhookId): Promise<WebhookRecord> {
    const webhook = await this.findWebhook(id);
    if (webhook === null) throw unknownWebhookError(id);
    return webhook;
  }

  /** @throws BAD_USER_INPUT. The message does not contain the URL, which may contain a password. */
  #validateUrl(text: string): string {
    const isUrl = !WHITE_SPACE.test(validateText('webhookUrl', text)) && URL.canParse(text);
    if (!isUrl) throw badUserInputError('url is not a valid URL, such as https://chat.example/hook.');
    const rejectionReason = this.#options.urlPolicy.getRejectionReason(new URL(text));
    if (rejectionReason !== null) throw badUserInputError(`url is not allowed. ${rejectionReason}`);
    return text;
  }

  #validateFormat(format: WebhookFormat): WebhookFormat {
    if (this.#options.formats.includes(format)) return format;
    throw badUserInputError(`The format ${format} is disabled on this server: PORCHLIGHT_TENCENT is not set.`);
  }
}

const unknownWebhookError = (id: WebhookId): DomainError => badUserInputError(`There is no webhook ${quoteText(id)}.`);

const requireOneSelector = ({
  deliveryId,
  webhookId,
}: RedeliverRequest): Parameters<WebhookStore['requeueDeadDeliveries']>[0] => {
  if (deliveryId !== null && webhookId === null) return { deliveryId };
  if (webhookId !== null && deliveryId === null) return { webhookId };
  throw badUserInputError('Set exactly one of deliveryId and webhookId.');
};

/** Returns the value, or undefined if it is omitted. @throws BAD_USER_INPUT for null. */
const rejectNull = <Value>(name: string, value: Value | null | undefined): Value | undefined => {
  if (value === null) throw badUserInputError(`${name} is null; omit it to leave it unchanged.`);
  return value;
};
