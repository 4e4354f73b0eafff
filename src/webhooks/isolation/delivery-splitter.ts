/**
 * Retries a failed delivery of a shard. If the receiver refuses it but accepts other requests, the delivery is split by
 * user: users whose events are accepted go on, and those whose events are refused become isolated. A receiver that
 * refuses everything gets no more requests than without splitting.
 */
import { HTTP_GONE, type AttemptReport, type Delivery, type IsolatedUser } from '../../app/ports/webhook-store.ts';
import type { Millis, UserId } from '../../core/ids.ts';
import type { Shard, WebhookRecord } from '../../core/webhooks/webhook.ts';
import { markWebhookGone, sendDelivery } from '../delivery/attempt-delivery.ts';
import { applyAttemptToDelivery, type DeliveryTransition } from '../delivery/attempt-outcome.ts';
import type { LeaseSession } from '../delivery/lease-session.ts';
import { createDelivery } from '../delivery/new-delivery.ts';
import type { ShardLogReader } from '../delivery/shard-log-reader.ts';
import type { ShardProgress } from '../delivery/shard-progress.ts';
import type { ReceiverState } from './receiver-state.ts';
import { createPart, listUserIds, removeEvents, removeUser } from './split-delivery.ts';

/** A delivery is split after so many failures in a row. */
const MIN_FAILURES = 2;
/** So many refusals in a row end a split: the receiver may have stopped to accept anything. */
const MAX_REFUSALS_IN_A_ROW = 3;

/** What the splitter needs of the worker of its shard. */
export interface SplitterDeps {
  readonly session: LeaseSession;
  readonly shard: Shard;
  readonly progress: ShardProgress;
  readonly receiver: ReceiverState;
  readonly logReader: ShardLogReader;
  /** Number of failed attempts of the shard in a row. */
  readonly getConsecutiveFailures: () => number;
  readonly resetFailures: () => void;
  /** Attempts the whole delivery and saves it. @throws LeaseEndedError */
  readonly attemptWhole: (webhook: WebhookRecord, delivery: Delivery) => Promise<DeliveryTransition>;
  /** Counts a failed attempt of a part as one of the delivery. @returns the delivery after it, which is not saved yet. */
  readonly applyFailure: (delivery: Delivery, report: AttemptReport, startedAt: Millis) => Delivery;
  readonly onIsolated: (userId: UserId) => void;
}

/** The receiver refused the events of one user alone. */
interface Refusal {
  /** `acceptedAttempts` of the receiver at that time. */
  readonly acceptedAttempts: number;
  /** The attempt, as the user's pending delivery will show it. */
  readonly attempt: Pick<Delivery, 'lastAttemptAt' | 'lastStatus' | 'lastError' | 'nextAttemptAt'>;
  readonly asksForPause: boolean;
}

interface PartResult {
  /** The delivery without what was accepted; null: nothing is left. */
  readonly left: Delivery | null;
  /** Null: accepted. */
  readonly failure: {
    readonly report: AttemptReport;
    readonly startedAt: Millis;
    readonly asksForPause: boolean;
  } | null;
}

/** Which users of a delivery become isolated. */
interface IsolationPlan {
  /** The delivery without the isolated users; null: nothing is left. */
  rest: Delivery | null;
  /** The isolated users; empty before `isolateUsers`. */
  readonly userIds: readonly UserId[];
  /** To be called once, within a commit, so that isolated users are always in the progress. */
  readonly isolateUsers: () => readonly IsolatedUser[];
}

export class DeliverySplitter {
  readonly #deps: SplitterDeps;
  /** By user of the current delivery. */
  readonly #refusals = new Map<UserId, Refusal>();
  /** `acceptedAttempts` of the receiver at the last failure of the delivery or of a probe. */
  #acceptedAtFailure = 0;
  #wasLastProbeOfNextEvents = false;
  #probes = 0;

  constructor(deps: SplitterDeps) {
    this.#deps = deps;
  }

  /** The attempts that follow are for another delivery, which has just failed or is continued after a restart. */
  startDelivery(): void {
    this.#refusals.clear();
    this.#acceptedAtFailure = this.#deps.receiver.acceptedAttempts;
    this.#wasLastProbeOfNextEvents = false;
  }

  /** Makes at least one attempt. @returns the delivery if it has to be retried. @throws LeaseEndedError */
  async retryDelivery(webhook: WebhookRecord, delivery: Delivery): Promise<Delivery | null> {
    let left = await this.#isolateProvenUsers(delivery);
    if (left === null) return null;
    const maySplit = this.#deps.getConsecutiveFailures() >= MIN_FAILURES;
    if (maySplit && !this.#hasAcceptedSinceFailure()) {
      left = await this.#probe(webhook, left);
      if (left === null || !this.#hasAcceptedSinceFailure()) return left;
    }
    // The receiver may have recovered, so the whole delivery is tried before it is split.
    const isAccepting = this.#hasAcceptedSinceFailure();
    const { delivery: attempted, asksForPause } = await this.#attemptWhole(webhook, left);
    if (attempted.status !== 'RETRYING') return null;
    const isSuspect = isAccepting && !asksForPause && this.#deps.getConsecutiveFailures() >= MIN_FAILURES;
    return isSuspect ? this.#splitByUser(attempted) : attempted;
  }

  #hasAcceptedSinceFailure(): boolean {
    return this.#deps.receiver.acceptedAttempts > this.#acceptedAtFailure;
  }

  async #attemptWhole(webhook: WebhookRecord, delivery: Delivery): Promise<DeliveryTransition> {
    const transition = await this.#deps.attemptWhole(webhook, delivery);
    this.#acceptedAtFailure = this.#deps.receiver.acceptedAttempts;
    return transition;
  }

  /**
   * Sends one request that shows whether the receiver accepts anything: in turns the events of one user of the delivery,
   * and the next events of the shard.
   * @returns the delivery if it has to be retried.
   */
  async #probe(webhook: WebhookRecord, delivery: Delivery): Promise<Delivery | null> {
    const userIds = listUserIds(delivery);
    if (this.#refusals.size > 0 && !this.#wasLastProbeOfNextEvents) {
      const left = await this.#probeNextEvents(webhook, delivery);
      if (left !== undefined) {
        this.#wasLastProbeOfNextEvents = true;
        return left;
      }
    }
    this.#wasLastProbeOfNextEvents = false;
    const untried = userIds.find((userId) => !this.#refusals.has(userId));
    const userId = untried ?? userIds[this.#probes++ % userIds.length];
    if (userId === undefined) return delivery;
    const { left, failure } = await this.#attemptPart(webhook, delivery, userId);
    if (left === null || failure === null) return left;
    return this.#saveFailure(left, failure.report, failure.startedAt);
  }

  /**
   * Sends the next events of the shard, without those of the users of the delivery.
   * @returns null: they were accepted, so all users of the delivery are isolated; the delivery: they were refused;
   * undefined: there are none, or too many users are isolated.
   */
  async #probeNextEvents(webhook: WebhookRecord, delivery: Delivery): Promise<Delivery | null | undefined> {
    const { progress, receiver } = this.#deps;
    const userIds = listUserIds(delivery);
    // Reserved before the request: once it is accepted, all of these users must become isolated.
    if (!receiver.reserveIsolation(userIds.length)) return undefined;
    const plan = this.#planIsolation(delivery, userIds, () => true);
    try {
      return await this.#sendNextEvents(webhook, delivery, plan);
    } finally {
      if (plan.userIds.length === 0) {
        receiver.releaseIsolation(userIds.length);
        progress.holdSkips(new Map());
      }
    }
  }

  async #sendNextEvents(
    webhook: WebhookRecord,
    delivery: Delivery,
    plan: IsolationPlan,
  ): Promise<Delivery | null | undefined> {
    const { session, shard, progress, logReader, resetFailures } = this.#deps;
    const { now, random, counters, retryForMs, receiverHealth } = session.deps;
    const scanned = await logReader.readEvents(webhook, new Set(listUserIds(delivery)));
    const [first, ...others] = scanned?.events ?? [];
    if (scanned === null || first === undefined) return undefined;
    const startedAt = now();
    const next = createDelivery({ webhookId: webhook.id, shard, now: startedAt }, [first, ...others], retryForMs);
    // Its progress can be saved only together with the isolation of the users of the delivery.
    const report = await sendDelivery(session, webhook, next, () => Promise.resolve());
    if (report.error !== null) {
      counters.countAttempt({ ...report, deliveredEventCount: 0 }, next, next);
      // The error of the delivery stays the one that it got itself.
      const { lastStatus, lastError } = delivery;
      return this.#saveFailure(
        delivery,
        { ...report, status: lastStatus, error: lastError ?? report.error },
        startedAt,
      );
    }
    if (report.status === null) return undefined;
    const context = { startedAt, now: now(), random: random(), consecutiveFailures: 0 };
    const transition = applyAttemptToDelivery(next, report, context);
    counters.countAttempt(report, next, transition.delivery);
    receiverHealth.recordAttempt(session.lease, report, transition);
    await progress.commit(() => ({
      scanned,
      deliveries: [transition.delivery],
      isolatedUsers: plan.isolateUsers(),
    }));
    this.#reportIsolated(plan.userIds);
    resetFailures();
    return null;
  }

  /** Sends the events of each user alone. @returns the delivery if it has to be retried. */
  async #splitByUser(delivery: Delivery): Promise<Delivery | null> {
    const { session, receiver } = this.#deps;
    const userIds = listUserIds(delivery);
    if (userIds.length === 1) return this.#isolateOnlyUser(delivery);
    const acceptedBefore = receiver.acceptedAttempts;
    let rest: Delivery = delivery;
    const refused: UserId[] = [];
    let refusedInARow = 0;
    let lastFailure: PartResult['failure'] = null;
    for (const userId of userIds) {
      const { left, failure } = await this.#attemptPart(await session.loadActiveWebhook(), rest, userId);
      if (left === null) return null;
      rest = left;
      refusedInARow = failure === null ? 0 : refusedInARow + 1;
      if (failure === null) continue;
      lastFailure = failure;
      refused.push(userId);
      if (refusedInARow >= MAX_REFUSALS_IN_A_ROW || failure.asksForPause) break;
    }
    const isAccepting = receiver.acceptedAttempts > acceptedBefore;
    const unproven = refusedInARow >= MAX_REFUSALS_IN_A_ROW ? refusedInARow : 0;
    const proven = isAccepting ? refused.slice(0, refused.length - unproven) : [];
    const left = await this.#isolateUsers(rest, proven);
    if (left === null || lastFailure === null) return left;
    return this.#saveFailure(left, lastFailure.report, lastFailure.startedAt);
  }

  /**
   * Sends the events of one user of the delivery. What is accepted is saved. A refusal is remembered, but the delivery is
   * not saved.
   */
  async #attemptPart(webhook: WebhookRecord, delivery: Delivery, userId: UserId): Promise<PartResult> {
    const { session, progress, receiver, resetFailures } = this.#deps;
    const { now, random, counters, receiverHealth } = session.deps;
    const startedAt = now();
    const part = createPart(delivery, userId, startedAt);
    const withoutDelivered = (remaining: Delivery): Delivery | null => {
      const kept = new Set(remaining.events.map(({ cursor }) => cursor));
      return removeEvents(
        delivery,
        new Set(part.events.map(({ cursor }) => cursor).filter((cursor) => !kept.has(cursor))),
      );
    };
    const report = await sendDelivery(session, webhook, part, async (remaining) => {
      const left = withoutDelivered(remaining);
      if (left !== null) await progress.commit(() => ({ deliveries: [left] }));
    });
    const context = { startedAt, now: now(), random: random(), consecutiveFailures: 0 };
    const transition = applyAttemptToDelivery(part, report, context);
    // Whether the delivery is DEAD is decided, and counted, for the whole of it.
    counters.countAttempt(report, part, { ...transition.delivery, status: 'RETRYING' });
    if (report.error === null) {
      const left = part === delivery ? null : removeUser(delivery, userId);
      await progress.commit(() => ({
        deliveries: [...(left === null ? [] : [left]), transition.delivery],
      }));
      receiverHealth.recordAttempt(session.lease, report, transition);
      if (left === null) resetFailures();
      return { left, failure: null };
    }
    if (transition.delivery.status === 'RETRYING') {
      this.#refusals.set(userId, {
        acceptedAttempts: receiver.acceptedAttempts,
        attempt: transition.delivery,
        asksForPause: transition.asksForPause,
      });
    }
    if (report.status === HTTP_GONE) await markWebhookGone(session, webhook, report);
    return {
      left: withoutDelivered(transition.delivery),
      failure: { report, startedAt, asksForPause: transition.asksForPause },
    };
  }

  /** Saves a failed attempt of a part as one of the delivery. @returns the delivery if it has to be retried. */
  async #saveFailure(delivery: Delivery, report: AttemptReport, startedAt: Millis): Promise<Delivery | null> {
    const { progress, receiver, applyFailure } = this.#deps;
    this.#acceptedAtFailure = receiver.acceptedAttempts;
    const failed = applyFailure(delivery, { ...report, deliveredEventCount: 0 }, startedAt);
    await progress.commit(() => ({ deliveries: [failed] }));
    return failed.status === 'RETRYING' ? failed : null;
  }

  /** Isolates the users whose events were refused, if the receiver accepted anything since. @returns the rest. */
  #isolateProvenUsers(delivery: Delivery): Promise<Delivery | null> {
    const { acceptedAttempts } = this.#deps.receiver;
    const proven = listUserIds(delivery).filter((userId) => {
      const refusal = this.#refusals.get(userId);
      return refusal !== undefined && refusal.acceptedAttempts < acceptedAttempts && !refusal.asksForPause;
    });
    return this.#isolateUsers(delivery, proven);
  }

  /** The whole delivery of one user was refused. @returns the delivery if the user cannot be isolated. */
  #isolateOnlyUser(delivery: Delivery): Promise<Delivery | null> {
    const [userId] = listUserIds(delivery);
    if (userId === undefined) return Promise.resolve(delivery);
    const { acceptedAttempts } = this.#deps.receiver;
    this.#refusals.set(userId, { acceptedAttempts, attempt: delivery, asksForPause: false });
    return this.#isolateUsers(delivery, [userId]);
  }

  /** Isolates as many of these users as the limit allows. @returns the rest of the delivery. */
  async #isolateUsers(delivery: Delivery, userIds: readonly UserId[]): Promise<Delivery | null> {
    const { progress, receiver, resetFailures } = this.#deps;
    if (userIds.length === 0 || progress.position === null) return delivery;
    const plan = this.#planIsolation(delivery, userIds, () => receiver.reserveIsolation());
    await progress.commit(() => {
      const isolatedUsers = plan.isolateUsers();
      return { isolatedUsers, deliveries: plan.rest === null || isolatedUsers.length === 0 ? [] : [plan.rest] };
    });
    this.#reportIsolated(plan.userIds);
    // Like a delivery that is accepted in part, it starts again with the shortest wait.
    if (plan.userIds.length > 0) resetFailures();
    return plan.rest;
  }

  /** @param reserve reserves a place for one user; false: there is none. */
  #planIsolation(delivery: Delivery, userIds: readonly UserId[], reserve: () => boolean): IsolationPlan {
    const { session, progress } = this.#deps;
    const isolatedIds: UserId[] = [];
    const plan: IsolationPlan = {
      rest: delivery,
      userIds: isolatedIds,
      isolateUsers: () => {
        const isolatedUsers: IsolatedUser[] = [];
        for (const userId of userIds) {
          const { rest } = plan;
          const { position } = progress;
          if (rest === null || position === null || !reserve()) continue;
          const part = createPart(rest, userId, session.deps.now());
          const pendingDelivery = addAttempt(part, this.#refusals.get(userId));
          isolatedUsers.push({ userId, position, skippedThrough: null, pendingDelivery });
          isolatedIds.push(userId);
          plan.rest = part === rest ? null : removeUser(rest, userId);
        }
        return isolatedUsers;
      },
    };
    return plan;
  }

  #reportIsolated(userIds: readonly UserId[]): void {
    const { session, onIsolated } = this.#deps;
    const { webhookId } = session.lease;
    for (const userId of userIds) {
      const attempt = this.#refusals.get(userId)?.attempt;
      this.#refusals.delete(userId);
      if (attempt !== undefined) session.deps.receiverHealth.reportIsolatedUser(webhookId, userId, attempt);
      onIsolated(userId);
    }
  }
}

/** A part that was not sent yet is sent at once. */
const addAttempt = (part: Delivery, refusal: Refusal | undefined): Delivery => {
  if (refusal === undefined) return part;
  const { lastAttemptAt, lastStatus, lastError, nextAttemptAt } = refusal.attempt;
  return { ...part, attempts: Math.max(1, part.attempts), lastAttemptAt, lastStatus, lastError, nextAttemptAt };
};
