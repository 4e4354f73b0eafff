/**
 * The way every operation goes, whichever door it came through: limits, cached document, access of
 * nobody, variables, sign of life, execution, and every error made fit to be told.
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
import { requireMayIntrospect, requireSomebody } from '../../app/auth/caller.ts';
import { sessionEnded } from '../../app/presence/tracker.ts';
import { Watcher } from '../../app/presence/status-watchers.ts';
import { DomainError } from '../../core/errors.ts';
import type { Introspection } from '../../core/visibility.ts';
import { DocumentCache } from './document-cache.ts';
import { COMPILE_AFTER, JitExecutor } from './jit-executor.ts';
import { watchJwtValidity } from '../auth/jwt-expiry.ts';
import type { LoadShedder } from './load-shedding.ts';
import { PushSubscription, type PushTarget } from './push-subscription.ts';
import { ResponseStream } from './response-stream.ts';
import { SharedResultCache } from './shared-results.ts';
import { isIntrospection, isLogin, isSessionEndedSubscription, isSubscription, type Operation } from './operation.ts';
import { VariablesError } from './variables-error.ts';

export interface OperationRequest {
  /** From `parse`, and found right by `validate`. */
  readonly document: DocumentNode;
  readonly operationName: string | null | undefined;
  readonly variables: Readonly<Record<string, unknown>> | null | undefined;
  readonly context: ApiContext;
}

export interface PushableRequest extends OperationRequest {
  /** Where a subscription may push; without it all is pulled. */
  readonly pushTarget: PushTarget;
}

export interface PipelinePolicies {
  readonly introspection: Introspection;
  readonly loadShedder: LoadShedder;
}

export interface PipelineLimits {
  readonly maxConcurrentOperations: number;
  readonly compileAfter: number;
}

export type OperationResult = ExecutionResult | ResponseStream;

/** Mutations that are signs of life by themselves; and before a `logout` there must be no RECONNECT. */
const OWN_SIGNS_OF_LIFE = ['heartbeat', 'logout', 'setCustomStatus'];
const RETRY_AFTER_MS = 1_000;
const MAX_RUNNING = 10_000;

export class Pipeline {
  readonly schema: GraphQLSchema;
  readonly #documents: DocumentCache;
  readonly #execution: JitExecutor;
  readonly #onFault: (error: unknown) => void;
  readonly #introspection: Introspection;
  readonly #overload: LoadShedder;
  readonly #maxRunning: number;
  readonly #streams = new Set<ResponseStream>();
  readonly #shapes = new SharedResultCache(
    (result) => this.#toldResult(result),
    (args, selectOperation) => this.#execution.execute(args, selectOperation),
  );
  /** Told already: telling it twice would make a stranger of it. */
  readonly #told = new WeakSet<GraphQLError>();
  /** Few errors, told to very many. */
  readonly #refusals = new WeakMap<DomainError, ExecutionResult>();
  #running = 0;

  /**
   * @param onFault hears of every error that is our own.
   * @param limits.maxRunning queries and mutations at once; more are refused, so that those under way end.
   * @param limits.compileAfter executions of an operation before it is compiled.
   */
  constructor(
    schema: GraphQLSchema,
    onFault: (error: unknown) => void,
    { introspection, loadShedder: overload }: PipelinePolicies,
    limits: Partial<PipelineLimits> = {},
  ) {
    this.schema = schema;
    this.#documents = new DocumentCache(schema);
    this.#execution = new JitExecutor(limits.compileAfter ?? COMPILE_AFTER);
    this.#onFault = onFault;
    this.#introspection = introspection;
    this.#overload = overload;
    this.#maxRunning = limits.maxConcurrentOperations ?? MAX_RUNNING;
  }

  /** How many subscriptions are served over HTTP. */
  get httpStreamCount(): number {
    return this.#streams.size;
  }

  /** How many different things are asked for by those who are pushed changes. */
  get sharedResultCount(): number {
    return this.#shapes.size;
  }

  /** @throws GraphQLError, GRAPHQL_PARSE_FAILED. */
  parse(source: string): DocumentNode {
    return this.#documents.parse(source);
  }

  validate(document: DocumentNode): readonly GraphQLError[] {
    return this.#documents.validate(document);
  }

  /** @throws GraphQLError, OPERATION_RESOLUTION_FAILURE. */
  operation(document: DocumentNode, name: string | null | undefined): Operation {
    return this.#documents.selectOperation(document, name);
  }

  /**
   * The answer to a login that has to wait, told from a text that is known: the less a refusal costs, the
   * more logins are left time for. It is the same for everybody, so that nobody need be authenticated.
   * @returns null when the operation is to be heard.
   */
  rejectBeforeAuthentication(source: string, name: string | null | undefined): ExecutionResult | null {
    if (!this.#overload.isOverloaded) return null;
    const operation = this.#documents.known(source, name);
    if (operation === null || !isLogin(operation)) return null;
    const refusal = this.#overload.rejectionFor(operation);
    if (refusal === null) return null;
    let told = this.#refusals.get(refusal);
    if (told === undefined) this.#refusals.set(refusal, (told = this.toErrorResult(refusal)));
    return told;
  }

  /** Never throws: what is wrong is in the result. A stream belongs to whoever gets it, to be read or returned. */
  runOperation(request: PushableRequest): Promise<OperationResult | PushSubscription>;
  runOperation(request: OperationRequest): Promise<OperationResult>;
  async runOperation(request: OperationRequest | PushableRequest): Promise<OperationResult | PushSubscription> {
    try {
      const { document, operationName, variables, context } = request;
      const operation = this.operation(document, operationName);
      // Before anything else is told: nobody learns what there is to ask; `__typename` alone is free, as a health check.
      if (isIntrospection(operation)) requireSomebody(context.caller);
      const args: ExecutionArgs = {
        schema: this.schema,
        document,
        rootValue: undefined,
        contextValue: context,
        variableValues: variables,
        operationName,
      };
      this.#checkVariables(operation, variables);
      if (isSubscription(operation)) {
        return await this.#subscribe(args, operation, request);
      }
      return await this.#execute(args, operation, context);
    } catch (error) {
      return this.toErrorResult(error);
    }
  }

  /** A result that tells this error and nothing else. */
  toErrorResult(error: unknown): ExecutionResult {
    return { errors: [this.toClientError(error)] };
  }

  /** The error as its client may see it. */
  toClientError(error: unknown): GraphQLError {
    if (error instanceof GraphQLError && this.#told.has(error)) return error;
    const told = toClientError(error, this.#onFault);
    this.#told.add(told);
    return told;
  }

  /** Ends every subscription that is served over HTTP: the server is going down. */
  endHttpStreams(): void {
    const error = new DomainError(
      { code: 'OVERLOADED', retryAfterMs: RETRY_AFTER_MS },
      'The server is going down. Subscribe again.',
    );
    for (const stream of [...this.#streams]) stream.endWithError(error);
  }

  /** Beforehand, so that variables which do not fit change nothing, not even the sign of life. */
  #checkVariables(operation: Operation, variables: OperationRequest['variables']): void {
    const definitions = operation.node.variableDefinitions ?? [];
    if (definitions.length === 0) return;
    const { errors } = getVariableValues(this.schema, definitions, variables ?? {}, {
      maxErrors: 10,
      hideSuggestions: true,
    });
    if (errors !== undefined && errors.length > 0) throw new VariablesError(errors);
  }

  /** After the sign of life: whoever is refused is there all the same. @throws FORBIDDEN or OVERLOADED. */
  #admit(operation: Operation, { caller }: ApiContext): void {
    if (isIntrospection(operation)) requireMayIntrospect(caller, this.#introspection);
    const refusal = this.#overload.rejectionFor(operation);
    if (refusal !== null) throw refusal;
  }

  async #execute(args: ExecutionArgs, operation: Operation, context: ApiContext): Promise<ExecutionResult> {
    if (this.#running >= this.#maxRunning) {
      throw new DomainError({ code: 'OVERLOADED', retryAfterMs: RETRY_AFTER_MS }, 'Too much is asked at once.');
    }
    this.#running++;
    try {
      await signOfLife(context, operation);
      this.#admit(operation, context);
      args.rootValue = { requestedUsers: 0 } satisfies OperationRoot;
      return this.#toldResult(await this.#execution.execute(args, operation));
    } finally {
      this.#running--;
    }
  }

  async #subscribe(
    args: ExecutionArgs,
    operation: Operation,
    request: OperationRequest | PushableRequest,
  ): Promise<OperationResult | PushSubscription> {
    const { context } = request;
    // A socket is closed when what opened it is over; a stream over HTTP has to be watched by itself,
    // and from before its sign of life, so that no end of it is missed.
    const watch = context.socket === null ? new StreamWatch() : null;
    try {
      await watch?.start(context, operation);
      await signOfLife(context, operation);
      this.#admit(operation, context);
      const events = await createSourceEventStream(args);
      if (!(Symbol.asyncIterator in events)) {
        watch?.stop();
        return this.#toldResult(events);
      }
      if (events instanceof Watcher && 'outlet' in request) {
        return new PushSubscription(events, this.#shapes.acquire(args, operation), this.#shapes, request.pushTarget);
      }
      const stream = new ResponseStream({
        source: events[Symbol.asyncIterator](),
        toResult: async (event) =>
          this.#toldResult(await this.#execution.execute({ ...args, rootValue: event }, operation)),
        toErrorResult: (error) => this.toErrorResult(error),
        onClosed: () => {
          watch?.stop();
          this.#streams.delete(stream);
        },
      });
      if (watch !== null) {
        this.#streams.add(stream);
        watch.serve(stream);
      }
      return stream;
    } catch (error) {
      watch?.stop();
      throw error;
    }
  }

  #toldResult(result: ExecutionResult): ExecutionResult {
    return result.errors === undefined
      ? result
      : { ...result, errors: result.errors.map((error) => this.toClientError(error)) };
  }
}

/** Ends a stream over HTTP when its session has ended or its JWT is over. */
class StreamWatch {
  #stream: ResponseStream | null = null;
  #over: DomainError | null = null;
  #stops: (() => void)[] = [];

  async start({ caller, application: porchlight }: ApiContext, operation: Operation): Promise<void> {
    if (caller.kind !== 'app') return;
    // That subscription tells the end of the session itself, and is complete then.
    if (caller.sessionId !== null && !isSessionEndedSubscription(operation)) {
      this.#stops.push(porchlight.endings.onEnd(caller.sessionId, (ending) => this.#end(sessionEnded(ending))));
    }
    if (caller.jwt !== null) {
      this.#stops.push(await watchJwtValidity(porchlight, caller.userId, caller.jwt, (why) => this.#end(why)));
    }
  }

  serve(stream: ResponseStream): void {
    this.#stream = stream;
    if (this.#over !== null) stream.endWithError(this.#over);
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  #end(why: DomainError): void {
    this.#over ??= why;
    this.#stream?.endWithError(why);
  }
}

/** Over HTTP an operation of a session is its sign of life. Over a socket every message is one already. */
const signOfLife = async (context: ApiContext, { rootFields }: Operation): Promise<void> => {
  const { caller, socket: link, application: porchlight, ipAddress } = context;
  if (link !== null || caller.kind !== 'app' || caller.sessionId === null) return;
  if (OWN_SIGNS_OF_LIFE.some((field) => rootFields.has(field))) return;
  await porchlight.tracker.life({ userId: caller.userId, sessionId: caller.sessionId }, { link: null, ipAddress });
};
