/**
 * A queue of new sockets that wait to be authenticated. It is usually empty. After a network failure or a restart many
 * clients connect at once. Then each turn of the event loop admits a few of them, in their order, so that connected
 * clients are served in between. None is admitted while the store is busy with the previous ones.
 */
export interface AdmissionLimits {
  /** Sockets admitted in one turn of the event loop: some milliseconds of work. */
  readonly maxPerLoopTurn: number;
  /** Sessions that are attached at once. Each RECONNECT is written to the disk. */
  readonly maxConcurrentAttachments: number;
  /** Sockets in the queue. Further ones are rejected and reconnect later. */
  readonly maxQueued: number;
}

export const DEFAULT_ADMISSION_LIMITS: AdmissionLimits = {
  maxPerLoopTurn: 64,
  maxConcurrentAttachments: 512,
  maxQueued: 100_000,
};

interface QueuedSocket {
  readonly isCancelled: () => boolean;
  readonly resolve: (isAdmitted: boolean) => void;
}

const ADMITTED = Promise.resolve(true);
const REJECTED = Promise.resolve(false);

export class AdmissionQueue {
  readonly #limits: AdmissionLimits;
  #queue: QueuedSocket[] = [];
  /** The index of the first socket in `#queue` that still waits. */
  #head = 0;
  #admittedThisTurn = 0;
  #attachmentsInProgress = 0;
  #isScheduled = false;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /**
   * Resolves to true when the socket is admitted, or to false at once if the queue is full.
   * @param isCancelled true once the socket is closing. It then uses no capacity, and the promise resolves to false.
   */
  waitForAdmission(isCancelled: () => boolean): Promise<boolean> {
    const queuedCount = this.#queue.length - this.#head;
    if (queuedCount === 0 && this.#hasCapacity()) {
      this.#countAdmission();
      return ADMITTED;
    }
    if (queuedCount >= this.#limits.maxQueued) return REJECTED;
    this.#scheduleTurn();
    return new Promise((resolve) => this.#queue.push({ isCancelled, resolve }));
  }

  /** Counts an attachment while it is in progress. @throws what `attach` throws. */
  async trackAttachment(attach: () => Promise<unknown>): Promise<void> {
    this.#attachmentsInProgress++;
    try {
      await attach();
    } finally {
      this.#attachmentsInProgress--;
      if (this.#queue.length > 0) this.#scheduleTurn();
    }
  }

  #hasCapacity(): boolean {
    return (
      this.#admittedThisTurn < this.#limits.maxPerLoopTurn &&
      this.#attachmentsInProgress < this.#limits.maxConcurrentAttachments
    );
  }

  #countAdmission(): void {
    this.#admittedThisTurn++;
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#runTurn);
  }

  readonly #runTurn = (): void => {
    this.#isScheduled = false;
    this.#admittedThisTurn = 0;
    while (this.#hasCapacity()) {
      const next = this.#queue[this.#head];
      if (next === undefined) {
        this.#queue = [];
        this.#head = 0;
        return;
      }
      this.#head++;
      if (next.isCancelled()) next.resolve(false);
      else {
        this.#countAdmission();
        next.resolve(true);
      }
    }
  };
}
