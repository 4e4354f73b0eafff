/** What webhooks are managed with, as tests may know it: secrets that can be guessed, and a courier that goes nowhere. */
import type {
  AttemptReport,
  Delivery,
  WebhookSender,
  WebhookSecretFactory,
  WebhookUrlPolicy,
} from '../../../../src/app/ports/webhook-store.ts';
import type { WebhookServiceOptions } from '../../../../src/app/webhooks/webhook-service.ts';
import { parseDeliveryId, parseWebhookId, type Millis } from '../../../../src/core/ids.ts';
import { WEBHOOK_FORMATS } from '../../../../src/core/enums.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { MemoryWebhookStore } from '../../../contract/memory-webhooks.ts';

export const RETRY_FOR_MS = 3 * 86_400_000;

export const TAKEN: AttemptReport = { status: 204, error: null, deliveredEventCount: 0, retryAfterMs: null };
export const CUT: AttemptReport = {
  status: null,
  error: 'It was cut short.',
  deliveredEventCount: 0,
  retryAfterMs: null,
};

/** webhook-1, delivery-2 … Each secret is of another letter: what comes first is A. */
class CountingSecrets implements WebhookSecretFactory {
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

/** As the format STANDARD has it, of 24 bytes. */
export const secretOf = (number: number): string =>
  `whsec_${String.fromCharCode('A'.charCodeAt(0) + number).repeat(32)}`;

/** Answers as it is told, when it is told; meanwhile it can be cut short. */
export class TestCourier implements WebhookSender {
  /** What the next attempts come to. A promise: until it resolves, the attempt is under way. */
  answer: AttemptReport | Promise<AttemptReport> = TAKEN;
  readonly attempts: { readonly webhook: WebhookRecord; readonly delivery: Delivery }[] = [];

  async attemptDelivery(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<AttemptReport> {
    this.attempts.push({ webhook, delivery });
    if (signal.aborted) return CUT;
    return Promise.race([
      this.answer,
      new Promise<AttemptReport>((resolve) => signal.addEventListener('abort', () => resolve(CUT), { once: true })),
    ]);
  }
}

/** Nothing but https, and not to itself. */
const targets: WebhookUrlPolicy = {
  getRejectionReason: ({ protocol, hostname }) => {
    if (protocol !== 'https:') return 'It must be https.';
    return hostname === 'localhost' ? 'localhost is not public.' : null;
  },
};

export interface TestParts extends WebhookServiceOptions {
  readonly store: MemoryWebhookStore;
  readonly sender: TestCourier;
}

export const webhookParts = (
  clock: () => Millis,
  formats: WebhookServiceOptions['formats'] = WEBHOOK_FORMATS,
): TestParts => ({
  store: new MemoryWebhookStore({ clock }),
  secretFactory: new CountingSecrets(),
  urlPolicy: targets,
  sender: new TestCourier(),
  formats,
  retryForMs: RETRY_FOR_MS,
});
