/** What is known of an operation once it is answered, whichever door it came through: it is counted and logged here. */
import { performance } from 'node:perf_hooks';
import type { GraphQLError } from 'graphql';
import type { Logger } from 'pino';
import type { Caller } from '../../app/auth/caller.ts';
import { isQueryOrMutation, type OperationInfo } from '../graphql/operation.ts';
import { callerKindOf, type Transport, type ServerCounters, type CallerKind } from './counters.ts';

/** The way an operation came. */
export interface OperationOrigin {
  readonly transport: Transport;
  /** Of the request, or of the socket. */
  readonly id: string;
  readonly caller: Caller;
  /** What the caller says of the trace that this is part of, as W3C Trace Context has it. */
  readonly traceparent?: string | undefined;
}

/** An operation as it may be told to others: nothing that the client chose but what it asks for. */
export interface AnsweredOperation {
  /** Its kind and its root fields. */
  readonly name: string;
  readonly transport: Transport;
  readonly caller: CallerKind;
  /** What the user is called; null: there is none. */
  readonly user: string | null;
  /** Of its errors. */
  readonly codes: readonly string[];
  /** Milliseconds since 1970, with their fraction. */
  readonly startedAt: number;
  readonly durationMs: number;
  readonly traceparent: string | undefined;
}

export interface OperationTracer {
  traceOperation(operation: AnsweredOperation): void;
}

/** Of an error no more is looked at than its code. */
type ErrorWithCode = Pick<GraphQLError, 'extensions'>;

/** What takes longer is worth a line of its own, whatever is logged else. */
const SLOW_MS = 1_000;

export class OperationRecorder {
  readonly #counts: ServerCounters;
  readonly #log: Logger;
  readonly #nameOf: (userId: string) => string;
  readonly #logsAll: boolean;
  readonly #tracer: OperationTracer | null;

  constructor(
    counts: ServerCounters,
    log: Logger,
    nameOf: (userId: string) => string,
    tracer: OperationTracer | null = null,
  ) {
    this.#tracer = tracer;
    this.#counts = counts;
    this.#log = log;
    this.#nameOf = nameOf;
    this.#logsAll = log.isLevelEnabled('debug');
  }

  /** An operation is read. @returns the moment, for `answered`. */
  startTiming(): number {
    return performance.now();
  }

  /**
   * It is answered; a subscription has begun.
   * @param operation null: it never came so far that one could be told.
   * @param errors those of the answer.
   */
  recordAnswer(
    way: OperationOrigin,
    began: number,
    operation: OperationInfo | null,
    errors: readonly ErrorWithCode[] | undefined,
  ): void {
    const tookMs = performance.now() - began;
    if (this.#tracer !== null) this.#trace(way, began, tookMs, operation, errors);
    const counts = this.#counts.operations[way.transport];
    counts.answered[operation === null ? 'invalid' : operation.node.operation]++;
    if (operation !== null && isQueryOrMutation(operation)) counts.durations.recordValue(tookMs);
    if (errors !== undefined) for (const error of errors) counts.errors.increment(codeOf(error));
    if (tookMs >= SLOW_MS) this.#log.warn(this.#fields(way, tookMs, operation, errors), 'An operation was slow.');
    else if (this.#logsAll) this.#log.debug(this.#fields(way, tookMs, operation, errors), 'operation');
  }

  #trace(
    { transport: door, caller, traceparent }: OperationOrigin,
    began: number,
    tookMs: number,
    operation: OperationInfo | null,
    errors: readonly ErrorWithCode[] = [],
  ): void {
    this.#tracer?.traceOperation({
      name: operation === null ? 'invalid' : `${operation.node.operation} ${[...operation.rootFields].join(' ')}`,
      transport: door,
      caller: callerKindOf(caller),
      user: caller.kind === 'app' ? this.#nameOf(caller.userId) : null,
      codes: [...new Set(errors.map(codeOf))],
      startedAt: performance.timeOrigin + began,
      durationMs: tookMs,
      traceparent,
    });
  }

  /** Nothing that the client chose but what it asks for: no document, no variables, no name of the operation. */
  #fields(
    { transport: door, id, caller }: OperationOrigin,
    tookMs: number,
    operation: OperationInfo | null,
    errors: readonly ErrorWithCode[] | undefined,
  ): object {
    return {
      ...(door === 'http' ? { requestId: id } : { link: id }),
      caller: callerKindOf(caller),
      ...(caller.kind === 'app' ? { user: this.#nameOf(caller.userId) } : {}),
      ...(operation === null ? {} : { kind: operation.node.operation, fields: [...operation.rootFields] }),
      ...(errors === undefined ? {} : { codes: [...new Set(errors.map(codeOf))] }),
      ms: Math.round(tookMs * 10) / 10,
    };
  }
}

const codeOf = ({ extensions }: ErrorWithCode): string => String(extensions['code']);
