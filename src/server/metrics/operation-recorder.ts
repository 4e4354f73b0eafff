/** Counts, logs and traces operations of both transports when they have been answered. */
import { performance } from 'node:perf_hooks';
import type { GraphQLError } from 'graphql';
import type { Logger } from 'pino';
import type { Caller } from '../../app/auth/caller.ts';
import { isQueryOrMutation, type OperationInfo } from '../graphql/operation.ts';
import { getCallerKind, type Transport, type ServerCounters, type CallerKind } from './counters.ts';

/** Where an operation came from. */
export interface OperationOrigin {
  readonly transport: Transport;
  /** The id of the HTTP request or of the socket. */
  readonly id: string;
  readonly caller: Caller;
  /** The caller's trace context, in the format of W3C Trace Context. */
  readonly traceparent?: string | undefined;
}

/** An operation as exported to a trace collector. It holds nothing that the client chose except the selected fields. */
export interface AnsweredOperation {
  /** The operation's kind and root fields, separated by spaces. */
  readonly name: string;
  readonly transport: Transport;
  readonly caller: CallerKind;
  /** The user's pseudonym; null for a caller without a user. */
  readonly user: string | null;
  /** The distinct codes of its errors. */
  readonly codes: readonly string[];
  /** Unix time in milliseconds, with a fraction. */
  readonly startedAt: number;
  readonly durationMs: number;
  readonly traceparent: string | undefined;
}

export interface OperationTracer {
  traceOperation(operation: AnsweredOperation): void;
}

type ErrorWithCode = Pick<GraphQLError, 'extensions'>;

/** Operations that take at least this long are logged at every log level up to `warn`. */
const SLOW_MS = 1_000;

export class OperationRecorder {
  readonly #counters: ServerCounters;
  readonly #log: Logger;
  readonly #pseudonymOf: (userId: string) => string;
  readonly #logsAll: boolean;
  readonly #tracer: OperationTracer | null;

  constructor(
    counters: ServerCounters,
    log: Logger,
    pseudonymOf: (userId: string) => string,
    tracer: OperationTracer | null = null,
  ) {
    this.#tracer = tracer;
    this.#counters = counters;
    this.#log = log;
    this.#pseudonymOf = pseudonymOf;
    this.#logsAll = log.isLevelEnabled('debug');
  }

  /** Called when an operation has been read. Returns the start time to pass to `recordAnswer`. */
  startTiming(): number {
    return performance.now();
  }

  /**
   * Called when an operation has been answered, or a subscription has been started.
   * @param startedAt as returned by `startTiming`.
   * @param operation null when the request failed before an operation was selected.
   * @param errors of the answer.
   */
  recordAnswer(
    origin: OperationOrigin,
    startedAt: number,
    operation: OperationInfo | null,
    errors: readonly ErrorWithCode[] | undefined,
  ): void {
    const durationMs = performance.now() - startedAt;
    if (this.#tracer !== null) this.#traceOperation(origin, startedAt, durationMs, operation, errors);
    const counters = this.#counters.operations[origin.transport];
    counters.answered[operation === null ? 'invalid' : operation.node.operation]++;
    if (operation !== null && isQueryOrMutation(operation)) counters.durations.recordValue(durationMs);
    if (errors !== undefined) for (const error of errors) counters.errors.increment(codeOf(error));
    if (durationMs >= SLOW_MS)
      this.#log.warn(this.#logFields(origin, durationMs, operation, errors), 'An operation took 1 s or longer');
    else if (this.#logsAll) this.#log.debug(this.#logFields(origin, durationMs, operation, errors), 'operation');
  }

  #traceOperation(
    { transport, caller, traceparent }: OperationOrigin,
    startedAt: number,
    durationMs: number,
    operation: OperationInfo | null,
    errors: readonly ErrorWithCode[] = [],
  ): void {
    this.#tracer?.traceOperation({
      name: operation === null ? 'invalid' : `${operation.node.operation} ${[...operation.rootFields].join(' ')}`,
      transport,
      caller: getCallerKind(caller),
      user: caller.kind === 'app' ? this.#pseudonymOf(caller.userId) : null,
      codes: [...new Set(errors.map(codeOf))],
      startedAt: performance.timeOrigin + startedAt,
      durationMs,
      traceparent,
    });
  }

  /** Returns nothing that the client chose except the selected root fields: no document, variables or operation name. */
  #logFields(
    { transport, id, caller }: OperationOrigin,
    durationMs: number,
    operation: OperationInfo | null,
    errors: readonly ErrorWithCode[] | undefined,
  ): object {
    return {
      ...(transport === 'http' ? { requestId: id } : { socket: id }),
      caller: getCallerKind(caller),
      ...(caller.kind === 'app' ? { user: this.#pseudonymOf(caller.userId) } : {}),
      ...(operation === null ? {} : { kind: operation.node.operation, fields: [...operation.rootFields] }),
      ...(errors === undefined ? {} : { codes: [...new Set(errors.map(codeOf))] }),
      ms: Math.round(durationMs * 10) / 10,
    };
  }
}

const codeOf = ({ extensions }: ErrorWithCode): string => String(extensions['code']);
