/** The webhook service over stores that tests can read and fill. */
import { expect } from 'vitest';
import type { Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { WebhookService, type CreateWebhookRequest } from '../../../../src/app/webhooks/webhook-service.ts';
import { DomainError } from '../../../../src/core/errors.ts';
import type { WebhookId } from '../../../../src/core/ids.ts';
import { WEBHOOK_FORMATS, type WebhookFormat, type WebhookState } from '../../../../src/core/enums.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { deadDelivery } from '../../../contract/webhook-records.ts';
import { START } from '../support/fake-store.ts';
import { AppHarness } from '../support/app-harness.ts';
import { errorOf } from '../support/waiting.ts';
import { webhookParts, type TestParts } from './webhook-parts.ts';

export const HOOK = 'https://chat.example/hook';

export class WebhookStage extends AppHarness {
  readonly parts: TestParts;
  readonly webhooks: WebhookService;

  constructor(formats: readonly WebhookFormat[] = WEBHOOK_FORMATS) {
    super();
    this.parts = webhookParts(() => this.store.now(), formats);
    this.webhooks = new WebhookService(this.store, this.parts);
  }

  async create(asked: Partial<CreateWebhookRequest> = {}): Promise<WebhookRecord> {
    return (await this.webhooks.createWebhook({ url: HOOK, ...asked })).webhook;
  }

  /** The stored webhook. */
  async kept(id: WebhookId): Promise<WebhookRecord> {
    const found = await this.webhooks.findWebhook(id);
    if (found === null) throw new Error('It is not kept.');
    return found;
  }

  async isIn(id: WebhookId, state: WebhookState): Promise<void> {
    await this.parts.store.updateWebhook(id, (webhook) => ({ ...webhook, state }));
  }

  /** Stores a DEAD delivery with the first event of the log. */
  async leave(webhook: WebhookRecord, id: string, change: Partial<Delivery> = {}): Promise<Delivery> {
    const delivery = deadDelivery(id, {
      webhookId: webhook.id,
      shard: null,
      events: this.store.events.slice(0, 1),
      eventCount: 1,
      createdAt: START,
      attempts: 30,
      lastAttemptAt: START,
      giveUpAt: START,
      ...change,
    });
    await this.parts.store.addDelivery(delivery);
    return delivery;
  }
}

/** The message of a BAD_USER_INPUT error. */
export const refusal = async (promise: Promise<unknown>): Promise<string> => {
  const error = await errorOf(promise);
  expect(error).toBeInstanceOf(DomainError);
  expect(error).toMatchObject({ details: { code: 'BAD_USER_INPUT' } });
  return error.message;
};
