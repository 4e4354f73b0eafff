/** The parts of the webhook service for tests: predictable secrets, and a sender without a network. */
import type { AttemptReport, WebhookIdFactory, WebhookUrlPolicy } from '../../../../src/app/ports/webhook-store.ts';
import type { WebhookServiceOptions } from '../../../../src/app/webhooks/webhook-service.ts';
import { parseDeliveryId, parseWebhookId, type Millis } from '../../../../src/core/ids.ts';
import { WEBHOOK_FORMATS } from '../../../../src/core/enums.ts';
import { MemoryWebhookStore } from '../../../contract/memory-webhooks.ts';
import { FakeSender } from '../../webhooks/support/fake-sender.ts';

export const RETRY_FOR_MS = 3 * 86_400_000;

export const ACCEPTED_REPORT: AttemptReport = { status: 204, error: null, deliveredEventCount: 0, retryAfterMs: null };

/** Creates webhook-1, delivery-2 … Each secret repeats another letter, from A on. */
class CountingSecrets implements WebhookIdFactory {
  #count = 0;
  #secrets = 0;

  createWebhookId() {
    return parseWebhookId(`webhook-${++this.#count}`);
  }

  createDeliveryId() {
    return parseDeliveryId(`delivery-${++this.#count}`);
  }

  createSecret() {
    return secretOf(this.#secrets++);
  }
}

/** A secret of the format STANDARD, of 24 bytes. */
export const secretOf = (number: number): string =>
  `whsec_${String.fromCharCode('A'.charCodeAt(0) + number).repeat(32)}`;

/** Accepts https URLs only, and none of the server itself. */
const targets: WebhookUrlPolicy = {
  getRejectionReason: ({ protocol, hostname }) => {
    if (protocol !== 'https:') return 'It must be https.';
    return hostname === 'localhost' ? 'localhost is not public.' : null;
  },
};

export interface TestParts extends WebhookServiceOptions {
  readonly store: MemoryWebhookStore;
  readonly sender: FakeSender;
}

export const webhookParts = (
  clock: () => Millis,
  formats: WebhookServiceOptions['formats'] = WEBHOOK_FORMATS,
): TestParts => {
  const sender = new FakeSender(clock);
  sender.nextReport = ACCEPTED_REPORT;
  return {
    store: new MemoryWebhookStore({ clock }),
    secretFactory: new CountingSecrets(),
    urlPolicy: targets,
    sender,
    formats,
    retryForMs: RETRY_FOR_MS,
  };
};
