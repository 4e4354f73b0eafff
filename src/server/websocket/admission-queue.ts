/**
 * Where sockets wait that have been opened and want to speak. Few find it open. When very many come at
 * once (a network is back, the server was restarted), each turn of the event loop takes some of them in
 * the order in which they came, so that whoever is in already is heard in between; and none is taken in
 * while the store has enough to do with the last ones.
 */
export interface AdmissionLimits {
  /** Taken in within one turn of the loop: some ms of work. */
  readonly maxPerLoopTurn: number;
  /** Sessions that are being attached at once; RECONNECTs go to the disk. */
  readonly maxConcurrentAttachments: number;
  /** Sockets waiting. More are told to come back later. */
  readonly maxQueued: number;
}

export const DEFAULT_ADMISSION_LIMITS: AdmissionLimits = {
  maxPerLoopTurn: 64,
  maxConcurrentAttachments: 512,
  maxQueued: 100_000,
};

interface Waiting {
  readonly isGone: () => boolean;
  readonly resolve: (mayEnter: boolean) => void;
}

const AT_ONCE = Promise.resolve(true);
const NEVER = Promise.resolve(false);

export class AdmissionQueue {
  readonly #limits: AdmissionLimits;
  #waiting: Waiting[] = [];
  /** Of those waiting, how many at the front are not any more. */
  #passed = 0;
  #thisTurn = 0;
  #attaching = 0;
  #scheduled = false;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /**
   * Resolves when it is this one's turn: true; or at once, if too many are waiting: false.
   * @param isGone it need not be let in any more: it does not take up a place of its turn then.
   */
  admit(isGone: () => boolean): Promise<boolean> {
    const waiting = this.#waiting.length - this.#passed;
    if (waiting === 0 && this.#isOpen()) {
      this.#enter();
      return AT_ONCE;
    }
    if (waiting >= this.#limits.maxQueued) return NEVER;
    this.#schedule();
    return new Promise((resolve) => this.#waiting.push({ isGone, resolve }));
  }

  /** Attaches a session. @throws what `attach` throws. */
  async trackAttachment(attach: () => Promise<unknown>): Promise<void> {
    this.#attaching++;
    try {
      await attach();
    } finally {
      this.#attaching--;
      if (this.#waiting.length > 0) this.#schedule();
    }
  }

  #isOpen(): boolean {
    return this.#thisTurn < this.#limits.maxPerLoopTurn && this.#attaching < this.#limits.maxConcurrentAttachments;
  }

  #enter(): void {
    this.#thisTurn++;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#nextTurn);
  }

  readonly #nextTurn = (): void => {
    this.#scheduled = false;
    this.#thisTurn = 0;
    while (this.#isOpen()) {
      const next = this.#waiting[this.#passed];
      if (next === undefined) {
        this.#waiting = [];
        this.#passed = 0;
        return;
      }
      this.#passed++;
      if (next.isGone()) next.resolve(false);
      else {
        this.#enter();
        next.resolve(true);
      }
    }
  };
}
