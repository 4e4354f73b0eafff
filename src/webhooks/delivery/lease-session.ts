/**
 * The period in which this server delivers one shard under one lease. It ends when it is stopped or when the lease is
 * lost; every wait and every pending store call ends with it.
 */
import type { EventLog } from '../../app/ports/presence-store.ts';
import type { ProgressUpdate, ShardLease, WebhookSender, WebhookStore } from '../../app/ports/webhook-store.ts';
import { addMs, type Millis } from '../../core/ids.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { ReceiverStates } from '../isolation/receiver-state.ts';
import type { DeliveryCounters } from './attempt-outcome.ts';
import { randomBackoffMs } from './backoff.ts';
import type { FailureLog } from './failure-log.ts';
import type { ReceiverHealth } from './receiver-health.ts';
import type { ScanBudget } from './scan-budget.ts';
import type { Timers } from './timers.ts';
import type { WebhookCache } from './webhook-cache.ts';

/** What all workers of an engine share. */
export interface SharedWorkerDeps {
  readonly eventLog: EventLog;
  readonly webhookStore: WebhookStore;
  readonly sender: WebhookSender;
  readonly webhookCache: WebhookCache;
  /** The clock of the store. */
  readonly now: () => Millis;
  readonly timers: Timers;
  /** Returns at least 0, less than 1. */
  readonly random: () => number;
  readonly scanBudget: ScanBudget;
  readonly counters: DeliveryCounters;
  readonly receiverHealth: ReceiverHealth;
  readonly receiverStates: ReceiverStates;
  readonly failureLog: FailureLog;
  /** How long a delivery is retried after its first event, in ms. */
  readonly retryForMs: number;
  /** Receives failures that do not stop the engine. Must not throw. */
  readonly onWarning: (error: unknown, message: string) => void;
}

/** Thrown by the methods of a LeaseSession when it has ended. */
export class LeaseEndedError extends Error {}

/** From this failure on, store calls are retried about once a minute. */
const MAX_BACKOFF_FAILURES = 7;
/** Added to the backoff between two store calls, in ms. */
const MIN_STORE_RETRY_MS = 1_000;

export class LeaseSession {
  readonly deps: SharedWorkerDeps;
  readonly #attemptAbort = new AbortController();
  #lease: ShardLease;
  #isStopped = false;
  #isLost = false;
  readonly #pendingWaits = new Set<AbortController>();
  #interruptibleWait: AbortController | null = null;
  /** `interruptWait` was called while nothing waited. */
  #isInterruptPending = false;

  constructor(lease: ShardLease, deps: SharedWorkerDeps) {
    this.#lease = lease;
    this.deps = deps;
  }

  get lease(): ShardLease {
    return this.#lease;
  }

  /** True until the session is stopped, aborted, or its lease is lost. */
  get isRunning(): boolean {
    return !this.#isStopped;
  }

  /** Aborts attempts in progress. */
  get abortSignal(): AbortSignal {
    return this.#attemptAbort.signal;
  }

  renewLease(lease: ShardLease): void {
    this.#lease = lease;
  }

  /** Starts no more attempts. Attempts in progress finish and their results are saved. */
  stop(): void {
    this.#isStopped = true;
    for (const wait of this.#pendingWaits) wait.abort();
  }

  /** Stops, and aborts attempts in progress. The next holder of the lease makes them again. */
  abort(): void {
    this.stop();
    this.#attemptAbort.abort();
  }

  /** The lease has ended: aborts, and saves nothing more. */
  loseLease(): void {
    this.#isLost = true;
    this.abort();
    this.deps.receiverHealth.forgetShard(this.#lease);
  }

  /** Ends the current `waitUntil`, or the next one if none is pending. */
  interruptWait(): void {
    this.#isInterruptPending = true;
    this.#interruptibleWait?.abort();
  }

  /** @throws LeaseEndedError if the session is stopped. */
  throwIfStopped(): void {
    if (this.#isStopped) throw new LeaseEndedError();
  }

  /** @throws LeaseEndedError if the lease is lost. */
  throwIfLost(): void {
    if (this.#isLost) throw new LeaseEndedError();
  }

  /** Runs `work` until it ends or throws. Never rejects: an unexpected error is reported and stops the session. */
  async runReportingErrors(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.stop();
      if (error instanceof LeaseEndedError) return;
      this.deps.onWarning(error, 'Webhook deliveries stopped because of an internal error; the server restarts them.');
    }
  }

  /** Waits until `at`, or until `interruptWait`. Only one call may be pending. @throws LeaseEndedError */
  async waitUntil(at: Millis): Promise<void> {
    if (!this.#isInterruptPending) {
      this.#interruptibleWait = new AbortController();
      await this.#wait(at, this.#interruptibleWait);
      this.#interruptibleWait = null;
    }
    this.#isInterruptPending = false;
    this.throwIfStopped();
  }

  /** Waits until `at`, or until `waiter` is aborted. Any number of calls may be pending. @throws LeaseEndedError */
  async waitUntilAborted(at: Millis, waiter: AbortController): Promise<void> {
    await this.#wait(at, waiter);
    this.throwIfStopped();
  }

  /**
   * Repeats a store call until it succeeds, for example while the disk is full. After `stop` it is tried once more,
   * because a delivery that is not saved would be sent again.
   * @param failureMessage logged once while the call fails. @throws LeaseEndedError
   */
  async retryStoreCall<T>(failureMessage: string, call: () => Promise<T>): Promise<T> {
    const { failureLog } = this.deps;
    const retrier = {};
    try {
      for (let failures = 1; ; failures++) {
        this.throwIfLost();
        const isLastTry = this.#isStopped;
        try {
          const result = await call();
          failureLog.recordSuccess(failureMessage, retrier);
          return result;
        } catch (error) {
          failureLog.recordFailure(error, failureMessage, retrier);
        }
        if (isLastTry) throw new LeaseEndedError();
        await this.#waitForStoreRetry(failures);
      }
    } finally {
      failureLog.abandonRetry(failureMessage, retrier);
    }
  }

  /** As `retryStoreCall`, for calls that need the lease. @throws LeaseEndedError also when the store answers null. */
  async callStoreWithLease<T>(failureMessage: string, call: (lease: ShardLease) => Promise<T | null>): Promise<T> {
    const result = await this.retryStoreCall(failureMessage, () => call(this.#lease));
    if (result === null) throw new LeaseEndedError();
    return result;
  }

  /** @throws LeaseEndedError when the lease is lost; nothing was saved then. */
  async saveProgress(progress: ProgressUpdate): Promise<void> {
    const isSaved = await this.retryStoreCall('Webhook delivery progress could not be saved; the server retries.', () =>
      this.deps.webhookStore.saveProgress(this.#lease, progress),
    );
    if (!isSaved) throw new LeaseEndedError();
  }

  /** The current version of the webhook. @throws LeaseEndedError if it is deleted or not ACTIVE. */
  async loadActiveWebhook(): Promise<WebhookRecord> {
    const webhook = await this.deps.webhookCache.getCurrentWebhook(this.#lease.webhookId);
    if (webhook?.state !== 'ACTIVE') throw new LeaseEndedError();
    this.throwIfStopped();
    return webhook;
  }

  async #waitForStoreRetry(failures: number): Promise<void> {
    const { now, random } = this.deps;
    const backoffMs = randomBackoffMs(Math.min(failures, MAX_BACKOFF_FAILURES), random());
    const until = addMs(now(), MIN_STORE_RETRY_MS + backoffMs);
    while (now() < until && !this.#isStopped) await this.#wait(until, new AbortController());
  }

  async #wait(until: Millis, abort: AbortController): Promise<void> {
    const ms = until - this.deps.now();
    if (this.#isStopped || ms <= 0) return;
    this.#pendingWaits.add(abort);
    await this.deps.timers.wait(ms, abort.signal);
    this.#pendingWaits.delete(abort);
  }
}
