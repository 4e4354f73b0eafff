/** A courier without a network: every attempt is written down, and goes as the test says. */
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { AttemptReport, Delivery, WebhookSender } from '../../../../src/app/ports/webhook-store.ts';
import type { DeliveryId, Millis } from '../../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';

export interface Told {
  readonly at: Millis;
  readonly webhook: WebhookRecord;
  readonly delivery: Delivery;
  readonly id: DeliveryId;
  readonly events: readonly LoggedEvent[];
}

export type Answer = (told: Told, signal: AbortSignal) => AttemptReport | Promise<AttemptReport>;

export const taken = ({ events }: Told): AttemptReport => ({
  status: 200,
  error: null,
  deliveredEventCount: events.length,
  retryAfterMs: null,
});

export const refused = (status: number, more: Partial<AttemptReport> = {}): AttemptReport => ({
  status,
  error: `It answered ${status}.`,
  deliveredEventCount: 0,
  retryAfterMs: null,
  ...more,
});

const brokenOff: AttemptReport = { status: null, error: 'Broken off.', deliveredEventCount: 0, retryAfterMs: null };

/** Answers nothing until it is broken off. */
export const hangs = (_told: Told, signal: AbortSignal): Promise<AttemptReport> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(brokenOff);
    else signal.addEventListener('abort', () => resolve(brokenOff));
  });

export class FakeSender implements WebhookSender {
  readonly told: Told[] = [];
  answer: Answer = taken;
  readonly #now: () => Millis;

  constructor(now: () => Millis) {
    this.#now = now;
  }

  /** Every event of every attempt. */
  get events(): readonly LoggedEvent[] {
    return this.told.flatMap(({ events }) => events);
  }

  async attemptDelivery(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<AttemptReport> {
    const told = { at: this.#now(), webhook, delivery, id: delivery.id, events: delivery.events };
    this.told.push(told);
    return this.answer(told, signal);
  }
}
