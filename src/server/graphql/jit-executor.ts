/**
 * Executes validated operations. New operations run in graphql's interpreter; repeated ones are compiled, which makes
 * heartbeats and lists of 500 users cheap.
 */
import {
  BREAK,
  execute,
  GraphQLError,
  Kind,
  visit,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
} from 'graphql';
import { compileQuery, isCompiledQuery, type CompiledQuery } from 'graphql-jit';
import type { Operation } from './operation.ts';

interface CompiledOperation {
  readonly query: CompiledQuery['query'];
  /** Variables that the compiled query would treat as null if they were omitted. */
  readonly requiredVariables: readonly string[];
}

/** Compiling costs about as much as a hundred executions, so operations that run a few times are not compiled. */
export const DEFAULT_COMPILE_AFTER_EXECUTIONS = 20;

export class JitExecutor {
  readonly #compileAfter: number;
  /** Executions so far, then the compiled operation, or null if it cannot be compiled. */
  readonly #operations = new WeakMap<Operation, number | CompiledOperation | null>();

  /** @param compileAfter executions of an operation before it is compiled. Infinity disables compilation. */
  constructor(compileAfter = DEFAULT_COMPILE_AFTER_EXECUTIONS) {
    this.#compileAfter = compileAfter;
  }

  /**
   * Like graphql's `execute`. The document and the variables must be valid. For a subscription it computes the
   * result of one event, given as `rootValue`. Returns a promise only if a resolver does.
   */
  execute(args: ExecutionArgs, operation: Operation): ExecutionResult | Promise<ExecutionResult> {
    const compiled = this.#getCompiled(args, operation);
    if (compiled === null || !hasAll(args.variableValues ?? {}, compiled.requiredVariables)) return execute(args);
    const result = compiled.query(args.rootValue, args.contextValue, args.variableValues);
    return result instanceof Promise
      ? result.then((awaited) => toGraphqlResult(awaited, args))
      : toGraphqlResult(result, args);
  }

  #getCompiled({ schema, document }: ExecutionArgs, operation: Operation): CompiledOperation | null {
    const state = this.#operations.get(operation) ?? 0;
    if (typeof state !== 'number') return state;
    if (state < this.#compileAfter) {
      this.#operations.set(operation, state + 1);
      return null;
    }
    const result = isCompilable(document) ? compileQuery(schema, document, operation.node.name?.value) : null;
    const isCompiled = result !== null && isCompiledQuery(result);
    const compiled = isCompiled ? { query: result.query, requiredVariables: inputFieldVariables(document) } : null;
    this.#operations.set(operation, compiled);
    return compiled;
  }
}

/**
 * graphql-jit keeps variables and results in plain objects, where names such as `__proto__` or `constructor` already
 * have a meaning. It also requires non-null variables that have a default. graphql's interpreter does neither.
 */
const isCompilable = (document: DocumentNode): boolean => {
  let compilable = true;
  const check = (isUnsupported: boolean): unknown => {
    compilable = !isUnsupported;
    return isUnsupported ? BREAK : undefined;
  };
  visit(document, {
    Name: ({ value }) => check(value in Object.prototype),
    VariableDefinition: ({ type, defaultValue }) =>
      check(type.kind === Kind.NON_NULL_TYPE && defaultValue !== undefined),
  });
  return compilable;
};

/** The variables used as values of input fields. Only there can an omitted variable differ from null. */
const inputFieldVariables = (document: DocumentNode): readonly string[] => {
  const names = new Set<string>();
  visit(document, {
    ObjectField: ({ value }) => {
      if (value.kind === Kind.VARIABLE) names.add(value.name.value);
    },
  });
  return [...names];
};

const hasAll = (variables: object, names: readonly string[]): boolean =>
  names.every((name) => Object.hasOwn(variables, name));

const toGraphqlResult = (result: ExecutionResult, { document }: ExecutionArgs): ExecutionResult =>
  result.errors === undefined ? result : { ...result, errors: result.errors.map(withSourcePosition(document)) };

/** graphql-jit reports only line and column. With the position in the source, errors equal those of the interpreter. */
const withSourcePosition =
  ({ loc }: DocumentNode) =>
  (error: GraphQLError): GraphQLError =>
    new GraphQLError(error.message, {
      source: loc?.source ?? null,
      positions: (loc && error.locations?.map(({ line, column }) => offsetOf(loc.source.body, line, column))) ?? null,
      path: error.path ?? null,
      originalError: error.originalError ?? null,
    });

const offsetOf = (body: string, line: number, column: number): number => {
  const lineBreak = /\r\n|[\n\r]/g;
  for (let skipped = 1; skipped < line; skipped++) lineBreak.exec(body);
  return lineBreak.lastIndex + column - 1;
};
