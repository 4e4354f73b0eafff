/** Webhook engines over in-memory stores and virtual time, with helpers to create and inspect deliveries. */
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { Delivery, ShardLease, ShardProgress } from '../../../../src/app/ports/webhook-store.ts';
import { parseUserId, parseWebhookId, type UserId, type WebhookId } from '../../../../src/core/ids.ts';
import type { Platform } from '../../../../src/core/enums.ts';
import {
  computeShard,
  SHARDS_PER_WEBHOOK,
  type Shard,
  type WebhookRecord,
} from '../../../../src/core/webhooks/webhook.ts';
import { WebhookEngine } from '../../../../src/webhooks/delivery/engine.ts';
import { ScanBudget } from '../../../../src/webhooks/delivery/scan-budget.ts';
import { FakeStore } from '../../app/support/fake-store.ts';
import { AppHarness } from '../../app/support/app-harness.ts';
import { RETRY_FOR_MS } from '../../app/webhooks/webhook-parts.ts';
import { MemoryWebhookStore } from '../../../contract/memory-webhooks.ts';
import { webhook } from '../../../contract/webhook-records.ts';
import { FakeSender } from './fake-sender.ts';
import { settleEngines, VirtualTimers } from './virtual-timers.ts';

export const WEBHOOK_ID = parseWebhookId('hook');
export const OTHER_WEBHOOK_ID = parseWebhookId('other hook');

/** Its methods reject with the error in `failures`. */
export class FaultyWebhookStore extends MemoryWebhookStore {
  readonly failures = new Map<'note' | 'lease' | 'progress' | 'webhooks' | 'updateWebhook' | 'release', Error>();
  /** All progress that was saved, in order. */
  readonly savedProgress: (readonly [ShardLease, Parameters<MemoryWebhookStore['saveProgress']>[1]])[] = [];
  leaseCalls = 0;

  override async saveProgress(...given: Parameters<MemoryWebhookStore['saveProgress']>): Promise<boolean> {
    this.#pass('note');
    const isSaved = await super.saveProgress(...given);
    if (isSaved) this.savedProgress.push(given);
    return isSaved;
  }

  override async acquireLeases(
    ...given: Parameters<MemoryWebhookStore['acquireLeases']>
  ): Promise<readonly ShardLease[]> {
    this.leaseCalls++;
    this.#pass('lease');
    return super.acquireLeases(...given);
  }

  override async readProgress(...given: Parameters<MemoryWebhookStore['readProgress']>): Promise<ShardProgress | null> {
    this.#pass('progress');
    return super.readProgress(...given);
  }

  override async listWebhooks(): Promise<readonly WebhookRecord[]> {
    this.#pass('webhooks');
    return super.listWebhooks();
  }

  override async updateWebhook(
    ...given: Parameters<MemoryWebhookStore['updateWebhook']>
  ): Promise<WebhookRecord | null> {
    this.#pass('updateWebhook');
    return super.updateWebhook(...given);
  }

  override async releaseLeases(holder: string): Promise<void> {
    this.#pass('release');
    return super.releaseLeases(holder);
  }

  #pass(call: 'note' | 'lease' | 'progress' | 'webhooks' | 'updateWebhook' | 'release'): void {
    const refusal = this.failures.get(call);
    if (refusal !== undefined) throw refusal;
  }
}

export interface DeliveryHarnessOptions {
  readonly retryForMs?: number;
  readonly random?: () => number;
}

export class DeliveryHarness {
  readonly store = new FakeStore();
  readonly app = new AppHarness(this.store);
  readonly webhooks = new FaultyWebhookStore({ clock: () => this.store.now() });
  readonly timers = new VirtualTimers(this.store);
  readonly sender = new FakeSender(() => this.store.now());
  readonly warnings: string[] = [];
  /** All calls of `onStateChange`, in order. */
  readonly stateChanges: (readonly [what: string, about: object])[] = [];
  readonly engine: WebhookEngine;
  readonly #options: DeliveryHarnessOptions;
  #devices = 0;

  constructor(options: DeliveryHarnessOptions = {}) {
    this.#options = options;
    this.engine = this.createEngine();
  }

  /** Another engine over the same stores. */
  createEngine(receiver = this.sender): WebhookEngine {
    return new WebhookEngine(
      { store: this.store, webhooks: this.webhooks, sender: receiver },
      {
        retryForMs: this.#options.retryForMs ?? RETRY_FOR_MS,
        onWarning: (_error, what) => this.warnings.push(what),
        onStateChange: (what, about) => this.stateChanges.push([what, about]),
        timers: this.timers,
        scanBudget: new ScanBudget(Infinity),
        random: this.#options.random ?? (() => 0.5),
      },
    );
  }

  /** Creates one webhook and starts the engine. */
  static async start(
    options: DeliveryHarnessOptions = {},
    webhook: Partial<WebhookRecord> = {},
  ): Promise<DeliveryHarness> {
    const harness = new DeliveryHarness(options);
    await harness.createWebhook(webhook);
    harness.engine.start();
    await settleEngines();
    return harness;
  }

  async createWebhook(more: Partial<WebhookRecord> = {}): Promise<void> {
    const now = this.store.now();
    const start = await this.store.eventLog.getLatestCursor();
    const url = 'https://receiver.example/hook';
    await this.webhooks.createWebhook(
      webhook(WEBHOOK_ID, { url, createdAt: now, changedAt: now, startCursor: start, ...more }),
    );
  }

  async updateWebhook(more: Partial<WebhookRecord>, id: WebhookId = WEBHOOK_ID): Promise<void> {
    await this.webhooks.updateWebhook(id, (webhook) => ({ ...webhook, changedAt: this.store.now(), ...more }));
  }

  /** Logs in with a new device. @returns the events of the login. */
  async logIn(user: UserId, platform: Platform = 'ANDROID'): Promise<readonly LoggedEvent[]> {
    const before = this.store.events.length;
    await this.app.login(user, platform, `device ${++this.#devices}`);
    return this.store.events.slice(before);
  }

  /** The saved RETRYING delivery of a shard. */
  async findRetryingDelivery(shard: Shard, id = WEBHOOK_ID): Promise<Delivery | undefined> {
    const { deliveries: listDeliveries } = await this.webhooks.listDeliveries({
      webhookId: id,
      status: 'RETRYING',
      after: null,
      limit: 500,
    });
    return listDeliveries.find((delivery) => delivery.shard === shard);
  }

  async deliveries(status?: Delivery['status']): Promise<readonly Delivery[]> {
    const { deliveries } = await this.webhooks.listDeliveries({ status, after: null, limit: 10_000 });
    return deliveries;
  }

  /** The progress of a shard, as the next lease holder would read it. The engine must be closed. */
  async readProgress(shard: Shard, id = WEBHOOK_ID) {
    const leases = await this.webhooks.acquireLeases('another holder', 1_000);
    const lease = leases.find((one): one is ShardLease => one.webhookId === id && one.shard === shard);
    if (lease === undefined) throw new Error(`The lease of shard ${shard} is not available.`);
    const progress = await this.webhooks.readProgress(lease);
    await this.webhooks.releaseLeases('another holder');
    return progress;
  }
}

/** @returns the user id with this number among those of the shard. */
export const userIdOfShard = (shard: Shard, number = 0): UserId => {
  for (let tried = 0, found = 0; ; tried++) {
    const id = parseUserId(`user ${tried}`);
    if (computeShard(id) === shard && found++ === number) return id;
  }
};

export const ALL_SHARDS: readonly Shard[] = Array.from({ length: SHARDS_PER_WEBHOOK }, (_, shard) => shard);
