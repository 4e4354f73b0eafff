/**
 * Executes checked operations: those seen for the first time as graphql itself does it, those that come
 * again and again compiled, which is what makes a heartbeat and a list of 500 users cheap.
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

interface Compiled {
  readonly query: CompiledQuery['query'];
  /** Compiled, it takes these for null where they are left out. */
  readonly needed: readonly string[];
}

/** Compiling costs as much as some hundred executions: a document that is used once or twice is not worth it. */
export const COMPILE_AFTER = 20;

export class JitExecutor {
  readonly #compileAfter: number;
  /** How often each operation was executed, until it is compiled. Null: it cannot be. */
  readonly #known = new WeakMap<Operation, number | Compiled | null>();

  /** @param compileAfter executions of an operation before it is compiled; Infinity: never. */
  constructor(compileAfter = COMPILE_AFTER) {
    this.#compileAfter = compileAfter;
  }

  /**
   * As graphql's `execute`, for an operation whose document and variables were checked; for a subscription
   * it makes the answer to one event. Answers at once where no resolver has to be waited for.
   */
  execute(args: ExecutionArgs, operation: Operation): ExecutionResult | Promise<ExecutionResult> {
    const compiled = this.#compiled(args, operation);
    if (compiled === null || !hasAll(args.variableValues ?? {}, compiled.needed)) return execute(args);
    const result = compiled.query(args.rootValue, args.contextValue, args.variableValues);
    return result instanceof Promise ? result.then((late) => told(late, args)) : told(result, args);
  }

  #compiled({ schema, document }: ExecutionArgs, operation: Operation): Compiled | null {
    const known = this.#known.get(operation) ?? 0;
    if (typeof known !== 'number') return known;
    if (known < this.#compileAfter) {
      this.#known.set(operation, known + 1);
      return null;
    }
    const result = mayBeCompiled(document) ? compileQuery(schema, document, operation.node.name?.value) : null;
    const isCompiled = result !== null && isCompiledQuery(result);
    const compiled = isCompiled ? { query: result.query, needed: fieldVariables(document) } : null;
    this.#known.set(operation, compiled);
    return compiled;
  }
}

/**
 * What is compiled keeps variables and answers in plain objects, where a name such as `__proto__` or `constructor`
 * means something already; and it asks for a variable that must not be null though it has a default. graphql itself
 * does neither.
 */
const mayBeCompiled = (document: DocumentNode): boolean => {
  let may = true;
  const found = (isOdd: boolean): unknown => {
    may = !isOdd;
    return isOdd ? BREAK : undefined;
  };
  visit(document, {
    Name: ({ value }) => found(value in Object.prototype),
    VariableDefinition: ({ type, defaultValue }) =>
      found(type.kind === Kind.NON_NULL_TYPE && defaultValue !== undefined),
  });
  return may;
};

/** Those that stand for a field of an input: there, unlike anywhere else, leaving it out may mean another thing than null. */
const fieldVariables = (document: DocumentNode): readonly string[] => {
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

const told = (result: ExecutionResult, { document }: ExecutionArgs): ExecutionResult =>
  result.errors === undefined ? result : { ...result, errors: result.errors.map(asOfGraphql(document)) };

/** Its errors say where they are as line and column only: given the place in the source, they are told like all others. */
const asOfGraphql =
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
  for (let passed = 1; passed < line; passed++) lineBreak.exec(body);
  return lineBreak.lastIndex + column - 1;
};
