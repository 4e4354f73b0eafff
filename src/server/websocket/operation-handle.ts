/** One operation of a socket, from its `subscribe` message until its last result is written. */
import type { ExecutionResult } from 'graphql';
import type { Operation } from '../graphql/operation.ts';
import { formatCompleteMessage, formatNextMessage } from '../wire/messages.ts';
import type { SendBuffer } from '../wire/send-buffer.ts';
import type { PushTarget } from '../graphql/push-subscription.ts';
import type { FanoutScheduler } from '../graphql/fanout-scheduler.ts';
import type { ActiveOperations } from './active-operations.ts';

/** The socket that the operation arrived on. */
interface OperationConnection {
  readonly activeOperations: ActiveOperations<OperationHandle>;
  readonly sendBuffer: SendBuffer;
  /** Resolves when the sender may send more. */
  sendMessage(text: string): Promise<void>;
  /** Closes the socket because of an internal error. */
  failInternally(error: unknown): void;
}

/** The protocol implementation, shared by all sockets. */
interface OperationProtocol {
  readonly fanoutScheduler: FanoutScheduler;
  endSubscriptionWithError(handle: OperationHandle, error: unknown): Promise<void>;
}

/** The source of a subscription's results. */
interface ResultSource {
  /** Ends the source. Can be called again. */
  return(): unknown;
}

export class OperationHandle implements PushTarget {
  /** The id that the client gave the operation. */
  readonly id: string;
  readonly operation: Operation;
  readonly #connection: OperationConnection;
  readonly #protocol: OperationProtocol;
  #source: ResultSource | null = null;
  #isActive = true;

  constructor(id: string, operation: Operation, connection: OperationConnection, protocol: OperationProtocol) {
    this.id = id;
    this.operation = operation;
    this.#connection = connection;
    this.#protocol = protocol;
  }

  get sendBuffer(): SendBuffer {
    return this.#connection.sendBuffer;
  }

  get fanoutScheduler(): FanoutScheduler {
    return this.#protocol.fanoutScheduler;
  }

  /** False once the operation is complete, or the client has cancelled it or disconnected. */
  get isActive(): boolean {
    return this.#isActive;
  }

  /** Sets the source of the results. Ends the source and returns false if the operation is no longer active. */
  attachSource(source: ResultSource): boolean {
    if (this.#isActive) this.#source = source;
    else source.return();
    return this.#isActive;
  }

  /** Resolves when the sender may send more. */
  sendNext(result: ExecutionResult): Promise<void> {
    return this.#isActive ? this.#connection.sendMessage(formatNextMessage(this.id, result)) : RESOLVED;
  }

  async sendComplete(): Promise<void> {
    if (this.#isActive) await this.#connection.sendMessage(formatCompleteMessage(this.id));
    this.#isActive = false;
    this.#connection.activeOperations.remove(this);
  }

  stopSource(): void {
    this.#source?.return();
  }

  /** The client cancelled the operation or disconnected. An operation that is being executed stays until it is done. */
  cancel(): void {
    this.#isActive = false;
    if (this.#source === null) return;
    this.stopSource();
    this.#connection.activeOperations.remove(this);
  }

  onPushError(error: unknown): void {
    this.#protocol
      .endSubscriptionWithError(this, error)
      .catch((sendError: unknown) => this.#connection.failInternally(sendError));
  }
}

const RESOLVED = Promise.resolve();
