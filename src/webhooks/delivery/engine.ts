/**
 * Delivers webhooks: holds the leases, and for each of them somebody who works under it. No receiver waits for another:
 * every shard of every webhook goes its own way, and holds one delivery at the most.
 */
import { randomUUID } from 'node:crypto';
import type { CommittedChange, PresenceStore } from '../../app/ports/presence-store.ts';
import type { WebhookFigures } from '../../app/ports/webhook-stats.ts';
import type { Lease, WebhookCourier, WebhookStore } from '../../app/ports/webhook-store.ts';
import { later, type Millis } from '../../core/ids.ts';
import { SHARDS_PER_WEBHOOK, shardOf, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import { Consumer } from './shard-worker.ts';
import { Tally } from './delivery-counters.ts';
import { Known } from './webhook-cache.ts';
import { LooseConsumer } from './redelivery-worker.ts';
import { Receivers, type ReceiverNews } from './receiver-health.ts';
import { Tenure, type Surroundings } from './lease-session.ts';
import { timers as realTimers, type Timers } from './timers.ts';
import { isRefusal, Troubles } from './failure-log.ts';
import { Turns } from './scan-budget.ts';

const LEASE_MS = 30_000;
/** Twice it may fail. */
const RENEW_EVERY_MS = 10_000;
const RENEW_AGAIN_MS = 1_000;
/** For attempts under way when the engine is closed. */
const CLOSE_WITHIN_MS = 2_000;
/** Events after which those who heard nothing that they want look all the same: a store looks at about as many at once. */
const COME_ALONG_EVERY = 1_000;

export interface EngineParts {
  readonly store: Pick<PresenceStore, 'now' | 'onCommit' | 'log'>;
  readonly webhooks: WebhookStore;
  readonly courier: WebhookCourier;
}

export interface EngineSettings {
  /** From the oldest event of a delivery on, in ms. */
  readonly retryForMs: number;
  /**
   * Hears of what failed and will be tried again, and of what was lost; not that the store takes nothing for a while,
   * which it says itself. What the store goes on failing at is said once. Must not throw.
   */
  readonly onWarning: (error: unknown, what: string) => void;
  /** Hears of receivers that begin to fail, or are well again, and what works again `after` a warning. Must not throw. */
  readonly onNews: (what: string, about: ReceiverNews | { readonly after: string }) => void;
  /** Tests let time pass themselves. */
  readonly timers?: Timers;
  /** Tests do not depend on how busy the machine is. */
  readonly turns?: Turns;
  /** At least 0, less than 1. */
  readonly random?: () => number;
}

/** Somebody at work under a lease. */
interface Employed {
  readonly tenure: Tenure;
  readonly consumer: Consumer | LooseConsumer;
  /** As it was last read when somebody was last told to look. */
  webhook: WebhookRecord | undefined;
  /** Resolves when it is over. */
  done: Promise<void>;
  /** It is on its way out, and somebody is to follow. */
  isToBeFollowed: boolean;
}

export class WebhookEngine {
  readonly #store: EngineParts['store'];
  readonly #webhooks: WebhookStore;
  readonly #known: Known;
  readonly #around: Surroundings;
  readonly #timers: Timers;
  readonly #tally = new Tally();
  readonly #receivers: Receivers;
  readonly #troubles: Troubles;
  /** Nobody else has this name, nor has this server after a restart. */
  readonly #holder = randomUUID();
  readonly #employed = new Map<string, Employed>();
  readonly #byShard = Array.from({ length: SHARDS_PER_WEBHOOK }, () => new Set<Consumer>());
  #committed = 0;
  /** The generation of the webhooks that it was last looked for who is to be nudged. */
  #nudgedAt = 0;
  #keeping: Promise<void> = Promise.resolve();
  #pause: AbortController | null = null;
  #isAnew = false;
  #untilExpiry: AbortController | null = null;
  #stopListening: (() => void)[] = [];
  #closing: Promise<void> | null = null;

  constructor({ store, webhooks, courier }: EngineParts, settings: EngineSettings) {
    this.#store = store;
    this.#webhooks = webhooks;
    this.#known = new Known(webhooks);
    this.#timers = settings.timers ?? realTimers;
    this.#receivers = new Receivers(settings.onNews);
    this.#troubles = new Troubles({
      failed: settings.onWarning,
      over: (after) => settings.onNews('What had failed for webhooks works again.', { after }),
    });
    this.#around = {
      log: store.log,
      store: webhooks,
      courier,
      webhooks: this.#known,
      now: () => store.now(),
      timers: this.#timers,
      random: settings.random ?? Math.random,
      turns: settings.turns ?? new Turns(),
      tally: this.#tally,
      receivers: this.#receivers,
      troubles: this.#troubles,
      retryForMs: settings.retryForMs,
      onWarning: (error, what) => {
        if (!isRefusal(error)) settings.onWarning(error, what);
      },
    };
  }

  /** To be called once. Deliveries go on where they were. */
  start(): void {
    this.#stopListening = [this.#store.onCommit(this.#hear), this.#webhooks.onWebhooks(this.#changed)];
    this.#keeping = this.#keepLeases();
  }

  /**
   * Begins nothing more, waits up to 2 s for attempts under way, breaks off the others (they are made again after the
   * next start) and gives the leases back. Never rejects. The store must still be open.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  figures(): WebhookFigures {
    let oldest: Millis | null = null;
    for (const consumers of this.#byShard) {
      for (const { waitingSince } of consumers) {
        if (waitingSince !== null && (oldest === null || waitingSince < oldest)) oldest = waitingSince;
      }
    }
    const { attempts, eventsDelivered, deliveriesDead, webhooksGone } = this.#tally;
    return {
      webhooks: this.#known.counts(),
      attempts: { ...attempts },
      eventsDelivered,
      deliveriesDead,
      webhooksGone,
      shards: this.#employed.size,
      oldestWaitingSince: oldest,
    };
  }

  async #close(): Promise<void> {
    for (const stop of this.#stopListening) stop();
    this.#pause?.abort();
    this.#untilExpiry?.abort();
    this.#known.close();
    for (const { tenure } of this.#employed.values()) tenure.stop();
    const patience = new AbortController();
    const allDone = Promise.all([...this.#employed.values()].map(({ done }) => done)).then(() => patience.abort());
    await this.#timers.wait(CLOSE_WITHIN_MS, patience.signal);
    for (const { tenure } of this.#employed.values()) tenure.breakOff();
    await allDone;
    await this.#keeping;
    try {
      await this.#webhooks.release(this.#holder);
    } catch (error) {
      this.#around.onWarning(error, 'The leases of webhooks could not be given back; they end by themselves.');
    }
  }

  readonly #hear = (changes: readonly CommittedChange[]): void => {
    if (this.#employed.size === 0) return;
    for (const { user, events } of changes) {
      this.#committed += events.length;
      const consumers = this.#byShard[shardOf(user.id)];
      if (consumers !== undefined) for (const consumer of consumers) consumer.hear(events);
    }
    if (this.#committed < COME_ALONG_EVERY) return;
    this.#committed = 0;
    for (const consumers of this.#byShard) for (const consumer of consumers) consumer.comeAlong();
  };

  readonly #changed = (): void => {
    this.#known.changed();
    this.#leaseAnew();
  };

  #leaseAnew(): void {
    this.#isAnew = true;
    this.#pause?.abort();
  }

  async #keepLeases(): Promise<void> {
    const renewing = 'The leases of webhooks could not be renewed.';
    while (this.#closing === null) {
      this.#isAnew = false;
      let pauseMs = RENEW_EVERY_MS;
      try {
        await this.#known.read();
        this.#employ(await this.#webhooks.lease(this.#holder, LEASE_MS));
        this.#troubles.worked(renewing, this);
      } catch (error) {
        this.#troubles.failed(error, renewing, this);
        pauseMs = RENEW_AGAIN_MS;
        this.#isAnew = false;
      }
      await this.#pauseFor(pauseMs);
    }
  }

  async #pauseFor(ms: number): Promise<void> {
    const until = later(this.#store.now(), ms);
    while (this.#closing === null && !this.#isAnew && this.#store.now() < until) {
      this.#pause = new AbortController();
      await this.#timers.wait(until - this.#store.now(), this.#pause.signal);
      this.#pause = null;
    }
  }

  /** Somebody for each of these leases, and nobody without. */
  #employ(leases: readonly Lease[]): void {
    if (this.#closing !== null) return;
    const held = new Map(leases.map((lease) => [placeOf(lease), lease]));
    const isChanged = this.#nudgedAt !== this.#known.generation;
    this.#nudgedAt = this.#known.generation;
    this.#receivers.keepOnly((id) => this.#known.lastKnown(id) !== undefined);
    for (const [place, employed] of this.#employed) {
      if (!held.has(place)) this.#dismiss(employed);
    }
    for (const [place, lease] of held) {
      const employed = this.#employed.get(place);
      if (employed === undefined) {
        this.#engage(place, lease);
      } else if (employed.tenure.lease.token === lease.token && employed.tenure.isGoing) {
        employed.tenure.renew(lease);
        this.#nudge(employed, isChanged);
      } else {
        employed.isToBeFollowed = true;
        if (employed.tenure.lease.token !== lease.token) employed.tenure.lose();
      }
    }
    const [first] = leases;
    if (first !== undefined) void this.#watchExpiry(first.until);
  }

  /** No more than need be: an engine has hundreds of them, and each would read the log. */
  #nudge(employed: Employed, isChanged: boolean): void {
    const { tenure, consumer } = employed;
    const webhook = this.#known.lastKnown(tenure.lease.webhookId);
    const mayHaveMore = isChanged && consumer instanceof LooseConsumer;
    if (webhook === employed.webhook && !mayHaveMore) return;
    employed.webhook = webhook;
    consumer.nudge();
  }

  #dismiss({ tenure }: Employed): void {
    const webhook = this.#known.lastKnown(tenure.lease.webhookId);
    // Paused: what is under way may end, as long as the lease holds.
    if (webhook !== undefined && webhook.state !== 'ACTIVE') tenure.stop();
    else tenure.lose();
  }

  #engage(place: string, lease: Lease): void {
    const tenure = new Tenure(lease, this.#around);
    const consumer = lease.shard === null ? new LooseConsumer(tenure) : new Consumer(tenure, lease.shard);
    const webhook = this.#known.lastKnown(lease.webhookId);
    const employed: Employed = { tenure, consumer, webhook, isToBeFollowed: false, done: Promise.resolve() };
    this.#employed.set(place, employed);
    const ears = consumer instanceof Consumer ? this.#byShard[consumer.shard] : undefined;
    if (consumer instanceof Consumer) ears?.add(consumer);
    employed.done = consumer.run().then(() => {
      this.#employed.delete(place);
      if (consumer instanceof Consumer) ears?.delete(consumer);
      if (employed.isToBeFollowed) this.#leaseAnew();
    });
  }

  /** Whoever's lease was not renewed until then works for nobody. */
  async #watchExpiry(until: Millis): Promise<void> {
    this.#untilExpiry?.abort();
    const ended = new AbortController();
    this.#untilExpiry = ended;
    for (let ms = until - this.#store.now(); ms > 0 && !ended.signal.aborted; ms = until - this.#store.now()) {
      await this.#timers.wait(ms, ended.signal);
    }
    if (ended.signal.aborted) return;
    const now = this.#store.now();
    for (const { tenure } of this.#employed.values()) if (tenure.lease.until <= now) tenure.lose();
  }
}

const placeOf = ({ webhookId, shard }: Lease): string => `${webhookId} ${shard}`;
