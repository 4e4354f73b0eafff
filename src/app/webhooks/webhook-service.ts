/** Webhooks as backends manage them, and what became of what was delivered. Delivering is somebody else's. */
import { badUserInputError, DomainError } from '../../core/errors.ts';
import { addMs, type DeliveryId, type WebhookId } from '../../core/ids.ts';
import { quoteText } from '../../core/quote.ts';
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
import {
  MAX_URL_CHARACTERS,
  type Delivery,
  type DeliveryPage,
  type WebhookSender,
  type WebhookSecretFactory,
  type WebhookStore,
  type WebhookUrlPolicy,
} from '../ports/webhook-store.ts';
import { TestDeliveries } from './test-deliveries.ts';

/** A webhook as a backend asks for it. Null is as good as left out. */
export interface CreateWebhookRequest {
  readonly url: string;
  /** Left out, one is made for STANDARD; with TENCENT requests are not signed then. */
  readonly secret?: string | null | undefined;
  /** Left out: all. */
  readonly reasons?: readonly EventReason[] | null | undefined;
  /** False, if left out. */
  readonly userStatusOnly?: boolean | null | undefined;
  /** STANDARD, if left out. */
  readonly format?: WebhookFormat | null | undefined;
}

/**
 * What is left out stays. Null has a meaning for `reasons` and `secret`, is as good as left out for `rotateSecret` and
 * `previousSecretValidMs`, which are nothing of the webhook itself, and wrong for the others.
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

/** The one answer with a secret in it. */
export interface WebhookWithSecret {
  readonly webhook: WebhookRecord;
  /** The new one; null: there is none. */
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
  /** All of this webhook that are DEAD. */
  readonly webhookId: WebhookId | null;
}

export interface WebhookServiceOptions {
  readonly store: WebhookStore;
  readonly secretFactory: WebhookSecretFactory;
  readonly urlPolicy: WebhookUrlPolicy;
  readonly sender: WebhookSender;
  /** Those that this server serves. */
  readonly formats: readonly WebhookFormat[];
  /** For how long a delivery that fails is tried again. */
  readonly retryForMs: number;
}

// `URL` would leave out some of them, and send to another address than is shown.
const FORBIDDEN_IN_URL = /[\s\p{Cc}]/u;

/** A delivery may have hundreds of events: a page is full with so many of them, too. */
const MAX_PAGE_EVENTS = 500;
/** Asked of the store at once, so that no more than these are read for nothing. */
const STORE_PAGE_SIZE = 20;

export class WebhookService {
  readonly #presence: Pick<PresenceStore, 'now' | 'eventLog'>;
  readonly #options: WebhookServiceOptions;
  readonly #testDeliveries: TestDeliveries;

  /** @param presence whose events are delivered, and whose clock is the one time there is. */
  constructor(presence: Pick<PresenceStore, 'now' | 'eventLog'>, parts: WebhookServiceOptions) {
    this.#presence = presence;
    this.#options = parts;
    this.#testDeliveries = new TestDeliveries({ ...parts, clock: presence });
  }

  /** All of them, in the order in which they were made. */
  listWebhooks(): Promise<readonly WebhookRecord[]> {
    return this.#options.store.listWebhooks();
  }

  /** Null: there is none. */
  async findWebhook(id: WebhookId): Promise<WebhookRecord | null> {
    return (await this.listWebhooks()).find((webhook) => webhook.id === id) ?? null;
  }

  /**
   * ACTIVE: it is told what happens from now on.
   * @throws BAD_USER_INPUT for a URL, a format or a secret that will not do, reasons that are none or name one twice,
   * and when there are as many webhooks as there may be.
   */
  async createWebhook(asked: CreateWebhookRequest): Promise<WebhookWithSecret> {
    const { store, secretFactory: secrets } = this.#options;
    const url = this.#validateUrl(asked.url);
    const format = this.#validateFormat(asked.format ?? 'STANDARD');
    const reasons = validateReasons(asked.reasons ?? null);
    const own = asked.secret == null ? null : validateSecret(format, asked.secret);
    const secret = own ?? (format === 'STANDARD' ? secrets.createSecret() : null);
    const start = await this.#presence.eventLog.getLatestCursor();
    const now = this.#presence.now();
    const webhook: WebhookRecord = {
      id: secrets.createWebhookId(),
      url,
      format,
      secret,
      previousSecret: null,
      reasons,
      userStatusOnly: asked.userStatusOnly ?? false,
      state: 'ACTIVE',
      createdAt: now,
      changedAt: now,
      startCursor: start,
    };
    await store.createWebhook(webhook);
    return { webhook, secret };
  }

  /**
   * A changed URL, format or secret holds from the next attempt on, a changed filter for what is in no delivery yet.
   * @throws BAD_USER_INPUT as `create`; for a webhook that there is not; for a secret that is the present one.
   */
  async updateWebhook(id: WebhookId, asked: UpdateWebhookRequest): Promise<WebhookWithSecret> {
    const { store, secretFactory: secrets } = this.#options;
    const url = rejectNull('url', asked.url);
    const format = rejectNull('format', asked.format);
    const { reasons } = asked;
    if (asked.rotateSecret === true && asked.secret !== undefined) {
      throw badUserInputError(
        'secret is given, and rotateSecret asks for a new one to be made: only one of them is right.',
      );
    }
    const change = {
      url: url === undefined ? undefined : this.#validateUrl(url),
      format: format === undefined ? undefined : this.#validateFormat(format),
      reasons: reasons === undefined ? undefined : validateReasons(reasons),
      userStatusOnly: rejectNull('userStatusOnly', asked.userStatusOnly),
      enabled: rejectNull('enabled', asked.enabled),
      previousSecretValidMs: validatePreviousSecretValidMs(
        asked.previousSecretValidMs ?? DEFAULT_PREVIOUS_SECRET_VALID_MS,
      ),
      secret: asked.rotateSecret === true ? secrets.createSecret() : asked.secret,
    };
    const now = this.#presence.now();
    const webhook = await store.updateWebhook(id, (before) => applyWebhookChange(before, change, now));
    if (webhook === null) throw unknownWebhookError(id);
    return { webhook, secret: change.secret ?? null };
  }

  /** With all its deliveries. @returns what it was. @throws BAD_USER_INPUT when there is none. */
  async deleteWebhook(id: WebhookId): Promise<WebhookRecord> {
    const webhook = await this.#options.store.deleteWebhook(id);
    if (webhook === null) throw unknownWebhookError(id);
    return webhook;
  }

  /**
   * The latest first. A page may have fewer than `limit` though there are more: it ends with the delivery with which
   * it has 500 events.
   * @throws BAD_USER_INPUT for a webhook that there is not, or an `after` that is (no longer) a delivery.
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
   * DEAD deliveries are tried again, from now on for as long as new ones: one, or all of a webhook. Those of a webhook
   * that is not ACTIVE wait until it is. What is not DEAD (any more) is left as it is, and so is what has nothing to be
   * delivered: a test, and events that were lost before they could be read.
   * @returns how many.
   * @throws BAD_USER_INPUT unless exactly one of the two is asked for; for a delivery, or a webhook, that there is not; for one delivery that has nothing to be delivered.
   */
  async redeliver(asked: RedeliverRequest): Promise<number> {
    const { store, retryForMs } = this.#options;
    const which = requireOneSelector(asked);
    if ('webhookId' in which) await this.#requireWebhook(which.webhookId);
    else {
      const delivery = await store.findDelivery(which.deliveryId);
      if (delivery === null) throw badUserInputError(`There is no delivery ${quoteText(which.deliveryId)}.`);
      if (delivery.status === 'DEAD' && delivery.events.length === 0) {
        throw badUserInputError(`The delivery ${quoteText(which.deliveryId)} has no events that could be delivered.`);
      }
    }
    const now = this.#presence.now();
    const revived = await store.requeueDeadDeliveries(which, (delivery) =>
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
    return revived.length;
  }

  /**
   * Sends a test, whatever the state of the webhook; what becomes of it changes nothing else.
   * @returns DELIVERED or DEAD.
   * @throws BAD_USER_INPUT for a webhook that there is not, RATE_LIMITED while ten tests are under way.
   */
  async sendTestDelivery(id: WebhookId): Promise<Delivery> {
    return this.#testDeliveries.sendTestDelivery(await this.#requireWebhook(id));
  }

  /** Tests under way, and later ones, are cut short: a closing server waits for no receiver. Again is no matter. */
  close(): void {
    this.#testDeliveries.close();
  }

  async #requireWebhook(id: WebhookId): Promise<WebhookRecord> {
    const webhook = await this.findWebhook(id);
    if (webhook === null) throw unknownWebhookError(id);
    return webhook;
  }

  /** @throws BAD_USER_INPUT, without the URL: there may be a password in it. */
  #validateUrl(text: string): string {
    if (text.length > MAX_URL_CHARACTERS)
      throw badUserInputError(`url is longer than ${MAX_URL_CHARACTERS} characters.`);
    const isUrl = !FORBIDDEN_IN_URL.test(text) && URL.canParse(text);
    if (!isUrl) throw badUserInputError('url is no URL, such as https://chat.example/hook.');
    const refusal = this.#options.urlPolicy.getRejectionReason(new URL(text));
    if (refusal !== null) throw badUserInputError(`url will not do. ${refusal}`);
    return text;
  }

  #validateFormat(format: WebhookFormat): WebhookFormat {
    if (this.#options.formats.includes(format)) return format;
    throw badUserInputError(`The format ${format} is not served here: PORCHLIGHT_TENCENT is not on.`);
  }
}

const unknownWebhookError = (id: WebhookId): DomainError => badUserInputError(`There is no webhook ${quoteText(id)}.`);

const requireOneSelector = ({
  deliveryId,
  webhookId,
}: RedeliverRequest): Parameters<WebhookStore['requeueDeadDeliveries']>[0] => {
  if (deliveryId !== null && webhookId === null) return { deliveryId };
  if (webhookId !== null && deliveryId === null) return { webhookId };
  throw badUserInputError('Exactly one of deliveryId and webhookId is right.');
};

/** What was not left out. @throws BAD_USER_INPUT for null, which is no value of it. */
const rejectNull = <Value>(name: string, value: Value | null | undefined): Value | undefined => {
  if (value === null) throw badUserInputError(`${name} is null; left out, it stays as it is.`);
  return value;
};
