/**
 * The server's side of graphql-transport-ws, one for all sockets: what each has said and asked for stands
 * in its connection. A subscription that pushes keeps nothing waiting: no promise, no suspended function,
 * no message, which is most of what an open one would take.
 */
import type { DocumentNode, ExecutionResult, GraphQLError } from 'graphql';
import { CloseCode, MessageType, type PingMessage, type SubscribePayload } from 'graphql-ws';
import { DomainError } from '../../core/errors.ts';
import { Asked } from './operation-handle.ts';
import type { Connection } from './connection.ts';
import type { Operation } from '../graphql/document-cache.ts';
import type { Operations } from '../metrics/operation-recorder.ts';
import { TOO_FAST, UNEXPECTED_MESSAGE } from './close-reasons.ts';
import { RETRY_AFTER_MS } from '../graphql/query-limits.ts';
import { ACK, failed, pong, readMessage } from '../wire/messages.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { Pushed } from '../graphql/push-subscription.ts';
import { rateLimited } from '../limits/rate-limiter.ts';
import type { Refusals } from '../metrics/rejection-counters.ts';
import { ResponseStream } from '../graphql/response-stream.ts';
import type { Rounds } from '../graphql/fanout-scheduler.ts';
import { isHeartbeat } from './activity-reporter.ts';
import { isLogin, isMutation, isReply } from './active-operations.ts';

const INVALID = 'Invalid message received';
/** Every answer carries the client's name for it, and it is kept as long as one may come. */
const MAX_ID_LENGTH = 1_024;

/** A document, and the one of its operations that is asked for. */
interface Checked {
  readonly document: DocumentNode;
  readonly operation: Operation;
}

export class Protocol {
  readonly #pipeline: Pipeline;
  readonly #operations: Operations;
  readonly #maxOperations: number;
  readonly #refusals: Refusals;
  readonly rounds: Rounds;

  /** @param maxOperations how many may be under way on one socket. */
  constructor(pipeline: Pipeline, operations: Operations, rounds: Rounds, maxOperations: number, refusals: Refusals) {
    this.#pipeline = pipeline;
    this.#operations = operations;
    this.rounds = rounds;
    this.#maxOperations = maxOperations;
    this.#refusals = refusals;
  }

  /** Whatever a client says is a sign of life, but an answer to a ping of ours: a frozen app's runtime may still send it. */
  hear(connection: Connection, text: string): void {
    const message = readMessage(text);
    if (message?.type === MessageType.Pong) return;
    // Before it is executed.
    if (message?.type === MessageType.Subscribe) return this.#subscribe(connection, message.id, message.payload);
    connection.sign();
    switch (message?.type) {
      case undefined:
        return connection.refuse(CloseCode.BadRequest, INVALID);
      case MessageType.Ping:
        return this.#pong(connection, message.payload);
      case MessageType.ConnectionInit:
        return void this.#init(connection, message.payload);
      case MessageType.Complete:
        return connection.underWay.named(message.id)?.leave();
      default:
        return connection.close(UNEXPECTED_MESSAGE);
    }
  }

  /**
   * It came too fast: it is not executed, and no sign of life. An operation is told when to come again; pings are
   * not answered. What ends something is done all the same: it takes work off us, and nobody could say that it was not.
   */
  refuse(connection: Connection, text: string, retryAfterMs: number): void {
    const message = readMessage(text);
    switch (message?.type) {
      case undefined:
        return connection.refuse(CloseCode.BadRequest, INVALID);
      case MessageType.Subscribe:
        // Its name may be that of another that is under way, which must not be taken for the refused one.
        if (!this.#mayName(connection, message.id)) return;
        return void connection.send(failed(message.id, [this.#pipeline.tell(rateLimited(retryAfterMs))]));
      case MessageType.ConnectionInit:
        return connection.close(TOO_FAST);
      case MessageType.Complete:
        return connection.underWay.named(message.id)?.leave();
      case MessageType.Ping:
      case MessageType.Pong:
        return;
      default:
        return connection.close(UNEXPECTED_MESSAGE);
    }
  }

  /** Who was told the present cannot be told of a change. */
  async fail(asked: Asked, error: unknown): Promise<void> {
    asked.stop();
    await asked.tell(this.#pipeline.failure(error));
    await asked.complete();
  }

  #pong(connection: Connection, payload: PingMessage['payload']): void {
    const answer = pong(payload);
    if (answer === null) connection.refuse(CloseCode.BadRequest, INVALID);
    else void connection.send(answer);
  }

  async #init(connection: Connection, params: Readonly<Record<string, unknown>> | undefined): Promise<void> {
    if (connection.isInitialised) {
      return connection.refuse(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests');
    }
    connection.isInitialised = true;
    // Whoever may not connect finds the socket closed, and is not acknowledged.
    if (!(await connection.connect(params?.['authorization'] ?? params?.['Authorization']))) return;
    connection.acknowledged();
    await connection.send(ACK);
  }

  #subscribe(connection: Connection, id: string, payload: SubscribePayload): void {
    const { underWay } = connection;
    if (!this.#mayName(connection, id)) return connection.sign();
    const began = this.#operations.begin();
    const checked = this.#checked(connection, id, payload, began);
    if (checked === null) return connection.sign();
    const { document, operation } = checked;
    // Nothing of it has been executed yet: the sign comes before it, if it is not one by itself.
    if (!isHeartbeat(operation) || underWay.has(isLogin)) connection.sign();
    if (isLogin(operation)) connection.logsIn();
    const asked = new Asked(id, operation, connection, this);
    underWay.add(asked);
    this.#answer(connection, asked, document, payload, began).catch((error: unknown) => {
      underWay.over(asked);
      connection.unanswerable(error);
    });
  }

  /** May something be asked for under that name? If not, the socket is closed. */
  #mayName(connection: Connection, id: string): boolean {
    if (!connection.isAcknowledged) connection.refuse(CloseCode.Unauthorized, 'Unauthorized');
    else if (id.length > MAX_ID_LENGTH) {
      connection.refuse(CloseCode.BadRequest, `An id has more than ${MAX_ID_LENGTH} characters`);
    } else if (connection.underWay.named(id) === undefined) return true;
    else connection.refuse(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`);
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
      if (connection.underWay.size >= this.#maxOperations) {
        this.#refusals.operations++;
        throw new DomainError(
          { code: 'RATE_LIMITED', retryAfterMs: RETRY_AFTER_MS },
          `At most ${this.#maxOperations} operations may be under way on one socket.`,
        );
      }
      const document = pipeline.parse(query);
      errors = pipeline.validate(document);
      if (errors.length === 0) return { document, operation: pipeline.operation(document, operationName) };
    } catch (error) {
      errors = [pipeline.tell(error)];
    }
    void connection.send(failed(id, errors));
    this.#operations.answered(connection, began, null, errors);
    return null;
  }

  async #answer(
    connection: Connection,
    asked: Asked,
    document: DocumentNode,
    { operationName, variables }: SubscribePayload,
    began: number,
  ): Promise<void> {
    const request = { document, operationName, variables, context: connection, outlet: asked };
    const answered = (errors?: readonly GraphQLError[]): void =>
      this.#operations.answered(connection, began, asked.operation, errors);
    // What is changed, is changed at once; its answer is short.
    const inLine = !isMutation(asked.operation);
    const { underWay } = connection;
    const turn = inLine ? underWay.toAnswer() : null;
    if (turn !== null) await turn;
    let stream: ResponseStream | null = null;
    try {
      if (!asked.isWanted) return underWay.over(asked);
      const result = await this.#pipeline.run(request);
      if (result instanceof Pushed) {
        if (await this.#push(asked, result, answered)) return;
      } else if (result instanceof ResponseStream) {
        stream = result;
        answered();
      } else {
        // What failed was no sign of life by itself; its message is one.
        if ('errors' in result && isReply(asked.operation)) connection.sign();
        // Not when it is read: how long a client takes for that is no matter of ours.
        const told = asked.tell(result);
        answered(result.errors);
        await told;
      }
    } finally {
      if (inLine) underWay.answered();
    }
    // It has nothing to tell yet, or waits after each list until that is on its way.
    if (stream !== null) await pull(asked, stream);
    await asked.complete();
  }

  /** True: the present is told, and what follows will be told by itself. */
  async #push(asked: Asked, pushed: Pushed, answered: (errors?: readonly GraphQLError[]) => void): Promise<boolean> {
    if (!asked.flows(pushed)) return false;
    let present: ExecutionResult;
    try {
      present = await pushed.present();
    } catch (error) {
      asked.stop();
      present = this.#pipeline.failure(error);
    }
    answered(present.errors);
    await asked.tell(present);
    return pushed.listen();
  }
}

const pull = async (asked: Asked, stream: ResponseStream): Promise<void> => {
  if (!asked.flows(stream)) return;
  for (let answer = await stream.next(); answer.done !== true; answer = await stream.next()) {
    await asked.tell(answer.value);
  }
};
