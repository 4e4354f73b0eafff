/**
 * Delivers webhooks: acquires the leases of shards and runs one worker for each. Every shard of every webhook is
 * delivered independently, one delivery at a time, so no receiver waits for another.
 */
import { randomUUID } from 'node:crypto';
import type { CommittedChange, PresenceStore } from '../../app/ports/presence-store.ts';
import type { WebhookStats } from '../../app/ports/webhook-stats.ts';
import type { ShardLease, WebhookSender, WebhookStore } from '../../app/ports/webhook-store.ts';
import { addMs, type Millis, type WebhookId } from '../../core/ids.ts';
import { SHARDS_PER_WEBHOOK, computeShard, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import { ReceiverStates } from '../isolation/receiver-state.ts';
import { DeliveryCounters } from './attempt-outcome.ts';
import { FailureLog, isOverloadedError } from './failure-log.ts';
import { LeaseSession, type SharedWorkerDeps } from './lease-session.ts';
import { ReceiverHealth, type ReceiverStateChange } from './receiver-health.ts';
import { RedeliveryWorker } from './redelivery-worker.ts';
import { ScanBudget } from './scan-budget.ts';
import { ShardWorker } from './shard-worker.ts';
import { systemTimers, type Timers } from './timers.ts';
import { WebhookCache } from './webhook-cache.ts';

const LEASE_MS = 30_000;
/** A lease survives two failed renewals. */
const RENEW_INTERVAL_MS = 10_000;
const RENEW_RETRY_MS = 1_000;
/** How long `close` waits for attempts in progress. */
const CLOSE_TIMEOUT_MS = 2_000;
/** After this many events, idle workers advance their positions. A store scans about as many at once. */
const CATCH_UP_EVENTS = 1_000;

export interface WebhookEngineDeps {
  readonly store: Pick<PresenceStore, 'now' | 'onCommit' | 'eventLog'>;
  readonly webhooks: WebhookStore;
  readonly sender: WebhookSender;
}

export interface WebhookEngineSettings {
  /** How long a delivery is retried after its first event, in ms. */
  readonly retryForMs: number;
  /**
   * Receives failures that are retried, and lost events. A repeated failure is reported once. OVERLOADED errors are not
   * reported, because the store logs them itself. Must not throw.
   */
  readonly onWarning: (error: unknown, message: string) => void;
  /** Receives receivers that start to fail or recover, and the recovery `after` a warning. Must not throw. */
  readonly onStateChange: (message: string, details: ReceiverStateChange | { readonly after: string }) => void;
  /** Replaced in tests. */
  readonly timers?: Timers;
  /** Replaced in tests, which must not depend on the load of the machine. */
  readonly scanBudget?: ScanBudget;
  /** Returns at least 0, less than 1. */
  readonly random?: () => number;
}

interface ActiveWorker {
  readonly leaseSession: LeaseSession;
  readonly worker: ShardWorker | RedeliveryWorker;
  /** The webhook when the worker last got `requestScan`, or when it started. */
  scannedWebhook: WebhookRecord | undefined;
  /** Resolves when the worker has stopped. */
  stopped: Promise<void>;
  /** The worker is stopping, and a new one must follow it. */
  restartAfterStop: boolean;
}

export class WebhookEngine {
  readonly #store: WebhookEngineDeps['store'];
  readonly #webhookStore: WebhookStore;
  readonly #webhookCache: WebhookCache;
  readonly #workerDeps: SharedWorkerDeps;
  readonly #timers: Timers;
  readonly #counters = new DeliveryCounters();
  readonly #receiverHealth: ReceiverHealth;
  readonly #receiverStates = new ReceiverStates();
  readonly #failureLog: FailureLog;
  /** Unique for each engine, also after a restart of the same server. */
  readonly #leaseHolder = randomUUID();
  readonly #workers = new Map<string, ActiveWorker>();
  readonly #workersByShard = Array.from({ length: SHARDS_PER_WEBHOOK }, () => new Set<ShardWorker>());
  #eventsSinceCatchUp = 0;
  /** The generation of the webhook cache when the workers were last reconciled. */
  #reconciledGeneration = 0;
  #leaseLoop: Promise<void> = Promise.resolve();
  #renewalWait: AbortController | null = null;
  #isRenewalRequested = false;
  #expiryWait: AbortController | null = null;
  #unsubscribe: (() => void)[] = [];
  #closing: Promise<void> | null = null;

  constructor({ store, webhooks, sender }: WebhookEngineDeps, settings: WebhookEngineSettings) {
    this.#store = store;
    this.#webhookStore = webhooks;
    this.#webhookCache = new WebhookCache(webhooks);
    this.#timers = settings.timers ?? systemTimers;
    this.#receiverHealth = new ReceiverHealth(settings.onStateChange);
    this.#failureLog = new FailureLog({
      onFailure: settings.onWarning,
      onRecovery: (after) => settings.onStateChange('A failed webhook operation succeeds again.', { after }),
    });
    this.#workerDeps = {
      eventLog: store.eventLog,
      webhookStore: webhooks,
      sender,
      webhookCache: this.#webhookCache,
      now: () => store.now(),
      timers: this.#timers,
      random: settings.random ?? Math.random,
      scanBudget: settings.scanBudget ?? new ScanBudget(),
      counters: this.#counters,
      receiverHealth: this.#receiverHealth,
      receiverStates: this.#receiverStates,
      failureLog: this.#failureLog,
      retryForMs: settings.retryForMs,
      onWarning: (error, message) => {
        if (!isOverloadedError(error)) settings.onWarning(error, message);
      },
    };
  }

  /** Continues deliveries from their saved positions. Must be called once. */
  start(): void {
    this.#unsubscribe = [
      this.#store.onCommit(this.#onCommit),
      this.#webhookStore.onWebhooksChanged(this.#onWebhooksChanged),
    ];
    this.#leaseLoop = this.#renewLeasesUntilClosed();
  }

  /**
   * Starts no more attempts, waits up to 2 s for those in progress, aborts the rest and releases the leases. Aborted
   * attempts are made again after the next start. Never rejects. The store must still be open.
   */
  close(): Promise<void> {
    this.#closing ??= this.#stopWorkersAndReleaseLeases();
    return this.#closing;
  }

  collectStats(): WebhookStats {
    let oldest: Millis | null = null;
    for (const workers of this.#workersByShard) {
      for (const { oldestWaitingSince } of workers) {
        if (oldestWaitingSince !== null && (oldest === null || oldestWaitingSince < oldest))
          oldest = oldestWaitingSince;
      }
    }
    const { attempts, eventsDelivered, deliveriesDead, webhooksGone } = this.#counters;
    return {
      webhooksByState: this.#webhookCache.countByState(),
      attemptsByResult: { ...attempts },
      deliveredEvents: eventsDelivered,
      deadDeliveries: deliveriesDead,
      goneWebhooks: webhooksGone,
      activeShards: this.#workers.size,
      oldestPendingEventAt: oldest,
      isolatedUsers: this.#receiverStates.countIsolatedUsers(),
    };
  }

  async #stopWorkersAndReleaseLeases(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#renewalWait?.abort();
    this.#expiryWait?.abort();
    this.#webhookCache.releaseWaiters();
    await this.#stopAllWorkers();
    await this.#leaseLoop;
    try {
      await this.#webhookStore.releaseLeases(this.#leaseHolder);
    } catch (error) {
      this.#workerDeps.onWarning(error, 'Webhook leases could not be released; they expire within 30 s.');
    }
  }

  async #stopAllWorkers(): Promise<void> {
    for (const { leaseSession } of this.#workers.values()) leaseSession.stop();
    const timeout = new AbortController();
    const allStopped = Promise.all([...this.#workers.values()].map(({ stopped }) => stopped)).then(() =>
      timeout.abort(),
    );
    await this.#timers.wait(CLOSE_TIMEOUT_MS, timeout.signal);
    for (const { leaseSession } of this.#workers.values()) leaseSession.abort();
    await allStopped;
  }

  readonly #onCommit = (changes: readonly CommittedChange[]): void => {
    if (this.#workers.size === 0) return;
    for (const { user, events } of changes) {
      this.#eventsSinceCatchUp += events.length;
      const workers = this.#workersByShard[computeShard(user.id)];
      if (workers !== undefined) for (const worker of workers) worker.countCommittedEvents(events);
    }
    if (this.#eventsSinceCatchUp < CATCH_UP_EVENTS) return;
    this.#eventsSinceCatchUp = 0;
    for (const workers of this.#workersByShard) for (const worker of workers) worker.requestScanIfIdle();
  };

  readonly #onWebhooksChanged = (): void => {
    this.#webhookCache.markStale();
    this.#requestRenewal();
  };

  #requestRenewal(): void {
    this.#isRenewalRequested = true;
    this.#renewalWait?.abort();
  }

  async #renewLeasesUntilClosed(): Promise<void> {
    const failureMessage = 'Webhook leases could not be renewed; the server retries.';
    while (this.#closing === null) {
      this.#isRenewalRequested = false;
      let waitMs = RENEW_INTERVAL_MS;
      try {
        await this.#webhookCache.reloadWebhooks();
        this.#reconcileWorkers(await this.#webhookStore.acquireLeases(this.#leaseHolder, LEASE_MS));
        this.#failureLog.recordSuccess(failureMessage, this);
      } catch (error) {
        this.#failureLog.recordFailure(error, failureMessage, this);
        waitMs = RENEW_RETRY_MS;
        this.#isRenewalRequested = false;
      }
      await this.#waitForRenewal(waitMs);
    }
  }

  async #waitForRenewal(ms: number): Promise<void> {
    const until = addMs(this.#store.now(), ms);
    while (this.#closing === null && !this.#isRenewalRequested && this.#store.now() < until) {
      this.#renewalWait = new AbortController();
      await this.#timers.wait(until - this.#store.now(), this.#renewalWait.signal);
      this.#renewalWait = null;
    }
  }

  /** Runs exactly one worker for each of these leases. */
  #reconcileWorkers(leases: readonly ShardLease[]): void {
    if (this.#closing !== null) return;
    const leasesByKey = new Map(leases.map((lease) => [leaseKey(lease), lease]));
    const haveWebhooksChanged = this.#reconciledGeneration !== this.#webhookCache.generation;
    this.#reconciledGeneration = this.#webhookCache.generation;
    const exists = (id: WebhookId): boolean => this.#webhookCache.getCachedWebhook(id) !== undefined;
    this.#receiverHealth.retainWebhooks(exists);
    this.#receiverStates.retainWebhooks(exists);
    for (const [key, active] of this.#workers) {
      if (!leasesByKey.has(key)) this.#stopWorker(active);
    }
    for (const [key, lease] of leasesByKey) {
      const active = this.#workers.get(key);
      if (active === undefined) this.#startWorker(key, lease);
      else this.#updateWorker(active, lease, haveWebhooksChanged);
    }
    const [first] = leases;
    if (first !== undefined) void this.#stopWorkersAtExpiry(first.expiresAt);
  }

  #updateWorker(active: ActiveWorker, lease: ShardLease, haveWebhooksChanged: boolean): void {
    const { leaseSession } = active;
    const isSameLease = leaseSession.lease.token === lease.token;
    if (isSameLease && leaseSession.isRunning) {
      leaseSession.renewLease(lease);
      this.#requestScanIfChanged(active, haveWebhooksChanged);
      return;
    }
    active.restartAfterStop = true;
    if (!isSameLease) leaseSession.loseLease();
  }

  /** Skips unchanged webhooks: an engine has hundreds of workers, and each scan reads the log. */
  #requestScanIfChanged(active: ActiveWorker, haveWebhooksChanged: boolean): void {
    const { leaseSession, worker } = active;
    const webhook = this.#webhookCache.getCachedWebhook(leaseSession.lease.webhookId);
    const mayHaveRedeliveries = haveWebhooksChanged && worker instanceof RedeliveryWorker;
    if (webhook === active.scannedWebhook && !mayHaveRedeliveries) return;
    active.scannedWebhook = webhook;
    worker.requestScan();
  }

  #stopWorker({ leaseSession }: ActiveWorker): void {
    const webhook = this.#webhookCache.getCachedWebhook(leaseSession.lease.webhookId);
    // The lease of a webhook that is not ACTIVE stays valid until it expires, so attempts in progress may finish.
    if (webhook !== undefined && webhook.state !== 'ACTIVE') leaseSession.stop();
    else leaseSession.loseLease();
  }

  #startWorker(key: string, lease: ShardLease): void {
    const leaseSession = new LeaseSession(lease, this.#workerDeps);
    const worker =
      lease.shard === null ? new RedeliveryWorker(leaseSession) : new ShardWorker(leaseSession, lease.shard);
    const active: ActiveWorker = {
      leaseSession,
      worker,
      scannedWebhook: this.#webhookCache.getCachedWebhook(lease.webhookId),
      restartAfterStop: false,
      stopped: Promise.resolve(),
    };
    this.#workers.set(key, active);
    if (worker instanceof ShardWorker) this.#workersByShard[worker.shard]?.add(worker);
    active.stopped = worker.deliverUntilLeaseEnds().then(() => {
      this.#workers.delete(key);
      if (worker instanceof ShardWorker) this.#workersByShard[worker.shard]?.delete(worker);
      if (active.restartAfterStop) this.#requestRenewal();
    });
  }

  /** Stops workers whose lease was not renewed in time. Replaces the previous wait. */
  async #stopWorkersAtExpiry(expiresAt: Millis): Promise<void> {
    this.#expiryWait?.abort();
    const wait = new AbortController();
    this.#expiryWait = wait;
    for (let ms = expiresAt - this.#store.now(); ms > 0 && !wait.signal.aborted; ms = expiresAt - this.#store.now()) {
      await this.#timers.wait(ms, wait.signal);
    }
    if (wait.signal.aborted) return;
    const now = this.#store.now();
    for (const { leaseSession } of this.#workers.values()) {
      if (leaseSession.lease.expiresAt <= now) leaseSession.loseLease();
    }
  }
}

const leaseKey = ({ webhookId, shard }: ShardLease): string => `${webhookId} ${shard}`;
