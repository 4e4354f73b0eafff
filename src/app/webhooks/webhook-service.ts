/** Webhooks as backends manage them, and what became of what was delivered. Delivering is somebody else's. */
import { badUserInput, DomainError } from '../../core/errors.ts';
import { later, type DeliveryId, type WebhookId } from '../../core/ids.ts';
import { quoted } from '../../core/quote.ts';
import type { DeliveryStatus, EventReason, WebhookFormat } from '../../core/enums.ts';
import {
  changeWebhook,
  checkedPreviousSecretValidMs,
  checkedReasons,
  DEFAULT_PREVIOUS_SECRET_VALID_MS,
} from '../../core/webhooks/webhook-update.ts';
import { checkedSecret } from '../../core/webhooks/webhook-secret.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import {
  MAX_URL_CHARACTERS,
  type Delivery,
  type DeliveryPage,
  type WebhookCourier,
  type WebhookSecrets,
  type WebhookStore,
  type WebhookTargets,
} from '../ports/webhook-store.ts';
import { WebhookTests } from './test-deliveries.ts';

/** A webhook as a backend asks for it. Null is as good as left out. */
export interface NewWebhook {
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
export interface WebhookUpdate {
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
export interface ShownWebhook {
  readonly webhook: WebhookRecord;
  /** The new one; null: there is none. */
  readonly secret: string | null;
}

export interface DeliveriesAsked {
  readonly status: DeliveryStatus | null;
  readonly webhookId: WebhookId | null;
  readonly after: DeliveryId | null;
  readonly limit: number;
}

export interface RedeliveryAsked {
  readonly deliveryId: DeliveryId | null;
  /** All of this webhook that are DEAD. */
  readonly webhookId: WebhookId | null;
}

export interface WebhookParts {
  readonly store: WebhookStore;
  readonly secrets: WebhookSecrets;
  readonly targets: WebhookTargets;
  readonly courier: WebhookCourier;
  /** Those that this server serves. */
  readonly formats: readonly WebhookFormat[];
  /** For how long a delivery that fails is tried again. */
  readonly retryForMs: number;
}

// `URL` would leave out some of them, and send to another address than is shown.
const NOT_IN_A_URL = /[\s\p{Cc}]/u;

/** A delivery may have hundreds of events: a page is full with so many of them, too. */
const MAX_PAGE_EVENTS = 500;
/** Asked of the store at once, so that no more than these are read for nothing. */
const READ_AT_ONCE = 20;

export class Webhooks {
  readonly #presence: Pick<PresenceStore, 'now' | 'log'>;
  readonly #parts: WebhookParts;
  readonly #tests: WebhookTests;

  /** @param presence whose events are delivered, and whose clock is the one time there is. */
  constructor(presence: Pick<PresenceStore, 'now' | 'log'>, parts: WebhookParts) {
    this.#presence = presence;
    this.#parts = parts;
    this.#tests = new WebhookTests({ ...parts, clock: presence });
  }

  /** All of them, in the order in which they were made. */
  list(): Promise<readonly WebhookRecord[]> {
    return this.#parts.store.webhooks();
  }

  /** Null: there is none. */
  async find(id: WebhookId): Promise<WebhookRecord | null> {
    return (await this.list()).find((webhook) => webhook.id === id) ?? null;
  }

  /**
   * ACTIVE: it is told what happens from now on.
   * @throws BAD_USER_INPUT for a URL, a format or a secret that will not do, reasons that are none or name one twice,
   * and when there are as many webhooks as there may be.
   */
  async create(asked: NewWebhook): Promise<ShownWebhook> {
    const { store, secrets } = this.#parts;
    const url = this.#checkedUrl(asked.url);
    const format = this.#checkedFormat(asked.format ?? 'STANDARD');
    const reasons = checkedReasons(asked.reasons ?? null);
    const own = asked.secret == null ? null : checkedSecret(format, asked.secret);
    const secret = own ?? (format === 'STANDARD' ? secrets.newSecret() : null);
    const start = await this.#presence.log.latestCursor();
    const now = this.#presence.now();
    const webhook: WebhookRecord = {
      id: secrets.newWebhookId(),
      url,
      format,
      secret,
      previousSecret: null,
      reasons,
      userStatusOnly: asked.userStatusOnly ?? false,
      state: 'ACTIVE',
      createdAt: now,
      changedAt: now,
      start,
    };
    await store.createWebhook(webhook);
    return { webhook, secret };
  }

  /**
   * A changed URL, format or secret holds from the next attempt on, a changed filter for what is in no delivery yet.
   * @throws BAD_USER_INPUT as `create`; for a webhook that there is not; for a secret that is the present one.
   */
  async update(id: WebhookId, asked: WebhookUpdate): Promise<ShownWebhook> {
    const { store, secrets } = this.#parts;
    const url = given('url', asked.url);
    const format = given('format', asked.format);
    const { reasons } = asked;
    if (asked.rotateSecret === true && asked.secret !== undefined) {
      throw badUserInput('secret is given, and rotateSecret asks for a new one to be made: only one of them is right.');
    }
    const change = {
      url: url === undefined ? undefined : this.#checkedUrl(url),
      format: format === undefined ? undefined : this.#checkedFormat(format),
      reasons: reasons === undefined ? undefined : checkedReasons(reasons),
      userStatusOnly: given('userStatusOnly', asked.userStatusOnly),
      enabled: given('enabled', asked.enabled),
      previousSecretValidMs: checkedPreviousSecretValidMs(
        asked.previousSecretValidMs ?? DEFAULT_PREVIOUS_SECRET_VALID_MS,
      ),
      secret: asked.rotateSecret === true ? secrets.newSecret() : asked.secret,
    };
    const now = this.#presence.now();
    const webhook = await store.updateWebhook(id, (before) => changeWebhook(before, change, now));
    if (webhook === null) throw noWebhook(id);
    return { webhook, secret: change.secret ?? null };
  }

  /** With all its deliveries. @returns what it was. @throws BAD_USER_INPUT when there is none. */
  async delete(id: WebhookId): Promise<WebhookRecord> {
    const webhook = await this.#parts.store.deleteWebhook(id);
    if (webhook === null) throw noWebhook(id);
    return webhook;
  }

  /**
   * The latest first. A page may have fewer than `limit` though there are more: it ends with the delivery with which
   * it has 500 events.
   * @throws BAD_USER_INPUT for a webhook that there is not, or an `after` that is (no longer) a delivery.
   */
  async deliveries({ status, webhookId, after, limit }: DeliveriesAsked): Promise<DeliveryPage> {
    if (webhookId !== null) await this.#existing(webhookId);
    const found: Delivery[] = [];
    let events = 0;
    for (;;) {
      const page = await this.#parts.store.deliveries({
        status: status ?? undefined,
        webhookId: webhookId ?? undefined,
        after: found.at(-1)?.id ?? after,
        limit: Math.min(limit - found.length, READ_AT_ONCE),
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
  async redeliver(asked: RedeliveryAsked): Promise<number> {
    const { store, retryForMs } = this.#parts;
    const which = exactlyOne(asked);
    if ('webhookId' in which) await this.#existing(which.webhookId);
    else {
      const delivery = await store.findDelivery(which.deliveryId);
      if (delivery === null) throw badUserInput(`There is no delivery ${quoted(which.deliveryId)}.`);
      if (delivery.status === 'DEAD' && delivery.events.length === 0) {
        throw badUserInput(`The delivery ${quoted(which.deliveryId)} has no events that could be delivered.`);
      }
    }
    const now = this.#presence.now();
    const revived = await store.redeliver(which, (delivery) =>
      delivery.events.length === 0
        ? delivery
        : {
            ...delivery,
            status: 'RETRYING',
            shard: null,
            attempts: 0,
            nextAttemptAt: now,
            giveUpAt: later(now, retryForMs),
          },
    );
    return revived.length;
  }

  /**
   * Sends a test, whatever the state of the webhook; what becomes of it changes nothing else.
   * @returns DELIVERED or DEAD.
   * @throws BAD_USER_INPUT for a webhook that there is not, RATE_LIMITED while ten tests are under way.
   */
  async test(id: WebhookId): Promise<Delivery> {
    return this.#tests.test(await this.#existing(id));
  }

  /** Tests under way, and later ones, are cut short: a closing server waits for no receiver. Again is no matter. */
  close(): void {
    this.#tests.close();
  }

  async #existing(id: WebhookId): Promise<WebhookRecord> {
    const webhook = await this.find(id);
    if (webhook === null) throw noWebhook(id);
    return webhook;
  }

  /** @throws BAD_USER_INPUT, without the URL: there may be a password in it. */
  #checkedUrl(text: string): string {
    if (text.length > MAX_URL_CHARACTERS) throw badUserInput(`url is longer than ${MAX_URL_CHARACTERS} characters.`);
    const isUrl = !NOT_IN_A_URL.test(text) && URL.canParse(text);
    if (!isUrl) throw badUserInput('url is no URL, such as https://chat.example/hook.');
    const refusal = this.#parts.targets.refusal(new URL(text));
    if (refusal !== null) throw badUserInput(`url will not do. ${refusal}`);
    return text;
  }

  #checkedFormat(format: WebhookFormat): WebhookFormat {
    if (this.#parts.formats.includes(format)) return format;
    throw badUserInput(`The format ${format} is not served here: PORCHLIGHT_TENCENT is not on.`);
  }
}

const noWebhook = (id: WebhookId): DomainError => badUserInput(`There is no webhook ${quoted(id)}.`);

const exactlyOne = ({ deliveryId, webhookId }: RedeliveryAsked): Parameters<WebhookStore['redeliver']>[0] => {
  if (deliveryId !== null && webhookId === null) return { deliveryId };
  if (webhookId !== null && deliveryId === null) return { webhookId };
  throw badUserInput('Exactly one of deliveryId and webhookId is right.');
};

/** What was not left out. @throws BAD_USER_INPUT for null, which is no value of it. */
const given = <Value>(name: string, value: Value | null | undefined): Value | undefined => {
  if (value === null) throw badUserInput(`${name} is null; left out, it stays as it is.`);
  return value;
};
