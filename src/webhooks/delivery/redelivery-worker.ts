/**
 * Delivers what was given to a webhook to be redelivered: out of order by nature, so a few at a time, each with its own
 * retries. One whose receiver is slow with it takes one of the places, until its attempt is over.
 */
import type { Delivery, DueDeliveries } from '../../app/ports/webhook-store.ts';
import type { DeliveryId } from '../../core/ids.ts';
import { later, millis, type Millis } from '../../core/ids.ts';
import type { Tenure } from './lease-session.ts';

const AT_ONCE = 4;
/** Whatever was missed, it is looked again by then. */
const LOOK_WITHIN_MS = 60_000;

export class LooseConsumer {
  readonly tenure: Tenure;
  readonly #underWay = new Map<DeliveryId, Promise<void>>();

  constructor(tenure: Tenure) {
    this.tenure = tenure;
  }

  /** Until the tenure is over, and the attempts with it. Never rejects. */
  async run(): Promise<void> {
    await this.tenure.run(() => this.#work());
    await Promise.all(this.#underWay.values());
  }

  /** There may be more. */
  nudge(): void {
    this.tenure.wake();
  }

  async #work(): Promise<never> {
    const { tenure } = this;
    const { now } = tenure.around;
    for (;;) {
      await tenure.webhook();
      // Those under way are still due in the store, and may be all that it tells.
      const due = await this.#due();
      for (const delivery of due.deliveries) this.#begin(delivery);
      const lookAt = later(now(), LOOK_WITHIN_MS);
      const { nextAt } = due;
      const hasPlace = this.#underWay.size < AT_ONCE;
      await tenure.napUntil(hasPlace && nextAt !== null && nextAt > now() ? millis(Math.min(nextAt, lookAt)) : lookAt);
    }
  }

  /** With none, those of a time yet to come: the clock was set back since, and nobody knows how long they have waited. */
  async #due(): Promise<DueDeliveries> {
    const { now } = this.tenure.around;
    const due = await this.#dueBy(now());
    if (due.deliveries.length > 0 || due.nextAt === null) return due;
    const next = await this.#dueBy(due.nextAt);
    return { deliveries: next.deliveries.filter((delivery) => isOfTheFuture(delivery, now())), nextAt: due.nextAt };
  }

  #dueBy(moment: Millis): Promise<DueDeliveries> {
    const { tenure } = this;
    const asking = 'It could not be read what is to be redelivered.';
    return tenure.underLease(asking, (lease) => tenure.around.store.due(lease, moment, AT_ONCE));
  }

  #begin(delivery: Delivery): void {
    if (this.#underWay.size >= AT_ONCE || this.#underWay.has(delivery.id)) return;
    const attempt = this.tenure
      .run(() => this.#attempt(delivery))
      .finally(() => {
        this.#underWay.delete(delivery.id);
        this.tenure.wake();
      });
    this.#underWay.set(delivery.id, attempt);
  }

  async #attempt(delivery: Delivery): Promise<void> {
    const webhook = await this.tenure.webhook();
    await this.tenure.attempt(webhook, delivery, delivery.attempts);
  }
}

/** One that was not tried yet is due from when it was given. */
const isOfTheFuture = ({ attempts, lastAttemptAt }: Delivery, now: Millis): boolean =>
  attempts === 0 || (lastAttemptAt !== null && lastAttemptAt > now);
