/**
 * The server side of the graphql-transport-ws protocol, shared by all sockets. The state of each socket is in its
 * `Connection`. A pushed subscription holds no pending promise and no suspended function, which would be most of the
 * memory of an open one.
 */
import type { ExecutionResult, GraphQLError } from 'graphql';
import { CloseCode, MessageType, type PingMessage } from 'graphql-ws';
import { DEFAULT_RETRY_AFTER_MS, DomainError } from '../../core/errors.ts';
import type { FanoutScheduler } from '../graphql/fanout-scheduler.ts';
import { isLogin, isMutation, isQueryOrMutation, startsWithHeartbeat } from '../graphql/operation.ts';
import type { OperationParams } from '../graphql/operation-params.ts';
import type { FailedPreparation, OperationResult, Pipeline, PreparedOperation } from '../graphql/pipeline.ts';
import { PushSubscription } from '../graphql/push-subscription.ts';
import { ResponseStream } from '../graphql/response-stream.ts';
import { rateLimitedError } from '../limits/rate-limiter.ts';
import type { OperationRecorder } from '../metrics/operation-recorder.ts';
import type { RejectionCounters } from '../metrics/rejection-counters.ts';
import {
  CONNECTION_ACK_MESSAGE,
  INVALID_MESSAGE,
  describeInvalidMessage,
  formatErrorMessage,
  formatPongMessage,
  parseClientMessage,
} from '../wire/messages.ts';
import { RATE_LIMIT_EXCEEDED, UNEXPECTED_MESSAGE } from './close-reasons.ts';
import type { ConnectionPayload } from './connection-credential.ts';
import type { Connection } from './connection.ts';
import { OperationHandle } from './operation-handle.ts';

const SUBSCRIBED_TOO_EARLY = 'Unauthorized: send connection_init and wait for connection_ack before subscribe';
/** Every result repeats the id, and the id is kept while the operation is active. */
const MAX_ID_LENGTH = 1_024;

export interface GraphqlTransportWsOptions {
  readonly pipeline: Pipeline;
  readonly operationRecorder: OperationRecorder;
  readonly fanoutScheduler: FanoutScheduler;
  readonly rejections: RejectionCounters;
  /** Concurrent operations of one socket. */
  readonly maxOperations: number;
}

/** An operation that is being executed, with what is needed to record it. */
interface RunningOperation {
  readonly connection: Connection;
  readonly handle: OperationHandle;
  /** As returned by `OperationRecorder.startTiming`. */
  readonly startedAt: number;
}

export class GraphqlTransportWsProtocol {
  readonly fanoutScheduler: FanoutScheduler;
  readonly #pipeline: Pipeline;
  readonly #operationRecorder: OperationRecorder;
  readonly #rejections: RejectionCounters;
  readonly #maxOperations: number;

  constructor(options: GraphqlTransportWsOptions) {
    this.fanoutScheduler = options.fanoutScheduler;
    this.#pipeline = options.pipeline;
    this.#operationRecorder = options.operationRecorder;
    this.#rejections = options.rejections;
    this.#maxOperations = options.maxOperations;
  }

  /** Every message is activity, except a pong: the runtime of a frozen app may still send it. */
  handleMessage(connection: Connection, text: string): void {
    const message = parseClientMessage(text);
    if (message?.type === MessageType.Pong) return;
    // It records the activity itself, before it executes the operation.
    if (message?.type === MessageType.Subscribe) return this.#startOperation(connection, message.id, message.payload);
    connection.sessionBinding.recordActivity();
    switch (message?.type) {
      case undefined:
        return connection.closeForProtocolError(CloseCode.BadRequest, describeInvalidMessage(text));
      case MessageType.Ping:
        return this.#sendPong(connection, message.payload);
      case MessageType.ConnectionInit:
        return void this.#initialise(connection, message.payload);
      case MessageType.Complete:
        return connection.activeOperations.findById(message.id)?.cancel();
      default:
        return connection.close(UNEXPECTED_MESSAGE);
    }
  }

  /**
   * Handles a message above the rate limit. It is not executed and is no activity. A `subscribe` is answered with
   * RATE_LIMITED, and pings are not answered. A `complete` is executed all the same: it reduces the load, and it has no
   * response that could report a rejection.
   */
  rejectMessage(connection: Connection, text: string, retryAfterMs: number): void {
    const message = parseClientMessage(text);
    switch (message?.type) {
      case undefined:
        return connection.closeForProtocolError(CloseCode.BadRequest, describeInvalidMessage(text));
      case MessageType.Subscribe:
        // With a duplicate id, the client would take the error for that of the active operation.
        if (!this.#checkOperationId(connection, message.id)) return;
        return this.#sendErrors(connection, message.id, [this.#pipeline.toClientError(rateLimitedError(retryAfterMs))]);
      case MessageType.ConnectionInit:
        return connection.close(RATE_LIMIT_EXCEEDED);
      case MessageType.Complete:
        return connection.activeOperations.findById(message.id)?.cancel();
      case MessageType.Ping:
      case MessageType.Pong:
        return;
      default:
        return connection.close(UNEXPECTED_MESSAGE);
    }
  }

  /** Ends a pushed subscription with an error, because a change cannot be delivered. */
  async endSubscriptionWithError(handle: OperationHandle, error: unknown): Promise<void> {
    handle.stopSource();
    await handle.sendNext(this.#pipeline.toErrorResult(error));
    await handle.sendComplete();
  }

  #sendPong(connection: Connection, payload: PingMessage['payload']): void {
    const pong = formatPongMessage(payload);
    if (pong === null) connection.closeForProtocolError(CloseCode.BadRequest, `${INVALID_MESSAGE}: nested too deeply`);
    else void connection.sendMessage(pong);
  }

  async #initialise(connection: Connection, payload: ConnectionPayload | null | undefined): Promise<void> {
    if (connection.isInitialised) {
      return connection.closeForProtocolError(
        CloseCode.TooManyInitialisationRequests,
        'Too many initialisation requests',
      );
    }
    connection.isInitialised = true;
    if (!(await connection.authenticate(payload))) return;
    connection.markAcknowledged();
    await connection.sendMessage(CONNECTION_ACK_MESSAGE);
  }

  /** Handles `subscribe`, which starts an operation of any type. */
  #startOperation(connection: Connection, id: string, payload: Readonly<Record<string, unknown>>): void {
    const { activeOperations, sessionBinding } = connection;
    if (!this.#checkOperationId(connection, id)) return sessionBinding.recordActivity();
    const startedAt = this.#operationRecorder.startTiming();
    const params = this.#readParams(connection, payload);
    if ('errors' in params) return this.#rejectOperation(connection, id, startedAt, params.errors);
    const prepared = this.#pipeline.prepareOperation(params.query, params.operationName);
    if ('errors' in prepared) return this.#rejectOperation(connection, id, startedAt, prepared.errors);
    const { operation } = prepared;
    // Recorded before the execution, unless the operation records the activity itself.
    if (!startsWithHeartbeat(operation) || activeOperations.hasMatching(isLogin)) sessionBinding.recordActivity();
    if (isLogin(operation)) sessionBinding.markLoginStarted();
    const handle = new OperationHandle(id, operation, connection, this);
    activeOperations.add(handle);
    this.#runOperation({ connection, handle, startedAt }, prepared, params.variables).catch((error: unknown) => {
      activeOperations.remove(handle);
      connection.failInternally(error);
    });
  }

  /** Answers a `subscribe` whose operation is not executed. */
  #rejectOperation(connection: Connection, id: string, startedAt: number, errors: readonly GraphQLError[]): void {
    this.#sendErrors(connection, id, errors);
    this.#operationRecorder.recordAnswer(connection, startedAt, null, errors);
    connection.sessionBinding.recordActivity();
  }

  /** Whether an operation can use this id. If not, the socket is closed. */
  #checkOperationId(connection: Connection, id: string): boolean {
    if (!connection.isAcknowledged) connection.closeForProtocolError(CloseCode.Unauthorized, SUBSCRIBED_TOO_EARLY);
    else if (id.length > MAX_ID_LENGTH) {
      connection.closeForProtocolError(CloseCode.BadRequest, `An id has more than ${MAX_ID_LENGTH} characters`);
    } else if (connection.activeOperations.findById(id) === undefined) return true;
    else connection.closeForProtocolError(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`);
    return false;
  }

  #readParams(connection: Connection, payload: Readonly<Record<string, unknown>>): OperationParams | FailedPreparation {
    if (connection.activeOperations.size < this.#maxOperations) return this.#pipeline.readParams(payload);
    this.#rejections.operationsPerSocket++;
    const error = new DomainError(
      { code: 'RATE_LIMITED', retryAfterMs: DEFAULT_RETRY_AFTER_MS },
      `A socket can run at most ${this.#maxOperations} operations at once.`,
    );
    return { errors: [this.#pipeline.toClientError(error)] };
  }

  #sendErrors(connection: Connection, id: string, errors: readonly GraphQLError[]): void {
    void connection.sendMessage(formatErrorMessage(id, errors));
  }

  async #runOperation(
    running: RunningOperation,
    prepared: PreparedOperation,
    variables: OperationParams['variables'],
  ): Promise<void> {
    const { connection, handle } = running;
    const { activeOperations } = connection;
    // Mutations are executed at once. Their responses are short.
    const needsSlot = !isMutation(handle.operation);
    const slot = needsSlot ? activeOperations.acquireResponseSlot() : null;
    if (slot !== null) await slot;
    let stream: ResponseStream | null = null;
    try {
      if (!handle.isActive) return activeOperations.remove(handle);
      const result = await this.#pipeline.runOperation(prepared, {
        variables,
        context: connection,
        pushTarget: handle,
      });
      if (result instanceof PushSubscription) {
        if (await this.#startPushing(running, result)) return;
      } else if (result instanceof ResponseStream) {
        stream = result;
        this.#recordAnswer(running);
      } else await this.#sendResult(running, result);
    } finally {
      if (needsSlot) activeOperations.releaseResponseSlot();
    }
    // Outside of the slot: a stream mostly waits, and it sends one list at a time.
    if (stream !== null) await pullResults(handle, stream);
    await handle.sendComplete();
  }

  /** Not async, which would cost every heartbeat a promise. */
  #sendResult(running: RunningOperation, result: Exclude<OperationResult, ResponseStream>): Promise<void> {
    const { connection, handle } = running;
    // A failed operation may not have recorded its activity, so its message is recorded.
    if ('errors' in result && isQueryOrMutation(handle.operation)) connection.sessionBinding.recordActivity();
    const sent = handle.sendNext(result);
    // Before the result is sent, because the client's reading speed is not part of the duration.
    this.#recordAnswer(running, result.errors);
    return sent;
  }

  /** Sends the snapshot and starts to push. Returns false if the subscription has ended. */
  async #startPushing(running: RunningOperation, subscription: PushSubscription): Promise<boolean> {
    const { handle } = running;
    if (!handle.attachSource(subscription)) return false;
    let snapshot: ExecutionResult;
    try {
      snapshot = await subscription.readSnapshot();
    } catch (error) {
      handle.stopSource();
      snapshot = this.#pipeline.toErrorResult(error);
    }
    this.#recordAnswer(running, snapshot.errors);
    await handle.sendNext(snapshot);
    return subscription.startPushing();
  }

  #recordAnswer({ connection, handle, startedAt }: RunningOperation, errors?: readonly GraphQLError[]): void {
    this.#operationRecorder.recordAnswer(connection, startedAt, handle.operation, errors);
  }
}

const pullResults = async (handle: OperationHandle, stream: ResponseStream): Promise<void> => {
  if (!handle.attachSource(stream)) return;
  for (let item = await stream.next(); item.done !== true; item = await stream.next()) {
    await handle.sendNext(item.value);
  }
};
