/** A courier without a network: every attempt is written down, and goes as the test says. */
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { Attempt, Delivery, WebhookCourier } from '../../../../src/app/ports/webhook-store.ts';
import type { DeliveryId, Millis } from '../../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';

export interface Told {
  readonly at: Millis;
  readonly webhook: WebhookRecord;
  readonly delivery: Delivery;
  readonly id: DeliveryId;
  readonly events: readonly LoggedEvent[];
}

export type Answer = (told: Told, signal: AbortSignal) => Attempt | Promise<Attempt>;

export const taken = ({ events }: Told): Attempt => ({
  status: 200,
  error: null,
  eventsDone: events.length,
  retryAfterMs: null,
});

export const refused = (status: number, more: Partial<Attempt> = {}): Attempt => ({
  status,
  error: `It answered ${status}.`,
  eventsDone: 0,
  retryAfterMs: null,
  ...more,
});

const brokenOff: Attempt = { status: null, error: 'Broken off.', eventsDone: 0, retryAfterMs: null };

/** Answers nothing until it is broken off. */
export const hangs = (_told: Told, signal: AbortSignal): Promise<Attempt> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(brokenOff);
    else signal.addEventListener('abort', () => resolve(brokenOff));
  });

export class FakeSender implements WebhookCourier {
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

  async attempt(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<Attempt> {
    const told = { at: this.#now(), webhook, delivery, id: delivery.id, events: delivery.events };
    this.told.push(told);
    return this.answer(told, signal);
  }
}
