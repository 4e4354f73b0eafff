/** One operation that a client asked for on a socket, until its last answer is written. */
import type { ExecutionResult } from 'graphql';
import type { Operation } from '../graphql/operation.ts';
import { formatComplete, formatNext } from '../wire/messages.ts';
import type { SendBuffer } from '../wire/send-buffer.ts';
import type { PushTarget } from '../graphql/push-subscription.ts';
import type { FanoutScheduler } from '../graphql/fanout-scheduler.ts';
import type { ActiveOperations } from './active-operations.ts';

/** The socket it was asked for on. */
interface Asker {
  readonly underWay: ActiveOperations<OperationHandle>;
  readonly outbox: SendBuffer;
  /** Resolves when whoever has more to send may do so. */
  send(text: string): Promise<void>;
  /** It is our fault that there is no answer. */
  unanswerable(error: unknown): void;
}

/** The same for all. */
interface Answerer {
  readonly rounds: FanoutScheduler;
  fail(asked: OperationHandle, error: unknown): Promise<void>;
}

/** What a subscription is told from. */
interface Source {
  /** Again is no matter. */
  return(): unknown;
}

export class OperationHandle implements PushTarget {
  /** The client's name for it. */
  readonly id: string;
  readonly operation: Operation;
  readonly #asker: Asker;
  readonly #answerer: Answerer;
  #source: Source | null = null;
  #isWanted = true;

  constructor(id: string, operation: Operation, asker: Asker, answerer: Answerer) {
    this.id = id;
    this.operation = operation;
    this.#asker = asker;
    this.#answerer = answerer;
  }

  get sendBuffer(): SendBuffer {
    return this.#asker.outbox;
  }

  get fanoutScheduler(): FanoutScheduler {
    return this.#answerer.rounds;
  }

  /** False: the client has taken its name back, or gone. */
  get isActive(): boolean {
    return this.#isWanted;
  }

  /** From now on it is told from there. False: it is not wanted any more, and what it was to be told from is over. */
  attachSource(source: Source): boolean {
    if (this.#isWanted) this.#source = source;
    else source.return();
    return this.#isWanted;
  }

  /** Resolves when whoever has more to tell may do so. */
  sendNext(result: ExecutionResult): Promise<void> {
    return this.#isWanted ? this.#asker.send(formatNext(this.id, result)) : SENT;
  }

  /** Everything is told. */
  async sendComplete(): Promise<void> {
    if (this.#isWanted) await this.#asker.send(formatComplete(this.id));
    this.#isWanted = false;
    this.#asker.underWay.remove(this);
  }

  /** Nothing comes from its source any more. */
  stopSource(): void {
    this.#source?.return();
  }

  /** The client wants to hear nothing more of it, or is gone. What is being executed is under way until it is done. */
  cancel(): void {
    this.#isWanted = false;
    if (this.#source === null) return;
    this.stopSource();
    this.#asker.underWay.remove(this);
  }

  /** It cannot be told of what has changed. */
  onPushError(error: unknown): void {
    this.#answerer.fail(this, error).catch((fault: unknown) => this.#asker.unanswerable(fault));
  }
}

const SENT = Promise.resolve();
