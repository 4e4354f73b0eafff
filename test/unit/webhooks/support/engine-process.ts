/** An engine that behaves as in a separate process: it can be killed, or its lease renewals can be stalled. */
import type { PresenceStore } from '../../../../src/app/ports/presence-store.ts';
import type {
  AttemptReport,
  Delivery,
  ShardLease,
  WebhookSender,
  WebhookStore,
} from '../../../../src/app/ports/webhook-store.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { WebhookEngine } from '../../../../src/webhooks/delivery/engine.ts';
import { ScanBudget } from '../../../../src/webhooks/delivery/scan-budget.ts';
import type { Timers } from '../../../../src/webhooks/delivery/timers.ts';

export interface EngineProcessOptions {
  readonly store: PresenceStore;
  readonly webhooks: WebhookStore;
  readonly sender: WebhookSender;
  readonly timers: Timers;
  readonly retryForMs: number;
  readonly random: () => number;
  readonly onWarning: (error: unknown, what: string) => void;
  /** Called for each saved delivery of any engine. */
  readonly onProgressSaved: (delivery: Delivery) => void;
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export class SimulatedEngineProcess {
  readonly engine: WebhookEngine;
  #isDead = false;
  #stalled: Promise<void> | null = null;
  #goOn: () => void = () => undefined;

  constructor(world: EngineProcessOptions) {
    const alive = <T>(call: () => Promise<T>): Promise<T> =>
      this.#isDead ? never() : call().then((value) => (this.#isDead ? never<T>() : value));
    const { store, webhooks } = world;
    this.engine = new WebhookEngine(
      {
        store: {
          now: () => store.now(),
          onCommit: (listener) => store.onCommit((changes) => (this.#isDead ? undefined : listener(changes))),
          eventLog: {
            ...store.eventLog,
            scanEvents: (query) => alive(() => store.eventLog.scanEvents(query)),
            readEvents: (query) => alive(() => store.eventLog.readEvents(query)),
          },
        },
        webhooks: this.#webhooks(webhooks, alive, world.onProgressSaved),
        sender: {
          attemptDelivery: (webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<AttemptReport> =>
            alive(() => world.sender.attemptDelivery(webhook, delivery, signal)),
        },
      },
      {
        retryForMs: world.retryForMs,
        onWarning: world.onWarning,
        onStateChange: () => undefined,
        random: world.random,
        scanBudget: new ScanBudget(Infinity),
        timers: { wait: (ms, signal) => (this.#isDead ? never() : alive(() => world.timers.wait(ms, signal))) },
      },
    );
    this.engine.start();
  }

  /** None of its pending calls and waits completes any more. */
  kill(): void {
    this.#isDead = true;
  }

  /** Leases are not renewed until `resumeRenewals`. */
  stallRenewals(): void {
    this.#stalled ??= new Promise((resolve) => (this.#goOn = resolve));
  }

  resumeRenewals(): void {
    this.#stalled = null;
    this.#goOn();
  }

  #webhooks(
    webhooks: WebhookStore,
    alive: <T>(call: () => Promise<T>) => Promise<T>,
    onProgressSaved: (delivery: Delivery) => void,
  ): WebhookStore {
    return {
      listWebhooks: () => alive(() => webhooks.listWebhooks()),
      createWebhook: (webhook) => webhooks.createWebhook(webhook),
      updateWebhook: (id, decide) => alive(() => webhooks.updateWebhook(id, decide)),
      deleteWebhook: (id) => webhooks.deleteWebhook(id),
      onWebhooksChanged: (listener) => webhooks.onWebhooksChanged(() => (this.#isDead ? undefined : listener())),
      acquireLeases: (holder, leaseMs) =>
        alive(async () => {
          await this.#stalled;
          return this.#isDead ? never<readonly ShardLease[]>() : webhooks.acquireLeases(holder, leaseMs);
        }),
      releaseLeases: (holder) => alive(() => webhooks.releaseLeases(holder)),
      readProgress: (lease) => alive(() => webhooks.readProgress(lease)),
      saveProgress: (lease, progress) =>
        alive(async () => {
          const isSaved = await webhooks.saveProgress(lease, progress);
          if (isSaved) for (const delivery of progress.deliveries ?? []) onProgressSaved(delivery);
          return isSaved;
        }),
      listDueDeliveries: (lease, now, limit) => alive(() => webhooks.listDueDeliveries(lease, now, limit)),
      listDeliveries: (query) => webhooks.listDeliveries(query),
      findDelivery: (id) => webhooks.findDelivery(id),
      addDelivery: (delivery) => webhooks.addDelivery(delivery),
      requeueDeadDeliveries: (which, revive) => webhooks.requeueDeadDeliveries(which, revive),
    };
  }
}
