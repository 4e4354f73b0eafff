/**
 * The path that every operation takes, over HTTP or WebSocket: document limits and cache, access checks, variables,
 * activity, load shedding, execution, and conversion of every error for the client.
 */
import {
  createSourceEventStream,
  getVariableValues,
  GraphQLError,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLSchema,
} from 'graphql';
import type { ApiContext, OperationRoot } from '../../api/context.ts';
import { toClientError } from '../../api/errors.ts';
import { requireIntrospectionAccess, requireAuthenticated } from '../../app/auth/caller.ts';
import { sessionEndedError } from '../../app/presence/tracker.ts';
import { StatusWatcher } from '../../app/presence/status-watchers.ts';
import { DEFAULT_RETRY_AFTER_MS, DomainError } from '../../core/errors.ts';
import type { IntrospectionAccess } from '../../core/visibility.ts';
import { DocumentCache } from './document-cache.ts';
import { DEFAULT_COMPILE_AFTER_EXECUTIONS, JitExecutor } from './jit-executor.ts';
import { watchJwtValidity } from '../auth/jwt-validity.ts';
import type { LoadShedder } from './load-shedding.ts';
import { PushSubscription, type PushTarget } from './push-subscription.ts';
import { ResponseStream } from './response-stream.ts';
import { SharedResultCache } from './shared-results.ts';
import { readOperationParams, type OperationParams } from './operation-params.ts';
import { isIntrospection, isLogin, isSessionEndedSubscription, isSubscription, type Operation } from './operation.ts';
import { VariablesError } from './variables-error.ts';

/** A parsed and validated document with the operation to execute. */
export interface PreparedOperation {
  readonly document: DocumentNode;
  readonly operation: Operation;
}

/** The errors of a request or document that cannot be executed, as the client may see them. */
export interface FailedPreparation {
  readonly errors: readonly GraphQLError[];
}

export interface OperationRequest {
  readonly variables: Readonly<Record<string, unknown>> | null | undefined;
  readonly context: ApiContext;
}

export interface PushableOperationRequest extends OperationRequest {
  /** Receives the results of a subscription that can push. Other subscriptions return a stream to pull from. */
  readonly pushTarget: PushTarget;
}

export interface PipelinePolicies {
  readonly introspection: IntrospectionAccess;
  readonly loadShedder: LoadShedder;
}

export interface PipelineLimits {
  /** Queries and mutations that run at once. Further ones are rejected with OVERLOADED. */
  readonly maxConcurrentOperations: number;
  /** Executions of an operation before it is compiled. */
  readonly compileAfterExecutions: number;
}

export type OperationResult = ExecutionResult | ResponseStream;

/**
 * Mutations that record activity themselves. `logout` is one of them because recording activity first could
 * reconnect the session that it ends.
 */
const RECORDING_OWN_ACTIVITY = ['heartbeat', 'logout', 'setCustomStatus'];
const DEFAULT_MAX_CONCURRENT_OPERATIONS = 10_000;

export class Pipeline {
  readonly schema: GraphQLSchema;
  readonly #documents: DocumentCache;
  readonly #executor: JitExecutor;
  readonly #onInternalError: (error: unknown) => void;
  readonly #introspection: IntrospectionAccess;
  readonly #loadShedder: LoadShedder;
  readonly #maxConcurrentOperations: number;
  readonly #httpStreams = new Set<ResponseStream>();
  readonly #sharedResults = new SharedResultCache(
    (result) => this.#toClientResult(result),
    (args, operation) => this.#executor.execute(args, operation),
  );
  /** Errors that are converted already. Converting one again would turn it into an internal error. */
  readonly #clientErrors = new WeakSet<GraphQLError>();
  /** The results of load-shedding errors, of which few objects serve many clients. */
  readonly #overloadResults = new WeakMap<DomainError, ExecutionResult>();
  #runningOperations = 0;

  /** @param onInternalError is called with every error that is not the client's. */
  constructor(
    schema: GraphQLSchema,
    onInternalError: (error: unknown) => void,
    { introspection, loadShedder }: PipelinePolicies,
    limits: Partial<PipelineLimits> = {},
  ) {
    this.schema = schema;
    this.#documents = new DocumentCache(schema);
    this.#executor = new JitExecutor(limits.compileAfterExecutions ?? DEFAULT_COMPILE_AFTER_EXECUTIONS);
    this.#onInternalError = onInternalError;
    this.#introspection = introspection;
    this.#loadShedder = loadShedder;
    this.#maxConcurrentOperations = limits.maxConcurrentOperations ?? DEFAULT_MAX_CONCURRENT_OPERATIONS;
  }

  /** Open subscriptions over HTTP. */
  get httpStreamCount(): number {
    return this.#httpStreams.size;
  }

  /** Distinct selections that pushed subscriptions share results for. */
  get sharedResultCount(): number {
    return this.#sharedResults.size;
  }

  /** Checks the parameters of a request, which is parsed JSON. Never throws. */
  readParams(request: unknown): OperationParams | FailedPreparation {
    try {
      return readOperationParams(request);
    } catch (error) {
      return { errors: [this.toClientError(error)] };
    }
  }

  /** Parses and validates a document, or takes it from the cache, and selects its operation. Never throws. */
  prepareOperation(source: string, operationName: string | null | undefined): PreparedOperation | FailedPreparation {
    try {
      const document = this.parseDocument(source);
      const errors = this.validateDocument(document);
      return errors.length > 0 ? { errors } : this.selectOperation(document, operationName);
    } catch (error) {
      return { errors: [this.toClientError(error)] };
    }
  }

  /** The first step of `prepareOperation`. @throws GraphQLError GRAPHQL_PARSE_FAILED. */
  parseDocument(source: string): DocumentNode {
    return this.#documents.parseDocument(source);
  }

  /** The second step of `prepareOperation`. Returns GRAPHQL_VALIDATION_FAILED errors, or none for a valid document. */
  validateDocument(document: DocumentNode): readonly GraphQLError[] {
    return this.#documents.validateDocument(document);
  }

  /**
   * The last step of `prepareOperation`.
   * @param operationName selects one of several operations; may be null for a document with a single one.
   * @throws GraphQLError OPERATION_RESOLUTION_FAILURE.
   */
  selectOperation(document: DocumentNode, operationName: string | null | undefined): PreparedOperation {
    return { document, operation: this.#documents.selectOperation(document, operationName) };
  }

  /**
   * Rejects a login under overload before authentication, because a cheap rejection leaves more time for other
   * logins. The result is the same for all callers. Only documents in the cache are checked.
   * @returns null if the operation is to be processed.
   */
  rejectBeforeAuthentication(source: string, operationName: string | null | undefined): ExecutionResult | null {
    if (!this.#loadShedder.isOverloaded) return null;
    const operation = this.#documents.findCachedOperation(source, operationName);
    if (operation === null || !isLogin(operation)) return null;
    const rejection = this.#loadShedder.getRejection(operation);
    if (rejection === null) return null;
    let result = this.#overloadResults.get(rejection);
    if (result === undefined) this.#overloadResults.set(rejection, (result = this.toErrorResult(rejection)));
    return result;
  }

  /** Never throws; errors are in the result. The caller owns a returned stream and must read it or return it. */
  runOperation(
    prepared: PreparedOperation,
    request: PushableOperationRequest,
  ): Promise<OperationResult | PushSubscription>;
  runOperation(prepared: PreparedOperation, request: OperationRequest): Promise<OperationResult>;
  async runOperation(
    { document, operation }: PreparedOperation,
    request: OperationRequest | PushableOperationRequest,
  ): Promise<OperationResult | PushSubscription> {
    try {
      const { variables, context } = request;
      // First, so that unauthenticated callers learn nothing of the schema. `__typename` stays open as a health check.
      if (isIntrospection(operation)) requireAuthenticated(context.caller);
      const args: ExecutionArgs = {
        schema: this.schema,
        document,
        rootValue: undefined,
        contextValue: context,
        variableValues: variables,
        operationName: operation.node.name?.value,
      };
      this.#checkVariables(operation, variables);
      if (isSubscription(operation)) return await this.#subscribe(args, operation, request);
      return await this.#execute(args, operation, context);
    } catch (error) {
      return this.toErrorResult(error);
    }
  }

  /** A result with this error alone. */
  toErrorResult(error: unknown): ExecutionResult {
    return { errors: [this.toClientError(error)] };
  }

  /** The error as the client may see it. */
  toClientError(error: unknown): GraphQLError {
    if (error instanceof GraphQLError && this.#clientErrors.has(error)) return error;
    const clientError = toClientError(error, this.#onInternalError);
    this.#clientErrors.add(clientError);
    return clientError;
  }

  /** Ends every subscription over HTTP with OVERLOADED, because the server shuts down. */
  endHttpStreams(): void {
    const error = new DomainError(
      { code: 'OVERLOADED', retryAfterMs: DEFAULT_RETRY_AFTER_MS },
      'The server is shutting down. Subscribe again.',
    );
    for (const stream of [...this.#httpStreams]) stream.endWithError(error);
  }

  /** Runs before everything else, so that an operation with invalid variables changes nothing and is no activity. */
  #checkVariables(operation: Operation, variables: OperationRequest['variables']): void {
    const definitions = operation.node.variableDefinitions ?? [];
    if (definitions.length === 0) return;
    const { errors } = getVariableValues(this.schema, definitions, variables ?? {}, {
      // For each error graphql prints the whole value, which takes 25 ms for an input with 40,000 fields.
      maxErrors: 1,
      hideSuggestions: true,
    });
    if (errors !== undefined && errors.length > 0) throw new VariablesError(errors);
  }

  /** Runs after the activity is recorded, since a rejected client is active too. @throws FORBIDDEN or OVERLOADED. */
  #checkAdmission(operation: Operation, { caller }: ApiContext): void {
    if (isIntrospection(operation)) requireIntrospectionAccess(caller, this.#introspection);
    const rejection = this.#loadShedder.getRejection(operation);
    if (rejection !== null) throw rejection;
  }

  async #execute(args: ExecutionArgs, operation: Operation, context: ApiContext): Promise<ExecutionResult> {
    if (this.#runningOperations >= this.#maxConcurrentOperations) {
      throw new DomainError(
        { code: 'OVERLOADED', retryAfterMs: DEFAULT_RETRY_AFTER_MS },
        'Too many operations are running. Try again later.',
      );
    }
    this.#runningOperations++;
    try {
      await recordHttpActivity(context, operation);
      this.#checkAdmission(operation, context);
      args.rootValue = { requestedUsers: 0 } satisfies OperationRoot;
      return this.#toClientResult(await this.#executor.execute(args, operation));
    } finally {
      this.#runningOperations--;
    }
  }

  async #subscribe(
    args: ExecutionArgs,
    operation: Operation,
    request: OperationRequest | PushableOperationRequest,
  ): Promise<OperationResult | PushSubscription> {
    const { context } = request;
    // A WebSocket is closed when its session ends. An HTTP stream needs a guard of its own, and it needs it before
    // the activity is recorded, so that no end of the session is missed.
    const guard = context.socket === null ? new HttpStreamGuard() : null;
    try {
      await guard?.watchCaller(context, operation);
      await recordHttpActivity(context, operation);
      this.#checkAdmission(operation, context);
      const events = await createSourceEventStream(args);
      if (!(Symbol.asyncIterator in events)) {
        guard?.stop();
        return this.#toClientResult(events);
      }
      if (events instanceof StatusWatcher && 'pushTarget' in request) {
        const sharedResult = this.#sharedResults.acquireResult(args, operation);
        return new PushSubscription(events, sharedResult, this.#sharedResults, request.pushTarget);
      }
      const stream = new ResponseStream({
        source: events[Symbol.asyncIterator](),
        toResult: async (event) =>
          this.#toClientResult(await this.#executor.execute({ ...args, rootValue: event }, operation)),
        toErrorResult: (error) => this.toErrorResult(error),
        onClosed: () => {
          guard?.stop();
          this.#httpStreams.delete(stream);
        },
      });
      if (guard !== null) {
        this.#httpStreams.add(stream);
        guard.attachStream(stream);
      }
      return stream;
    } catch (error) {
      guard?.stop();
      throw error;
    }
  }

  #toClientResult(result: ExecutionResult): ExecutionResult {
    if (result.errors === undefined) return result;
    return { ...result, errors: result.errors.map((error) => this.toClientError(error)) };
  }
}

/** Ends an HTTP stream when its session ends or its JWT expires or is revoked. */
class HttpStreamGuard {
  #stream: ResponseStream | null = null;
  /** Set if the session or the JWT ended before the stream existed. */
  #endReason: DomainError | null = null;
  #stopFunctions: (() => void)[] = [];

  async watchCaller({ caller, application }: ApiContext, operation: Operation): Promise<void> {
    if (caller.kind !== 'app') return;
    // The subscription to `sessionEnded` reports the end itself and then completes.
    if (caller.sessionId !== null && !isSessionEndedSubscription(operation)) {
      this.#stopFunctions.push(
        application.sessionEndNotifier.onSessionEnd(caller.sessionId, (ending) =>
          this.#endStream(sessionEndedError(ending)),
        ),
      );
    }
    if (caller.jwt !== null) {
      this.#stopFunctions.push(
        await watchJwtValidity(application, caller.userId, caller.jwt, (reason) => this.#endStream(reason)),
      );
    }
  }

  attachStream(stream: ResponseStream): void {
    this.#stream = stream;
    if (this.#endReason !== null) stream.endWithError(this.#endReason);
  }

  stop(): void {
    for (const stop of this.#stopFunctions) stop();
    this.#stopFunctions = [];
  }

  #endStream(reason: DomainError): void {
    this.#endReason ??= reason;
    this.#stream?.endWithError(reason);
  }
}

/** Records an HTTP operation of a session as activity. Over a WebSocket every message already is. */
const recordHttpActivity = async (context: ApiContext, { rootFields }: Operation): Promise<void> => {
  const { caller, socket, application, ipAddress } = context;
  if (socket !== null || caller.kind !== 'app' || caller.sessionId === null) return;
  if (RECORDING_OWN_ACTIVITY.some((field) => rootFields.has(field))) return;
  await application.tracker.recordActivity(
    { userId: caller.userId, sessionId: caller.sessionId },
    { socketId: null, ipAddress },
  );
};
