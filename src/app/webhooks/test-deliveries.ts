/** Tests of webhooks: each is attempted once, at once, while its caller waits. */
import { DomainError } from '../../core/errors.ts';
import { NOT_TRIED, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import type { Delivery, WebhookCourier, WebhookSecrets, WebhookStore } from '../ports/webhook-store.ts';

export interface WebhookTestsOptions {
  readonly clock: Pick<PresenceStore, 'now'>;
  readonly store: WebhookStore;
  readonly secrets: WebhookSecrets;
  readonly courier: WebhookCourier;
}

/** A test takes as long as its receiver likes, up to the timeout. */
const TESTS_AT_ONCE = 10;
const RETRY_AFTER_MS = 1_000;

export class WebhookTests {
  readonly #options: WebhookTestsOptions;
  /** Those under way, each with its end. */
  readonly #underWay = new Set<AbortController>();
  #isClosed = false;

  constructor(options: WebhookTestsOptions) {
    this.#options = options;
  }

  /**
   * Keeps what became of it, whatever that is.
   * @returns DELIVERED or DEAD.
   * @throws RATE_LIMITED while ten are under way; BAD_USER_INPUT when the webhook is gone by the end of it.
   */
  async test(webhook: WebhookRecord): Promise<Delivery> {
    if (this.#underWay.size >= TESTS_AT_ONCE) {
      throw new DomainError(
        { code: 'RATE_LIMITED', retryAfterMs: RETRY_AFTER_MS },
        `${TESTS_AT_ONCE} tests of webhooks are under way; at most so many may be.`,
      );
    }
    const cut = new AbortController();
    if (this.#isClosed) cut.abort();
    this.#underWay.add(cut);
    try {
      const delivery = this.#made(webhook);
      const { status, error } = await this.#options.courier.attempt(webhook, delivery, cut.signal);
      const attempted: Delivery = {
        ...delivery,
        status: error === null ? 'DELIVERED' : 'DEAD',
        attempts: 1,
        lastAttemptAt: delivery.createdAt,
        lastStatus: status,
        lastError: error,
        nextAttemptAt: null,
      };
      await this.#options.store.addDelivery(attempted);
      return attempted;
    } finally {
      this.#underWay.delete(cut);
    }
  }

  /** Nobody waits for them any longer: those under way are cut short, later ones too, and have failed. Again is no matter. */
  close(): void {
    this.#isClosed = true;
    for (const cut of this.#underWay) cut.abort();
  }

  #made({ id }: WebhookRecord): Delivery {
    const now = this.#options.clock.now();
    return {
      id: this.#options.secrets.newDeliveryId(),
      webhookId: id,
      shard: null,
      isTest: true,
      status: 'RETRYING',
      events: [],
      eventCount: 0,
      createdAt: now,
      ...NOT_TRIED,
      nextAttemptAt: now,
      giveUpAt: now,
    };
  }
}
