/**
 * The server's side of graphql-transport-ws, one for all sockets: what each has said and asked for stands
 * in its connection. A subscription that pushes keeps nothing waiting: no promise, no suspended function,
 * no message, which is most of what an open one would take.
 */
import type { DocumentNode, ExecutionResult, GraphQLError } from 'graphql';
import { CloseCode, MessageType, type PingMessage, type SubscribePayload } from 'graphql-ws';
import { DomainError } from '../../core/errors.ts';
import { OperationHandle } from './operation-handle.ts';
import type { Connection } from './connection.ts';
import { isLogin, isMutation, isQueryOrMutation, startsWithHeartbeat, type Operation } from '../graphql/operation.ts';
import type { OperationRecorder } from '../metrics/operation-recorder.ts';
import { RATE_LIMIT_EXCEEDED, UNEXPECTED_MESSAGE } from './close-reasons.ts';
import { RETRY_AFTER_MS } from '../graphql/query-limits.ts';
import { CONNECTION_ACK_MESSAGE, formatError, formatPong, parseClientMessage } from '../wire/messages.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { PushSubscription } from '../graphql/push-subscription.ts';
import { rateLimitedError } from '../limits/rate-limiter.ts';
import type { RejectionCounters } from '../metrics/rejection-counters.ts';
import { ResponseStream } from '../graphql/response-stream.ts';
import type { FanoutScheduler } from '../graphql/fanout-scheduler.ts';

const INVALID = 'Invalid message received';
/** Every answer carries the client's name for it, and it is kept as long as one may come. */
const MAX_ID_LENGTH = 1_024;

/** A document, and the one of its operations that is asked for. */
interface Checked {
  readonly document: DocumentNode;
  readonly operation: Operation;
}

export class GraphqlTransportWs {
  readonly #pipeline: Pipeline;
  readonly #operations: OperationRecorder;
  readonly #maxOperations: number;
  readonly #refusals: RejectionCounters;
  readonly fanoutScheduler: FanoutScheduler;

  /** @param maxOperations how many may be under way on one socket. */
  constructor(
    pipeline: Pipeline,
    operations: OperationRecorder,
    rounds: FanoutScheduler,
    maxOperations: number,
    refusals: RejectionCounters,
  ) {
    this.#pipeline = pipeline;
    this.#operations = operations;
    this.fanoutScheduler = rounds;
    this.#maxOperations = maxOperations;
    this.#refusals = refusals;
  }

  /** Whatever a client says is a sign of life, but an answer to a ping of ours: a frozen app's runtime may still send it. */
  handleMessage(connection: Connection, text: string): void {
    const message = parseClientMessage(text);
    if (message?.type === MessageType.Pong) return;
    // Before it is executed.
    if (message?.type === MessageType.Subscribe) return this.#subscribe(connection, message.id, message.payload);
    connection.recordActivity();
    switch (message?.type) {
      case undefined:
        return connection.closeForProtocolError(CloseCode.BadRequest, INVALID);
      case MessageType.Ping:
        return this.#pong(connection, message.payload);
      case MessageType.ConnectionInit:
        return void this.#init(connection, message.payload);
      case MessageType.Complete:
        return connection.activeOperations.findById(message.id)?.cancel();
      default:
        return connection.close(UNEXPECTED_MESSAGE);
    }
  }

  /**
   * It came too fast: it is not executed, and no sign of life. An operation is told when to come again; pings are
   * not answered. What ends something is done all the same: it takes work off us, and nobody could say that it was not.
   */
  rejectMessage(connection: Connection, text: string, retryAfterMs: number): void {
    const message = parseClientMessage(text);
    switch (message?.type) {
      case undefined:
        return connection.closeForProtocolError(CloseCode.BadRequest, INVALID);
      case MessageType.Subscribe:
        // Its name may be that of another that is under way, which must not be taken for the refused one.
        if (!this.#mayName(connection, message.id)) return;
        return void connection.send(
          formatError(message.id, [this.#pipeline.toClientError(rateLimitedError(retryAfterMs))]),
        );
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

  /** Who was told the present cannot be told of a change. */
  async failSubscription(asked: OperationHandle, error: unknown): Promise<void> {
    asked.stopSource();
    await asked.sendNext(this.#pipeline.toErrorResult(error));
    await asked.sendComplete();
  }

  #pong(connection: Connection, payload: PingMessage['payload']): void {
    const answer = formatPong(payload);
    if (answer === null) connection.closeForProtocolError(CloseCode.BadRequest, INVALID);
    else void connection.send(answer);
  }

  async #init(connection: Connection, params: Readonly<Record<string, unknown>> | undefined): Promise<void> {
    if (connection.isInitialised) {
      return connection.closeForProtocolError(
        CloseCode.TooManyInitialisationRequests,
        'Too many initialisation requests',
      );
    }
    connection.isInitialised = true;
    // Whoever may not connect finds the socket closed, and is not acknowledged.
    if (!(await connection.authenticate(params?.['authorization'] ?? params?.['Authorization']))) return;
    connection.markAcknowledged();
    await connection.send(CONNECTION_ACK_MESSAGE);
  }

  #subscribe(connection: Connection, id: string, payload: SubscribePayload): void {
    const { activeOperations: underWay } = connection;
    if (!this.#mayName(connection, id)) return connection.recordActivity();
    const began = this.#operations.startTiming();
    const checked = this.#checked(connection, id, payload, began);
    if (checked === null) return connection.recordActivity();
    const { document, operation } = checked;
    // Nothing of it has been executed yet: the sign comes before it, if it is not one by itself.
    if (!startsWithHeartbeat(operation) || underWay.hasMatching(isLogin)) connection.recordActivity();
    if (isLogin(operation)) connection.markLoginStarted();
    const asked = new OperationHandle(id, operation, connection, this);
    underWay.add(asked);
    this.#answer(connection, asked, document, payload, began).catch((error: unknown) => {
      underWay.remove(asked);
      connection.failInternally(error);
    });
  }

  /** May something be asked for under that name? If not, the socket is closed. */
  #mayName(connection: Connection, id: string): boolean {
    if (!connection.isAcknowledged) connection.closeForProtocolError(CloseCode.Unauthorized, 'Unauthorized');
    else if (id.length > MAX_ID_LENGTH) {
      connection.closeForProtocolError(CloseCode.BadRequest, `An id has more than ${MAX_ID_LENGTH} characters`);
    } else if (connection.activeOperations.findById(id) === undefined) return true;
    else connection.closeForProtocolError(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`);
    return false;
  }

  /** What is to be executed; null: the client is told why not. */
  #checked(
    connection: Connection,
    id: string,
    { query, operationName }: SubscribePayload,
    began: number,
  ): Checked | null {
    const pipeline = this.#pipeline;
    let errors: readonly GraphQLError[];
    try {
      if (connection.activeOperations.size >= this.#maxOperations) {
        this.#refusals.operationsPerSocket++;
        throw new DomainError(
          { code: 'RATE_LIMITED', retryAfterMs: RETRY_AFTER_MS },
          `At most ${this.#maxOperations} operations may be under way on one socket.`,
        );
      }
      const document = pipeline.parse(query);
      errors = pipeline.validate(document);
      if (errors.length === 0) return { document, operation: pipeline.operation(document, operationName) };
    } catch (error) {
      errors = [pipeline.toClientError(error)];
    }
    void connection.send(formatError(id, errors));
    this.#operations.recordAnswer(connection, began, null, errors);
    return null;
  }

  async #answer(
    connection: Connection,
    asked: OperationHandle,
    document: DocumentNode,
    { operationName, variables }: SubscribePayload,
    began: number,
  ): Promise<void> {
    const request = { document, operationName, variables, context: connection, outlet: asked };
    const answered = (errors?: readonly GraphQLError[]): void =>
      this.#operations.recordAnswer(connection, began, asked.operation, errors);
    // What is changed, is changed at once; its answer is short.
    const inLine = !isMutation(asked.operation);
    const { activeOperations: underWay } = connection;
    const turn = inLine ? underWay.acquireResponseSlot() : null;
    if (turn !== null) await turn;
    let stream: ResponseStream | null = null;
    try {
      if (!asked.isActive) return underWay.remove(asked);
      const result = await this.#pipeline.runOperation(request);
      if (result instanceof PushSubscription) {
        if (await this.#push(asked, result, answered)) return;
      } else if (result instanceof ResponseStream) {
        stream = result;
        answered();
      } else {
        // What failed was no sign of life by itself; its message is one.
        if ('errors' in result && isQueryOrMutation(asked.operation)) connection.recordActivity();
        // Not when it is read: how long a client takes for that is no matter of ours.
        const told = asked.sendNext(result);
        answered(result.errors);
        await told;
      }
    } finally {
      if (inLine) underWay.releaseResponseSlot();
    }
    // It has nothing to tell yet, or waits after each list until that is on its way.
    if (stream !== null) await pull(asked, stream);
    await asked.sendComplete();
  }

  /** True: the present is told, and what follows will be told by itself. */
  async #push(
    asked: OperationHandle,
    pushed: PushSubscription,
    answered: (errors?: readonly GraphQLError[]) => void,
  ): Promise<boolean> {
    if (!asked.attachSource(pushed)) return false;
    let present: ExecutionResult;
    try {
      present = await pushed.readSnapshot();
    } catch (error) {
      asked.stopSource();
      present = this.#pipeline.toErrorResult(error);
    }
    answered(present.errors);
    await asked.sendNext(present);
    return pushed.startPushing();
  }
}

const pull = async (asked: OperationHandle, stream: ResponseStream): Promise<void> => {
  if (!asked.attachSource(stream)) return;
  for (let answer = await stream.next(); answer.done !== true; answer = await stream.next()) {
    await asked.sendNext(answer.value);
  }
};
