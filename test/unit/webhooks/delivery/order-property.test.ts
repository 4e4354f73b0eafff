/**
 * Whatever fails, hangs, is killed, paused or redelivered: every wanted event is told or DEAD, a user's events are first
 * told in their order, and nothing is told again once it was noted that it was taken.
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
import { WEBHOOK_ID, DeliveryHarness, userIdOfShard } from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

/** Two share a shard. */
const USERS: readonly UserId[] = [userIdOfShard(0), userIdOfShard(0, 1), userIdOfShard(3), userIdOfShard(5)];
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
);

/** How attempts go, one after another. `arrives`: the receiver has got it, whatever it answers. */
const fate = fc.record({
  answer: fc.constantFrom('taken', 'taken', 'taken', 'refused', 'refused', 'partly', 'partly', 'nothing', 'gone'),
  arrives: fc.boolean(),
  afterMs: fc.oneof(fc.constant(0), fc.nat({ max: TIMEOUT_MS })),
  retryAfterMs: fc.option(fc.nat({ max: 120_000 })),
});
type Fate = typeof fate extends fc.Arbitrary<infer T> ? T : never;

const filter = fc.record({
  reasons: fc.constantFrom(null, ['LOGIN'] as const, ['KICKED', 'LOGIN'] as const),
  userStatusOnly: fc.boolean(),
});

interface Arrival {
  readonly event: LoggedEvent;
  /** By a delivery of its shard, not by hand. */
  readonly isInOrder: boolean;
}

const NOTHING_SEEN = { retold: 0, dead: 0, gone: 0, brokenOff: 0, redelivered: 0, several: 0 };

class Model {
  readonly arrivals: Arrival[] = [];
  readonly noted = new Set<Cursor>();
  readonly faults: string[] = [];
  readonly seen = { ...NOTHING_SEEN };
  /** The last event of each delivery as it was first sent. */
  readonly ends: LoggedEvent[] = [];
  readonly #underWay = new Map<number, SentAttempt>();
  /** What the receiver has said in the last attempt that it took. */
  readonly #taken = new Map<DeliveryId, readonly LoggedEvent[]>();
  readonly #fates: readonly Fate[];
  #attempts = 0;
  isWell = false;

  constructor(fates: readonly Fate[]) {
    this.#fates = fates;
  }

  answer(harness: DeliveryHarness, isAlive: () => boolean) {
    return async (told: SentAttempt, signal: AbortSignal): Promise<AttemptReport> => {
      const next = this.#fates[this.#attempts++ % this.#fates.length]!;
      const { shard } = told.delivery;
      for (const { cursor } of told.events) if (this.noted.has(cursor)) this.faults.push(`${cursor} was told again.`);
      if (shard !== null) {
        if (this.#underWay.has(shard)) this.faults.push(`Shard ${shard} has two deliveries under way.`);
        this.#underWay.set(shard, told);
      }
      this.#taken.delete(told.id);
      if (told.delivery.attempts === 0) this.ends.push(told.events.at(-1)!);
      if (told.events.length > 1) this.seen.several++;
      try {
        const attempt = await this.#go(next, told, signal, harness);
        this.#taken.set(told.id, told.events.slice(0, attempt.deliveredEventCount));
        return attempt;
      } finally {
        // Of whoever was killed nothing is under way any more: see `killed`.
        if (shard !== null && this.#underWay.get(shard) === told) this.#underWay.delete(shard);
        if (!isAlive()) this.seen.brokenOff++;
      }
    };
  }

  killed(receiver: FakeSender): void {
    for (const [shard, told] of this.#underWay) if (receiver.attempts.includes(told)) this.#underWay.delete(shard);
  }

  onNoted(delivery: Delivery): void {
    for (const { cursor } of this.#taken.get(delivery.id) ?? []) this.noted.add(cursor);
    if (delivery.status === 'DEAD') this.seen.dead++;
  }

  async #go(next: Fate, told: SentAttempt, signal: AbortSignal, harness: DeliveryHarness): Promise<AttemptReport> {
    const answer = this.isWell ? 'taken' : next.answer;
    const done = answer === 'partly' ? Math.floor(told.events.length / 2) : 0;
    if (answer === 'taken' || next.arrives) this.#arrives(told, told.events);
    else this.#arrives(told, told.events.slice(0, done));
    const afterMs = this.isWell ? 0 : answer === 'nothing' ? TIMEOUT_MS : next.afterMs;
    if (afterMs > 0) await harness.timers.wait(afterMs, signal);
    if (signal.aborted) {
      this.seen.brokenOff++;
      return { status: null, error: 'Broken off.', deliveredEventCount: 0, retryAfterMs: null };
    }
    if (answer === 'taken') return acceptDelivery(told);
    if (answer === 'nothing') return { status: null, error: 'Timed out.', deliveredEventCount: 0, retryAfterMs: null };
    if (answer === 'gone') this.seen.gone++;
    return rejectWithStatus(answer === 'gone' ? 410 : 503, {
      deliveredEventCount: done,
      retryAfterMs: next.retryAfterMs,
    });
  }

  #arrives(told: SentAttempt, events: readonly LoggedEvent[]): void {
    for (const event of events) {
      if (this.arrivals.some((arrival) => arrival.event.cursor === event.cursor)) this.seen.retold++;
      this.arrivals.push({ event, isInOrder: told.delivery.shard !== null });
    }
  }
}

const seen = { ...NOTHING_SEEN };

it('at least once, in order per user, never again once noted', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60 }),
      fc.array(fate, { minLength: 1, maxLength: 40 }),
      filter,
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (steps, fates, wanted, chances) => {
        const harness = new DeliveryHarness();
        await harness.createWebhook({ ...wanted, startCursor: await harness.store.eventLog.getLatestCursor() });
        const model = new Model(fates);
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
            onProgressSaved: (delivery) => model.onNoted(delivery),
          };
          const node = new SimulatedEngineProcess(world);
          return {
            node,
            kill: () => {
              isAlive = false;
              node.kill();
              model.killed(receiver);
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
          else {
            const given = await harness.webhooks.requeueDeadDeliveries({ webhookId: WEBHOOK_ID }, revive);
            model.seen.redelivered += given.length;
          }
          await settleEngines();
        }
        model.isWell = true;
        for (const { node } of running) node.resumeRenewals();
        // An answer may be under way that says that it is gone.
        await harness.timers.advance(TIMEOUT_MS);
        await resume();
        await harness.timers.advance(300_000);

        const dead = (await harness.deliveries('DEAD')).flatMap(({ events }) => events.map(({ cursor }) => cursor));
        const told = new Set([...model.arrivals.map(({ event }) => event.cursor), ...dead]);
        const due = harness.store.events.filter((event) => matchesEventFilter(wanted, event));
        expect(due.map(({ cursor }) => cursor).filter((cursor) => !told.has(cursor))).toEqual([]);
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
        const closing = running.map(({ node }) => node.engine.close());
        await harness.timers.advance(2_000);
        await Promise.all(closing);
        for (const key of Object.keys(NOTHING_SEEN) as (keyof typeof NOTHING_SEEN)[]) seen[key] += model.seen[key];
      },
    ),
    { numRuns: 300 },
  );
  // Otherwise the property would say less than its name.
  for (const [what, times] of Object.entries(seen)) expect({ what, times }).not.toEqual({ what, times: 0 });
});
