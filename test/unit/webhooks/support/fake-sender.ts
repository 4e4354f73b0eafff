/** A webhook sender without a network: it records every attempt and returns the report that the test chooses. */
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { AttemptReport, Delivery, WebhookSender } from '../../../../src/app/ports/webhook-store.ts';
import type { DeliveryId, Millis } from '../../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';

export interface SentAttempt {
  readonly at: Millis;
  readonly webhook: WebhookRecord;
  readonly delivery: Delivery;
  readonly id: DeliveryId;
  readonly events: readonly LoggedEvent[];
}

export type RespondToAttempt = (attempt: SentAttempt, signal: AbortSignal) => AttemptReport | Promise<AttemptReport>;

export const acceptDelivery = ({ events }: SentAttempt): AttemptReport => ({
  status: 200,
  error: null,
  deliveredEventCount: events.length,
  retryAfterMs: null,
});

export const rejectWithStatus = (status: number, more: Partial<AttemptReport> = {}): AttemptReport => ({
  status,
  error: `It answered ${status}.`,
  deliveredEventCount: 0,
  retryAfterMs: null,
  ...more,
});

export const ABORTED_REPORT: AttemptReport = {
  status: null,
  error: 'The attempt was aborted.',
  deliveredEventCount: 0,
  retryAfterMs: null,
};

/** Never responds until the attempt is aborted. */
export const hangUntilAborted = (_attempt: SentAttempt, signal: AbortSignal): Promise<AttemptReport> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(ABORTED_REPORT);
    else signal.addEventListener('abort', () => resolve(ABORTED_REPORT), { once: true });
  });

export class FakeSender implements WebhookSender {
  readonly attempts: SentAttempt[] = [];
  respond: RespondToAttempt = acceptDelivery;
  readonly #now: () => Millis;

  constructor(now: () => Millis) {
    this.#now = now;
  }

  /** The next attempts end with this report, or with ABORTED_REPORT if they are aborted first. */
  set nextReport(report: AttemptReport | Promise<AttemptReport>) {
    this.respond = (attempt, signal) =>
      signal.aborted ? ABORTED_REPORT : Promise.race([report, hangUntilAborted(attempt, signal)]);
  }

  /** The events of all attempts, in order. */
  get events(): readonly LoggedEvent[] {
    return this.attempts.flatMap(({ events }) => events);
  }

  async attemptDelivery(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<AttemptReport> {
    const attempt = { at: this.#now(), webhook, delivery, id: delivery.id, events: delivery.events };
    this.attempts.push(attempt);
    return this.respond(attempt, signal);
  }
}
