/**
 * Delivers one shard of one webhook, in the order of the log: one delivery at a time, and none before the one that
 * failed is taken or given up. It holds that one delivery, and otherwise only knows how far it is.
 */
import type { LoggedEvent, ScannedLog } from '../../app/ports/presence-store.ts';
import type { Delivery } from '../../app/ports/webhook-store.ts';
import { DomainError } from '../../core/errors.ts';
import { later, type Cursor, type Millis } from '../../core/ids.ts';
import type { PresenceEvent } from '../../core/records.ts';
import { isWanted, shardOf, type Shard, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import { composed, lost } from './new-delivery.ts';
import type { Tenure } from './lease-session.ts';

/** Events in one delivery, but for the rest of a change. */
const BATCH = 100;
/** How long the first of them waits for more. */
const GATHER_MS = 250;
/** Looks at the log for one batch: where little is wanted, so much of it is not waited for any longer. */
const LOOKS = 10;
/** A position that nothing was delivered at is noted this often at the least. */
const NOTE_WITHIN_MS = 60_000;

/** What was found from the position on. */
interface Found {
  /** As it was when it was looked. */
  readonly webhook: WebhookRecord;
  readonly events: readonly LoggedEvent[];
  readonly through: Cursor;
  /** Nothing follows, as of then. */
  readonly isAll: boolean;
}

type Batch = Found & { readonly events: readonly [LoggedEvent, ...LoggedEvent[]] };

export class Consumer {
  readonly tenure: Tenure;
  readonly shard: Shard;
  /** Null: from the oldest event that is kept. */
  #position: Cursor | null = null;
  #noted: Cursor | null = null;
  #noteAt: Millis;
  /** Attempts in a row. */
  #failures = 0;
  #restUntil: Millis;
  /** `changedAt` of the webhook at the last attempt; null: none was made here. */
  #triedAs: Millis | null = null;
  /** When the oldest event happened that it has in hand. */
  #inHandSince: Millis | null = null;
  /** When the last event happened that was found, if the log has more after it: what follows waits since then at most. */
  #behindSince: Millis | null = null;
  /** Wanted events that were committed since the last look, as far as they matter, and when the first of them happened. */
  #heard = 0;
  #heardSince: Millis | null = null;
  #enough = 1;
  #nudged = false;
  #isIdle = false;

  constructor(tenure: Tenure, shard: Shard) {
    this.tenure = tenure;
    this.shard = shard;
    this.#noteAt = this.#restUntil = tenure.around.now();
  }

  /** When the oldest event happened that it knows to be waiting; null: it knows of none. */
  get waitingSince(): Millis | null {
    return this.#inHandSince ?? this.#behindSince ?? this.#heardSince;
  }

  /** Until the tenure is over. Never rejects. */
  run(): Promise<void> {
    return this.tenure.run(() => this.#work());
  }

  /** These were committed. Cheap: it looks at them only as long as it makes a difference. */
  hear(events: readonly PresenceEvent[]): void {
    if (this.#heard >= this.#enough) return;
    const { tenure } = this;
    const webhook = tenure.around.webhooks.lastKnown(tenure.lease.webhookId);
    if (webhook === undefined) return;
    const before = this.#heard;
    for (const event of events) {
      if (!isWanted(webhook, event)) continue;
      this.#heard++;
      this.#heardSince ??= event.occurredAt;
    }
    if (this.#heard > before && (before === 0 || this.#heard >= this.#enough)) tenure.wake();
  }

  /** The webhook may have changed: it is time to look, whatever was heard. */
  nudge(): void {
    this.#nudged = true;
    this.tenure.wake();
  }

  /** Much was committed: whoever heard nothing of interest comes along, while it need not be read from a disk. */
  comeAlong(): void {
    if (this.#isIdle) this.nudge();
  }

  async #work(): Promise<never> {
    const { tenure } = this;
    const { store } = tenure.around;
    const asking = 'It could not be read how far a webhook’s deliveries have come.';
    const { position, pending } = await tenure.underLease(asking, (lease) => store.progress(lease));
    this.#position = this.#noted = position;
    this.#planToNote();
    if (pending !== null) {
      this.#failures = pending.attempts;
      await this.#retry(pending);
    }
    for (;;) {
      const batch = await this.#nextBatch();
      const left = await this.#begin(batch);
      if (left !== null) await this.#retry(left);
    }
  }

  /** @returns what is still to be delivered of it. */
  async #begin({ webhook, events, through }: Batch): Promise<Delivery | null> {
    const { around, lease } = this.tenure;
    const origin = { webhookId: lease.webhookId, shard: this.shard, now: around.now() };
    const left = await this.#attempt(webhook, composed(origin, events, around.retryForMs), through);
    this.#position = this.#noted = through;
    this.#planToNote();
    return left;
  }

  /** Until it is taken or given up. */
  async #retry(delivery: Delivery): Promise<void> {
    for (let left: Delivery | null = delivery; left !== null;) {
      this.#inHandSince = left.events[0]?.occurredAt ?? null;
      const webhook = await this.#whenDue(left);
      left = await this.#attempt(webhook, left);
    }
  }

  /** @returns the webhook that it is due for: one that has changed since the last attempt need not be waited for. */
  async #whenDue({ nextAttemptAt, lastAttemptAt }: Delivery): Promise<WebhookRecord> {
    const { tenure } = this;
    const { now } = tenure.around;
    for (;;) {
      const webhook = await tenure.webhook();
      const hasChanged =
        this.#triedAs === null ? webhook.changedAt > (lastAttemptAt ?? 0) : webhook.changedAt !== this.#triedAs;
      // A last attempt that is yet to come: the clock has been set back since, and nobody knows how long it has waited.
      const isOfTheFuture = lastAttemptAt !== null && lastAttemptAt > now();
      if (hasChanged || isOfTheFuture || nextAttemptAt === null || nextAttemptAt <= now()) return webhook;
      await tenure.napUntil(nextAttemptAt);
    }
  }

  /** @param position to be noted with it. @returns what is still to be delivered. */
  async #attempt(webhook: WebhookRecord, delivery: Delivery, position?: Cursor): Promise<Delivery | null> {
    this.#triedAs = webhook.changedAt;
    const settled = await this.tenure.attempt(webhook, delivery, this.#failures, position);
    this.#failures = settled.failures;
    this.#restUntil = later(this.tenure.around.now(), settled.restMs);
    this.#inHandSince = null;
    return settled.delivery.status === 'RETRYING' ? settled.delivery : null;
  }

  /** Waits for it. */
  async #nextBatch(): Promise<Batch> {
    const { tenure } = this;
    const { now } = tenure.around;
    while (now() < this.#restUntil) await tenure.napUntil(this.#restUntil);
    for (;;) {
      const found = await this.#look();
      this.#inHandSince = found.events[0]?.occurredAt ?? null;
      this.#behindSince = found.isAll ? null : (found.events.at(-1)?.occurredAt ?? this.#behindSince);
      if (isBatch(found)) {
        const full = found.events.length >= BATCH || !found.isAll;
        const { occurredAt } = found.events[0];
        const sendAt = later(occurredAt, GATHER_MS);
        // What is yet to happen was logged before the clock was set back, and has waited already.
        if (full || sendAt <= now() || occurredAt > now()) return found;
        await this.#listen(sendAt, BATCH - found.events.length);
      } else {
        this.#position = found.through;
        if (now() >= this.#noteAt) await this.#notePosition();
        if (found.isAll) await this.#untilHeard();
      }
    }
  }

  /** Looks at what follows, until there is a batch of it, or it is time to be content with less. */
  async #look(): Promise<Found> {
    const { tenure } = this;
    const { webhooks } = tenure.around;
    for (;;) {
      const webhook = await tenure.webhook();
      const { generation } = webhooks;
      this.#listenAnew();
      const found = await this.#find(webhook);
      // Changed meanwhile: what was looked at was looked at with a filter that may no longer hold.
      if (found !== null && generation === webhooks.generation) return found;
    }
  }

  /** @returns null: it has to begin elsewhere. */
  async #find(webhook: WebhookRecord): Promise<Found | null> {
    const events: LoggedEvent[] = [];
    let through = this.#position;
    for (let looks = 1; ; looks++) {
      const scanned = await this.#scan(through, BATCH - events.length, webhook);
      if (scanned === null) {
        await this.#expired();
        return null;
      }
      through = scanned.through;
      events.push(...scanned.events);
      if (!scanned.hasMore || events.length >= BATCH || looks >= LOOKS) {
        return { webhook, events, through, isAll: !scanned.hasMore };
      }
    }
  }

  /** @returns null: what follows has been removed. */
  #scan(after: Cursor | null, limit: number, webhook: WebhookRecord): Promise<ScannedLog | null> {
    const { log, turns } = this.tenure.around;
    const matching = (event: PresenceEvent): boolean =>
      isWanted(webhook, event) && shardOf(event.userId) === this.shard;
    return this.tenure.insist('The log could not be read for a webhook.', async () => {
      try {
        return await turns.take(() => log.scan({ after, limit, matching }));
      } catch (error) {
        if (error instanceof DomainError && error.fault.code === 'CURSOR_EXPIRED') return null;
        throw error;
      }
    });
  }

  /** Goes on from the oldest event that is kept, and leaves word of it. */
  async #expired(): Promise<void> {
    const { around, lease } = this.tenure;
    if (this.#position === null) return;
    const origin = { webhookId: lease.webhookId, shard: this.shard, now: around.now() };
    await this.tenure.note({ delivery: lost(origin, this.#position) });
    this.#position = null;
    this.#noteAt = around.now();
    around.tally.deliveriesDead++;
    around.onWarning(
      new Error(`Shard ${this.shard} of webhook ${lease.webhookId} goes on with the oldest event that is kept.`),
      'Events were removed by the retention before a webhook could be told of them.',
    );
  }

  /** Until something wanted can be sent, or it is time to look anyway. */
  async #untilHeard(): Promise<void> {
    const { tenure } = this;
    const { now } = tenure.around;
    this.#isIdle = true;
    while (this.#heard === 0 && !this.#nudged && now() < this.#noteAt) await tenure.napUntil(this.#noteAt);
    this.#isIdle = false;
    if (this.#heardSince !== null) await this.#listen(later(this.#heardSince, GATHER_MS), BATCH);
  }

  /** Until so much was heard since the last look, or that moment. */
  async #listen(until: Millis, enough: number): Promise<void> {
    const { tenure } = this;
    this.#enough = enough;
    while (this.#heard < enough && !this.#nudged && tenure.around.now() < until) await tenure.napUntil(until);
  }

  #listenAnew(): void {
    this.#heard = 0;
    this.#heardSince = null;
    this.#enough = BATCH;
    this.#nudged = false;
  }

  async #notePosition(): Promise<void> {
    const position = this.#position;
    if (position !== null && position !== this.#noted) {
      await this.tenure.note({ position });
      this.#noted = position;
    }
    this.#planToNote();
  }

  /** Not all of them at once. */
  #planToNote(): void {
    const { now, random } = this.tenure.around;
    this.#noteAt = later(now(), Math.ceil((NOTE_WITHIN_MS * (1 + random())) / 2));
  }
}

const isBatch = (found: Found): found is Batch => found.events.length > 0;
