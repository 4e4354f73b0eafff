/** What webhooks are managed with, as tests may know it: secrets that can be guessed, and a courier that goes nowhere. */
import type {
  Attempt,
  Delivery,
  WebhookCourier,
  WebhookSecrets,
  WebhookTargets,
} from '../../../../src/app/ports/webhook-store.ts';
import type { WebhookParts } from '../../../../src/app/webhooks/webhook-service.ts';
import { deliveryId, webhookId, type Millis } from '../../../../src/core/ids.ts';
import { WEBHOOK_FORMATS } from '../../../../src/core/enums.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { MemoryWebhookStore } from '../../../contract/memory-webhooks.ts';

export const RETRY_FOR_MS = 3 * 86_400_000;

export const TAKEN: Attempt = { status: 204, error: null, eventsDone: 0, retryAfterMs: null };
export const CUT: Attempt = { status: null, error: 'It was cut short.', eventsDone: 0, retryAfterMs: null };

/** webhook-1, delivery-2 … Each secret is of another letter: what comes first is A. */
class CountingSecrets implements WebhookSecrets {
  #count = 0;
  #secrets = 0;

  newWebhookId() {
    return webhookId(`webhook-${++this.#count}`);
  }

  newDeliveryId() {
    return deliveryId(`delivery-${++this.#count}`);
  }

  newSecret() {
    return secretOf(this.#secrets++);
  }
}

/** As the format STANDARD has it, of 24 bytes. */
export const secretOf = (number: number): string =>
  `whsec_${String.fromCharCode('A'.charCodeAt(0) + number).repeat(32)}`;

/** Answers as it is told, when it is told; meanwhile it can be cut short. */
export class TestCourier implements WebhookCourier {
  /** What the next attempts come to. A promise: until it resolves, the attempt is under way. */
  answer: Attempt | Promise<Attempt> = TAKEN;
  readonly attempts: { readonly webhook: WebhookRecord; readonly delivery: Delivery }[] = [];

  async attempt(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<Attempt> {
    this.attempts.push({ webhook, delivery });
    if (signal.aborted) return CUT;
    return Promise.race([
      this.answer,
      new Promise<Attempt>((resolve) => signal.addEventListener('abort', () => resolve(CUT), { once: true })),
    ]);
  }
}

/** Nothing but https, and not to itself. */
const targets: WebhookTargets = {
  refusal: ({ protocol, hostname }) => {
    if (protocol !== 'https:') return 'It must be https.';
    return hostname === 'localhost' ? 'localhost is not public.' : null;
  },
};

export interface TestParts extends WebhookParts {
  readonly store: MemoryWebhookStore;
  readonly courier: TestCourier;
}

export const webhookParts = (clock: () => Millis, formats: WebhookParts['formats'] = WEBHOOK_FORMATS): TestParts => ({
  store: new MemoryWebhookStore({ clock }),
  secrets: new CountingSecrets(),
  targets,
  courier: new TestCourier(),
  formats,
  retryForMs: RETRY_FOR_MS,
});
