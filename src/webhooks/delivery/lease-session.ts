/**
 * The time for which one shard is delivered under one lease: until somebody stops it, or the lease is lost. Whatever is
 * waited for here ends with it.
 */
import type { EventLog } from '../../app/ports/presence-store.ts';
import type { Attempt, Delivery, Lease, WebhookCourier, WebhookStore } from '../../app/ports/webhook-store.ts';
import { later, type Cursor, type Millis, type WebhookId } from '../../core/ids.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import { backoffMs } from './backoff.ts';
import { attemptOutcome, type Tally } from './delivery-counters.ts';
import { outcomeOf, type Settled } from './attempt-outcome.ts';
import type { Receivers } from './receiver-health.ts';
import type { Timers } from './timers.ts';
import type { Troubles } from './failure-log.ts';
import type { Turns } from './scan-budget.ts';

/** What every consumer of an engine works with. */
export interface Surroundings {
  readonly log: EventLog;
  readonly store: WebhookStore;
  readonly courier: WebhookCourier;
  readonly webhooks: KnownWebhooks;
  readonly now: () => Millis;
  readonly timers: Timers;
  /** At least 0, less than 1. */
  readonly random: () => number;
  readonly turns: Turns;
  readonly tally: Tally;
  readonly receivers: Receivers;
  readonly troubles: Troubles;
  readonly retryForMs: number;
  /** Hears of what failed and will be tried again. Must not throw. */
  readonly onWarning: (error: unknown, what: string) => void;
}

export interface KnownWebhooks {
  /** One higher with every change of any webhook, from the moment on at which it was heard of. */
  readonly generation: number;
  /** As it is now, read again first if it may have changed; undefined: there is none (any more). */
  current(id: WebhookId): Promise<WebhookRecord | undefined>;
  /** As last read. */
  lastKnown(id: WebhookId): WebhookRecord | undefined;
}

/** Thrown to leave whatever is under way: the tenure is over. */
class Over extends Error {}

/** Tries of the store at a distance of up to about a minute. */
const MOST_FAILURES = 7;

export class Tenure {
  readonly around: Surroundings;
  /** What is under way is broken off, and nothing is written. */
  readonly #broken = new AbortController();
  #lease: Lease;
  /** Nothing is begun any more. */
  #stopped = false;
  #lost = false;
  /** Of everything that is waited for. */
  readonly #waits = new Set<AbortController>();
  #nap: AbortController | null = null;
  #woken = false;

  constructor(lease: Lease, around: Surroundings) {
    this.#lease = lease;
    this.around = around;
  }

  get lease(): Lease {
    return this.#lease;
  }

  /** Was it stopped by nobody yet? */
  get isGoing(): boolean {
    return !this.#stopped;
  }

  renew(lease: Lease): void {
    this.#lease = lease;
  }

  /** No new attempt is made; those under way are waited for, and what becomes of them is written. */
  stop(): void {
    this.#stopped = true;
    for (const wait of this.#waits) wait.abort();
  }

  /** Stops, and breaks attempts off: they are made again by whoever comes next. */
  breakOff(): void {
    this.stop();
    this.#broken.abort();
  }

  /** The lease is over: breaks off, and nothing is written any more. */
  lose(): void {
    this.#lost = true;
    this.breakOff();
    this.around.receivers.forget(this.#lease);
  }

  /** Ends the nap, or the next one that begins. */
  wake(): void {
    this.#woken = true;
    this.#nap?.abort();
  }

  /** Runs `work`, and stops if it is left because the tenure is over. Never rejects: a fault ends it, too, and is told. */
  async run(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.stop();
      if (error instanceof Over) return;
      this.around.onWarning(error, 'A webhook’s deliveries stopped and will be begun again.');
    }
  }

  /** Until that moment, or until woken; by one at a time. @throws when the tenure is over. */
  async napUntil(at: Millis): Promise<void> {
    if (!this.#woken) {
      this.#nap = new AbortController();
      await this.#wait(at, this.#nap);
      this.#nap = null;
    }
    this.#woken = false;
    this.#checkGoing();
  }

  /**
   * Asks the store until it answers: it may be that its disk is full for a while. Whoever stops meanwhile asks once more:
   * what was taken and is not noted would be sent again. @throws when the tenure is over.
   */
  async insist<T>(what: string, work: () => Promise<T>): Promise<T> {
    const { now, random, troubles } = this.around;
    const who = {};
    try {
      for (let failures = 1; ; failures++) {
        if (this.#lost) throw new Over();
        const isLast = this.#stopped;
        try {
          const answer = await work();
          troubles.worked(what, who);
          return answer;
        } catch (error) {
          troubles.failed(error, what, who);
        }
        if (isLast) throw new Over();
        const until = later(now(), 1_000 + backoffMs(Math.min(failures, MOST_FAILURES), random()));
        while (now() < until && !this.#stopped) await this.#wait(until, new AbortController());
      }
    } finally {
      troubles.left(what, who);
    }
  }

  /** What a store answers with to a lease that it knows. @throws when it does not. */
  async underLease<T>(what: string, work: (lease: Lease) => Promise<T | null>): Promise<T> {
    const answer = await this.insist(what, () => work(this.#lease));
    if (answer === null) throw new Over();
    return answer;
  }

  /** @throws when the lease is lost: nothing was written then. */
  async note(progress: { readonly position?: Cursor; readonly delivery?: Delivery }): Promise<void> {
    const noted = await this.insist('It could not be noted how far a webhook’s deliveries have come.', () =>
      this.around.store.note(this.#lease, progress),
    );
    if (!noted) throw new Over();
  }

  /** The webhook as it is now. @throws when it is not to be told anything. */
  async webhook(): Promise<WebhookRecord> {
    const webhook = await this.around.webhooks.current(this.#lease.webhookId);
    if (webhook?.state !== 'ACTIVE') throw new Over();
    this.#checkGoing();
    return webhook;
  }

  /**
   * Makes one attempt and notes what becomes of the delivery, with the position if one is given.
   * @param failures how many attempts in a row had failed before.
   * @throws when the tenure is over. What was broken off is as if it had not been, but for what was taken of it.
   */
  async attempt(webhook: WebhookRecord, delivery: Delivery, failures: number, position?: Cursor): Promise<Settled> {
    const { now, random, tally } = this.around;
    const startedAt = now();
    // Stopped while the log was read.
    this.#checkGoing();
    // Not renewed in time: somebody else may be delivering it already.
    if (this.#lease.until <= startedAt) throw new Over();
    const attempt = await this.#send(webhook, delivery);
    if (this.#lost) throw new Over();
    if (attempt.error !== null && this.#broken.signal.aborted) return this.#leave(delivery, attempt, position);
    const settled = outcomeOf(delivery, attempt, { startedAt, now: now(), random: random(), failures });
    await this.note({ delivery: settled.delivery, ...(position === undefined ? {} : { position }) });
    tally.attempts[attemptOutcome(attempt)]++;
    tally.eventsDelivered += delivery.events.length - settled.delivery.events.length;
    if (settled.delivery.status === 'DEAD') tally.deliveriesDead++;
    this.around.receivers.attempted(this.#lease, attempt, settled);
    if (settled.isGone) await this.#gone(webhook, attempt);
    return settled;
  }

  /** What was taken before it was broken off is not sent again. */
  async #leave(delivery: Delivery, { eventsDone }: Attempt, position?: Cursor): Promise<never> {
    if (eventsDone > 0) {
      const left: Delivery = { ...delivery, events: delivery.events.slice(eventsDone) };
      await this.note({ delivery: left, ...(position === undefined ? {} : { position }) });
      this.around.tally.eventsDelivered += eventsDone;
    }
    throw new Over();
  }

  async #send(webhook: WebhookRecord, delivery: Delivery): Promise<Attempt> {
    try {
      return await this.around.courier.attempt(webhook, delivery, this.#broken.signal);
    } catch (error) {
      this.around.onWarning(error, 'A webhook’s delivery could not be attempted.');
      return { status: null, error: 'A fault of the server.', eventsDone: 0, retryAfterMs: null };
    }
  }

  /**
   * Says so, unless somebody has changed it since it was attempted: it is paused, delivers elsewhere, or was enabled
   * again after another shard had been told the same.
   */
  async #gone({ id, changedAt }: WebhookRecord, attempt: Attempt): Promise<void> {
    const { store, tally, receivers, now } = this.around;
    let isNew = false;
    await this.insist('It could not be noted that a webhook’s receiver is gone.', () =>
      store.updateWebhook(id, (webhook) => {
        isNew = webhook.state === 'ACTIVE' && webhook.changedAt === changedAt;
        return isNew ? { ...webhook, state: 'GONE', changedAt: now() } : webhook;
      }),
    );
    if (!isNew) return;
    tally.webhooksGone++;
    receivers.gone(id, attempt);
  }

  async #wait(until: Millis, ended: AbortController): Promise<void> {
    const ms = until - this.around.now();
    if (this.#stopped || ms <= 0) return;
    this.#waits.add(ended);
    await this.around.timers.wait(ms, ended.signal);
    this.#waits.delete(ended);
  }

  #checkGoing(): void {
    if (this.#stopped) throw new Over();
  }
}
