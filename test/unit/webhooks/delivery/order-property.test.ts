/**
 * Under failures, hangs, crashes, pauses and redeliveries: every wanted event is delivered or DEAD. The events of one
 * user first arrive in order. Nothing is sent again after its acceptance was saved.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { AttemptReport, Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { addMs, type Cursor, type DeliveryId, type UserId } from '../../../../src/core/ids.ts';
import { PLATFORMS } from '../../../../src/core/enums.ts';
import { matchesEventFilter } from '../../../../src/core/webhooks/webhook.ts';
import { SimulatedEngineProcess, type EngineProcessOptions } from '../support/engine-process.ts';
import { FakeSender, rejectWithStatus, acceptDelivery, type SentAttempt } from '../support/fake-sender.ts';
import { ALL_SHARDS, WEBHOOK_ID, DeliveryHarness, userIdOfShard } from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

/** Three of the users share a shard. */
const USERS: readonly UserId[] = [
  userIdOfShard(0),
  userIdOfShard(0, 1),
  userIdOfShard(0, 2),
  userIdOfShard(3),
  userIdOfShard(5),
];
const RETRY_FOR_MS = 60_000;
const TIMEOUT_MS = 10_000;

const nodes = fc.nat({ max: 1 });
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('login' as const),
      user: fc.constantFrom(...USERS),
      platform: fc.constantFrom(...PLATFORMS),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.oneof(
        fc.constant(250),
        fc.nat({ max: 1_000 }),
        fc.nat({ max: 60_000 }),
        fc.integer({ min: RETRY_FOR_MS, max: 400_000 }),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('kill' as const, 'restart' as const, 'stall' as const, 'goOn' as const),
      node: nodes,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('redeliver' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('refuse' as const, 'accept' as const),
      user: fc.constantFrom(...USERS),
    }),
  },
);

/** The results of consecutive attempts. `arrives`: the receiver got the request, whatever it answers. */
const attemptPlan = fc.record({
  answer: fc.constantFrom('taken', 'taken', 'taken', 'refused', 'refused', 'partly', 'partly', 'nothing', 'gone'),
  arrives: fc.boolean(),
  afterMs: fc.oneof(fc.constant(0), fc.nat({ max: TIMEOUT_MS })),
  retryAfterMs: fc.option(fc.nat({ max: 120_000 })),
});
type AttemptPlan = typeof attemptPlan extends fc.Arbitrary<infer T> ? T : never;

const filter = fc.record({
  reasons: fc.constantFrom(null, ['LOGIN'] as const, ['KICKED', 'LOGIN'] as const),
  userStatusOnly: fc.boolean(),
});

interface Arrival {
  readonly event: LoggedEvent;
  /** By a delivery of its shard, not by a redelivery. */
  readonly isInOrder: boolean;
}

const NOTHING_SEEN = {
  repeated: 0,
  dead: 0,
  gone: 0,
  aborted: 0,
  redelivered: 0,
  several: 0,
  isolated: 0,
  isolatedWithSkipped: 0,
  rejoined: 0,
};

class ReceiverModel {
  readonly arrivals: Arrival[] = [];
  readonly savedCursors = new Set<Cursor>();
  readonly faults: string[] = [];
  readonly seen = { ...NOTHING_SEEN };
  /** The last event of each delivery when it was first sent. */
  readonly ends: LoggedEvent[] = [];
  readonly #inProgress = new Map<UserId, SentAttempt>();
  /** What the receiver answered to the last attempt that arrived. */
  readonly #accepted = new Map<DeliveryId, readonly LoggedEvent[]>();
  readonly #plans: readonly AttemptPlan[];
  /** Requests with their events are refused. */
  readonly refusedUsers: Set<UserId>;
  /** It refuses only the events of these users. */
  readonly #isCalm: boolean;
  #attempts = 0;
  isReceiverHealthy = false;

  constructor(plans: readonly AttemptPlan[], refusedUsers: readonly UserId[], isCalm: boolean) {
    this.#isCalm = isCalm;
    this.#plans = plans;
    this.refusedUsers = new Set(refusedUsers);
  }

  answer(harness: DeliveryHarness, isAlive: () => boolean) {
    return async (sent: SentAttempt, signal: AbortSignal): Promise<AttemptReport> => {
      const next = this.#plans[this.#attempts++ % this.#plans.length]!;
      const { shard } = sent.delivery;
      for (const { cursor } of sent.events)
        if (this.savedCursors.has(cursor)) this.faults.push(`${cursor} was sent again.`);
      const userIds = shard === null ? [] : sent.events.map(({ userId }) => userId);
      for (const userId of userIds) {
        const other = this.#inProgress.get(userId);
        if (other !== undefined && other !== sent) this.faults.push(`${userId} has two deliveries in progress.`);
        this.#inProgress.set(userId, sent);
      }
      this.#accepted.delete(sent.id);
      if (sent.delivery.attempts === 0) this.ends.push(sent.events.at(-1)!);
      if (sent.events.length > 1) this.seen.several++;
      try {
        const attempt = await this.#attempt(next, sent, signal, harness);
        this.#accepted.set(sent.id, sent.events.slice(0, attempt.deliveredEventCount));
        return attempt;
      } finally {
        // A killed engine has no attempts in progress: see `forgetAttemptsOf`.
        for (const userId of userIds) if (this.#inProgress.get(userId) === sent) this.#inProgress.delete(userId);
        if (!isAlive()) this.seen.aborted++;
      }
    };
  }

  forgetAttemptsOf(receiver: FakeSender): void {
    for (const [userId, sent] of this.#inProgress) {
      if (receiver.attempts.includes(sent)) this.#inProgress.delete(userId);
    }
  }

  onProgressSaved(delivery: Delivery): void {
    const undelivered = new Set(delivery.events.map(({ cursor }) => cursor));
    for (const { cursor } of this.#accepted.get(delivery.id) ?? []) {
      if (!undelivered.has(cursor)) this.savedCursors.add(cursor);
    }
    if (delivery.status === 'DEAD') this.seen.dead++;
  }

  async #attempt(
    next: AttemptPlan,
    sent: SentAttempt,
    signal: AbortSignal,
    harness: DeliveryHarness,
  ): Promise<AttemptReport> {
    const isRefused = sent.events.some(({ userId }) => this.refusedUsers.has(userId));
    const answerToOthers = this.#isCalm ? 'taken' : next.answer;
    const answer = this.isReceiverHealthy ? 'taken' : isRefused ? 'refused' : answerToOthers;
    const done = answer === 'partly' ? Math.floor(sent.events.length / 2) : 0;
    if (answer === 'taken' || next.arrives) this.#recordArrival(sent, sent.events);
    else this.#recordArrival(sent, sent.events.slice(0, done));
    const afterMs = this.isReceiverHealthy ? 0 : answer === 'nothing' ? TIMEOUT_MS : next.afterMs;
    if (afterMs > 0) await harness.timers.wait(afterMs, signal);
    if (signal.aborted) {
      this.seen.aborted++;
      return { status: null, error: 'The attempt was aborted.', deliveredEventCount: 0, retryAfterMs: null };
    }
    if (answer === 'taken') return acceptDelivery(sent);
    if (answer === 'nothing') return { status: null, error: 'Timed out.', deliveredEventCount: 0, retryAfterMs: null };
    if (answer === 'gone') this.seen.gone++;
    return rejectWithStatus(answer === 'gone' ? 410 : 503, {
      deliveredEventCount: done,
      retryAfterMs: this.#isCalm ? null : next.retryAfterMs,
    });
  }

  #recordArrival(sent: SentAttempt, events: readonly LoggedEvent[]): void {
    for (const event of events) {
      if (this.arrivals.some((arrival) => arrival.event.cursor === event.cursor)) this.seen.repeated++;
      this.arrivals.push({ event, isInOrder: sent.delivery.shard !== null });
    }
  }
}

const seen = { ...NOTHING_SEEN };

it(
  'delivers at least once, in order per user, and never again after the acceptance was saved',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60 }),
        fc.array(attemptPlan, { minLength: 1, maxLength: 40 }),
        filter,
        fc.subarray([...USERS]),
        fc.boolean(),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        async (steps, plans, wanted, refusedUsers, isCalm, chances) => {
          const harness = new DeliveryHarness();
          await harness.createWebhook({ ...wanted, startCursor: await harness.store.eventLog.getLatestCursor() });
          const model = new ReceiverModel(plans, refusedUsers, isCalm);
          const start = () => {
            const receiver = new FakeSender(() => harness.store.now());
            let isAlive = true;
            receiver.respond = model.answer(harness, () => isAlive);
            const world: EngineProcessOptions = {
              store: harness.store,
              webhooks: harness.webhooks,
              sender: receiver,
              timers: harness.timers,
              retryForMs: RETRY_FOR_MS,
              random: () => chances.next().value as number,
              onWarning: (error, what) => model.faults.push(`${what} ${String(error)}`),
              onProgressSaved: (delivery) => model.onProgressSaved(delivery),
            };
            const node = new SimulatedEngineProcess(world);
            return {
              node,
              kill: () => {
                isAlive = false;
                node.kill();
                model.forgetAttemptsOf(receiver);
              },
            };
          };
          const running = [start(), start()];
          const resume = () => harness.updateWebhook({ state: 'ACTIVE' });
          const revive = (delivery: Delivery): Delivery => ({
            ...delivery,
            status: 'RETRYING',
            attempts: 0,
            nextAttemptAt: harness.store.now(),
            giveUpAt: addMs(harness.store.now(), RETRY_FOR_MS),
          });
          for (const one of steps) {
            if (one.do === 'login') await harness.logIn(one.user, one.platform);
            else if (one.do === 'pass') await harness.timers.advance(one.ms);
            else if (one.do === 'kill') {
              running[one.node]!.kill();
              running[one.node] = start();
            } else if (one.do === 'restart') {
              const closing = running[one.node]!.node.engine.close();
              running[one.node]!.node.resumeRenewals();
              await harness.timers.advance(2_000);
              await closing;
              running[one.node] = start();
            } else if (one.do === 'stall') running[one.node]!.node.stallRenewals();
            else if (one.do === 'goOn') running[one.node]!.node.resumeRenewals();
            else if (one.do === 'pause') await harness.updateWebhook({ state: 'PAUSED' });
            else if (one.do === 'resume') await resume();
            else if (one.do === 'refuse') model.refusedUsers.add(one.user);
            else if (one.do === 'accept') model.refusedUsers.delete(one.user);
            else {
              const given = await harness.webhooks.requeueDeadDeliveries({ webhookId: WEBHOOK_ID }, revive);
              model.seen.redelivered += given.length;
            }
            await settleEngines();
          }
          model.isReceiverHealthy = true;
          for (const { node } of running) node.resumeRenewals();
          // A 410 response may still be in progress.
          await harness.timers.advance(TIMEOUT_MS);
          await resume();
          await harness.timers.advance(300_000);

          const dead = (await harness.deliveries('DEAD')).flatMap(({ events }) => events.map(({ cursor }) => cursor));
          const sent = new Set([...model.arrivals.map(({ event }) => event.cursor), ...dead]);
          const due = harness.store.events.filter((event) => matchesEventFilter(wanted, event));
          expect(due.map(({ cursor }) => cursor).filter((cursor) => !sent.has(cursor))).toEqual([]);
          expect(await harness.deliveries('RETRYING')).toEqual([]);
          for (const end of model.ends) {
            const next = due[due.indexOf(end) + 1];
            expect(next?.changeId).not.toBe(end.changeId);
          }
          for (const { event } of model.arrivals) expect(matchesEventFilter(wanted, event)).toBe(true);
          for (const user of USERS) {
            const first = [
              ...new Set(model.arrivals.filter(({ isInOrder }) => isInOrder).map(({ event }) => event)),
            ].filter(({ userId }) => userId === user);
            expect(first).toEqual(harness.store.events.filter((event) => first.includes(event)));
          }
          expect(model.faults).toEqual([]);
          for (const [, { isolatedUsers = [], rejoinedUsers = [] }] of harness.webhooks.savedProgress) {
            model.seen.isolated += isolatedUsers.length;
            model.seen.isolatedWithSkipped += isolatedUsers.filter((user) => user.skippedThrough !== null).length;
            model.seen.rejoined += rejoinedUsers.length;
          }
          const closing = running.map(({ node }) => node.engine.close());
          await harness.timers.advance(2_000);
          await Promise.all(closing);
          for (const shard of ALL_SHARDS) expect((await harness.readProgress(shard))?.isolatedUsers).toEqual([]);
          for (const key of Object.keys(NOTHING_SEEN) as (keyof typeof NOTHING_SEEN)[]) seen[key] += model.seen[key];
        },
      ),
      { numRuns: 300 },
    );
    // Otherwise the property would check too few cases.
    for (const [what, times] of Object.entries(seen)) expect({ what, times }).not.toEqual({ what, times: 0 });
  },
);
