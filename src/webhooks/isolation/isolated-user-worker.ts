/**
 * Delivers the events of one isolated user in order, one delivery at a time, beside those of the shard. The user rejoins
 * the shard when everything that the shard skipped is DELIVERED or DEAD.
 */
import type { LoggedEvent } from '../../app/ports/presence-store.ts';
import type { Delivery, IsolatedUser } from '../../app/ports/webhook-store.ts';
import { DomainError } from '../../core/errors.ts';
import { addMs, toMillis, type Cursor, type Millis, type UserId } from '../../core/ids.ts';
import { matchesEventFilter, type Shard, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import { attemptDelivery } from '../delivery/attempt-delivery.ts';
import type { LeaseSession } from '../delivery/lease-session.ts';
import { createDelivery, createLostEventsDelivery } from '../delivery/new-delivery.ts';
import { MAX_BATCH_EVENTS } from '../delivery/shard-log-reader.ts';
import type { ProgressChange, ShardProgress } from '../delivery/shard-progress.ts';
import type { ReceiverState } from './receiver-state.ts';

/** A worker that waits for something that is not timed looks again after this time. */
const MAX_WAIT_MS = 60_000;

export interface IsolatedUserDeps {
  readonly session: LeaseSession;
  readonly shard: Shard;
  readonly progress: ShardProgress;
  readonly receiver: ReceiverState;
}

/** Events of the user that the shard skipped. */
interface SkippedEvents {
  /** Those that the webhook wants. */
  readonly events: readonly LoggedEvent[];
  /** Every skipped event up to here is in `events`, not wanted, or removed by retention. */
  readonly readThrough: Cursor;
}

export class IsolatedUserWorker {
  readonly #deps: IsolatedUserDeps;
  readonly #userId: UserId;
  #consecutiveFailures = 0;
  /** `changedAt` of the webhook at the last attempt; null: this worker made none yet. */
  #attemptedChangedAt: Millis | null = null;
  #notBefore: Millis = toMillis(0);
  #wait: AbortController | null = null;
  #isWakePending = false;

  constructor(deps: IsolatedUserDeps, userId: UserId) {
    this.#deps = deps;
    this.#userId = userId;
  }

  /** Resolves when the user is not isolated any more. @throws LeaseEndedError */
  async deliverUntilRejoined(): Promise<void> {
    const { session, progress, receiver } = this.#deps;
    this.#consecutiveFailures = progress.findIsolatedUser(this.#userId)?.pendingDelivery?.attempts ?? 0;
    for (;;) {
      const user = progress.findIsolatedUser(this.#userId);
      if (user === undefined) return;
      if (user.pendingDelivery !== null) await this.#retryPending(user.pendingDelivery);
      else if (user.skippedThrough !== null) await this.#deliverSkipped(user, user.skippedThrough);
      else if (await progress.rejoinUser(this.#userId)) {
        receiver.releaseIsolation();
        session.deps.receiverHealth.reportRejoinedUser(session.lease.webhookId, this.#userId);
        return;
      } else await this.#waitUntil(addMs(session.deps.now(), MAX_WAIT_MS));
    }
  }

  /** The webhook or the skipped events may have changed. */
  wake(): void {
    this.#isWakePending = true;
    this.#wait?.abort();
  }

  async #retryPending(delivery: Delivery): Promise<void> {
    const webhook = await this.#startAttempt(delivery);
    await this.#attempt(webhook, delivery, (user, pendingDelivery) => ({
      ...user,
      pendingDelivery,
    }));
  }

  async #deliverSkipped(user: IsolatedUser, through: Cursor): Promise<void> {
    const { session, shard, progress } = this.#deps;
    const { now, retryForMs } = session.deps;
    const webhook = await session.loadActiveWebhook();
    const read = await this.#readSkipped(webhook, user.position, through);
    const moveOn = (current: IsolatedUser): IsolatedUser => ({
      ...current,
      position: read.readThrough,
      skippedThrough: current.skippedThrough === read.readThrough ? null : current.skippedThrough,
    });
    const [first, ...others] = read.events;
    if (first === undefined) {
      await progress.commit(() => this.#changeUser(moveOn));
      return;
    }
    const delivery = createDelivery({ webhookId: webhook.id, shard, now: now() }, [first, ...others], retryForMs);
    await this.#attempt(await this.#startAttempt(delivery), delivery, (current, pendingDelivery) => ({
      ...moveOn(current),
      pendingDelivery,
    }));
  }

  /** @param decide the user after the attempt, with the delivery if it has to be retried. */
  async #attempt(
    webhook: WebhookRecord,
    delivery: Delivery,
    decide: (user: IsolatedUser, pendingDelivery: Delivery | null) => IsolatedUser,
  ): Promise<void> {
    const { session, progress, receiver } = this.#deps;
    const { now, random } = session.deps;
    this.#attemptedChangedAt = webhook.changedAt;
    try {
      const transition = await attemptDelivery(session, {
        webhook,
        delivery,
        consecutiveFailures: this.#consecutiveFailures,
        save: (result) =>
          progress.commit(() => ({
            deliveries: [result],
            ...this.#changeUser((user) => decide(user, result.status === 'RETRYING' ? result : null)),
          })),
      });
      this.#consecutiveFailures = transition.consecutiveFailures;
      this.#notBefore = addMs(now(), transition.cooldownMs);
      if (transition.delivery.status !== 'DELIVERED') receiver.recordIsolatedFailure(now(), random());
    } finally {
      receiver.endIsolatedAttempt();
    }
  }

  #changeUser(change: (user: IsolatedUser) => IsolatedUser): ProgressChange {
    const user = this.#deps.progress.findIsolatedUser(this.#userId);
    return user === undefined ? {} : { isolatedUsers: [change(user)] };
  }

  /** Waits until the delivery is due and an attempt of an isolated user is possible. `endIsolatedAttempt` must follow. */
  async #startAttempt(delivery: Delivery): Promise<WebhookRecord> {
    const { session, receiver } = this.#deps;
    const { now } = session.deps;
    for (;;) {
      const webhook = await session.loadActiveWebhook();
      const at = this.#attemptTime(webhook, delivery);
      if (at <= now()) {
        if (receiver.startIsolatedAttempt()) return webhook;
        await this.#waitUntil(addMs(now(), MAX_WAIT_MS));
      } else await this.#waitUntil(at);
    }
  }

  #attemptTime(webhook: WebhookRecord, { attempts, nextAttemptAt, lastAttemptAt, giveUpAt }: Delivery): Millis {
    const { receiver, session } = this.#deps;
    const now = session.deps.now();
    const hasWebhookChanged =
      this.#attemptedChangedAt === null
        ? attempts > 0 && webhook.changedAt > (lastAttemptAt ?? 0)
        : webhook.changedAt !== this.#attemptedChangedAt;
    // With a last attempt in the future, the clock was set back since, so the wait is unknown.
    const isUnknown = lastAttemptAt !== null && lastAttemptAt > now;
    const own = hasWebhookChanged || isUnknown || nextAttemptAt === null ? now : nextAttemptAt;
    const dueAt = Math.max(own, this.#notBefore);
    // The last attempt is made in time, even while the receiver refuses everything.
    return toMillis(Math.max(dueAt, Math.min(receiver.pausedUntil, Math.max(dueAt, giveUpAt))));
  }

  /**
   * Reads from the log what the shard skipped after `position`, up to one delivery. If retention removed a part, that is
   * reported as a DEAD delivery.
   */
  async #readSkipped(webhook: WebhookRecord, position: Cursor, through: Cursor): Promise<SkippedEvents> {
    const read = await this.#scanUser(webhook, position, through, false);
    if (read !== null) return read;
    const { session, shard, progress } = this.#deps;
    const { now, counters } = session.deps;
    const origin = { webhookId: webhook.id, shard, now: now() };
    await progress.commit(() => ({ deliveries: [createLostEventsDelivery(origin, position)] }));
    counters.deliveriesDead++;
    return (await this.#scanUser(webhook, null, through, true)) ?? { events: [], readThrough: through };
  }

  /**
   * @param isThroughUnsure retention may have removed the last skipped event; then it is searched for, because events
   * after it are the shard's.
   * @returns null: retention removed events after `after`.
   */
  async #scanUser(
    webhook: WebhookRecord,
    after: Cursor | null,
    through: Cursor,
    isThroughUnsure: boolean,
  ): Promise<SkippedEvents | null> {
    let first: SkippedEvents | null = null;
    for (let position = after; ;) {
      const page = await this.#readPage(position);
      if (page === null) return null;
      const end = page.events.findIndex(({ cursor }) => cursor === through);
      const isFound = end >= 0;
      const skipped = isFound ? page.events.slice(0, end + 1) : page.events;
      const last = skipped.at(-1);
      if (!isFound && (last === undefined || !page.hasMore)) return { events: [], readThrough: through };
      const events = skipped.filter((event) => matchesEventFilter(webhook, event));
      if (first === null && last !== undefined && (events.length > 0 || isFound)) {
        first = { events, readThrough: last.cursor };
      }
      if (first !== null && (isFound || !isThroughUnsure)) return first;
      position = last?.cursor ?? position;
    }
  }

  /** @returns null: retention removed events after `after`. */
  #readPage(after: Cursor | null) {
    const { session } = this.#deps;
    const { eventLog, scanBudget } = session.deps;
    return session.retryStoreCall('The event log could not be read for a webhook; the server retries.', async () => {
      try {
        const query = { after, limit: MAX_BATCH_EVENTS, userId: this.#userId, wholeChanges: true };
        return await scanBudget.runWithinBudget(() => eventLog.readEvents(query));
      } catch (error) {
        if (error instanceof DomainError && error.details.code === 'CURSOR_EXPIRED') return null;
        throw error;
      }
    });
  }

  /** Ends early when the worker is notified, or when the receiver may accept an attempt. @throws LeaseEndedError */
  async #waitUntil(at: Millis): Promise<void> {
    const { session, receiver } = this.#deps;
    if (!this.#isWakePending) {
      this.#wait = new AbortController();
      receiver.addWaiter(this.#wait);
      try {
        await session.waitUntilAborted(at, this.#wait);
      } finally {
        receiver.removeWaiter(this.#wait);
        this.#wait = null;
      }
    }
    this.#isWakePending = false;
  }
}
