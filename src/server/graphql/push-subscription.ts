/**
 * A subscription to status changes over a WebSocket. The client requests the snapshot; after that every change is
 * written to the socket's send buffer, one delivery round at a time, as long as the client keeps reading.
 */
import type { ExecutionResult } from 'graphql';
import type { StatusWatcher } from '../../app/presence/status-watchers.ts';
import type { Operation } from './operation.ts';
import type { DrainListener, SendBuffer } from '../wire/send-buffer.ts';
import type { FanoutRecipient, FanoutScheduler } from './fanout-scheduler.ts';
import type { SharedResult, SharedResultCache } from './shared-results.ts';

/** Where the changes of a subscription are sent. */
export interface PushTarget {
  /** The id that the client gave the subscription. */
  readonly id: string;
  readonly operation: Operation;
  readonly sendBuffer: SendBuffer;
  readonly fanoutScheduler: FanoutScheduler;
  /** Called when a change cannot be delivered. */
  onPushError(error: unknown): void;
}

export class PushSubscription implements FanoutRecipient, DrainListener {
  readonly #watcher: StatusWatcher;
  readonly #sharedResults: SharedResultCache;
  readonly #sharedResult: SharedResult;
  readonly #target: PushTarget;
  #isEnded = false;
  #isScheduled = false;

  /** @param sharedResult is released to `sharedResults` when the subscription ends. */
  constructor(
    watcher: StatusWatcher,
    sharedResult: SharedResult,
    sharedResults: SharedResultCache,
    target: PushTarget,
  ) {
    this.#watcher = watcher;
    this.#sharedResult = sharedResult;
    this.#sharedResults = sharedResults;
    this.#target = target;
  }

  /** The current status of all watched users. Must be sent before `startPushing` is called. */
  async readSnapshot(): Promise<ExecutionResult> {
    return this.#sharedResult.execute(await this.#watcher.takeSnapshot());
  }

  /** Pushes all changes since the snapshot. Returns false if the subscription has ended. */
  startPushing(): boolean {
    if (this.#isEnded) return false;
    this.#target.sendBuffer.addDrainListener(this);
    this.#watcher.attachReader(this);
    return true;
  }

  /** Ends the subscription. Nothing more is sent. Can be called again. */
  return(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#target.sendBuffer.removeDrainListener(this);
    this.#watcher.onClosed();
    this.#sharedResults.releaseResult(this.#sharedResult, this.#target.operation);
  }

  /** The watcher calls this when it has changes. */
  notifyAvailable(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#target.fanoutScheduler.scheduleDelivery(this);
  }

  onDrain(): void {
    this.notifyAvailable();
  }

  deliverPending(): void {
    this.#isScheduled = false;
    const { id, sendBuffer, fanoutScheduler } = this.#target;
    // Until the buffer drains, the watcher conflates changes. Then `onDrain` schedules a delivery.
    if (this.#isEnded || !sendBuffer.isDrained()) return;
    // An error must not keep the other recipients of the round from their changes.
    try {
      const changes = this.#watcher.takeChanges();
      if (changes !== null)
        sendBuffer.enqueueAndFlush(this.#sharedResult.encodeNextFrame(id, changes, fanoutScheduler));
    } catch (error) {
      this.#target.onPushError(error);
    }
  }
}
