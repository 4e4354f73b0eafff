/**
 * Results that are the same for all watchers with the same selection. Each change is executed and serialised once for
 * all of them, and the list for each watcher is assembled from these parts.
 */
import { execute, Kind, visit, type DocumentNode, type ExecutionArgs, type ExecutionResult } from 'graphql';
import type { StatusChange } from '../../core/records.ts';
import type { Operation } from './operation.ts';
import { encodeTextFrame } from '../wire/frames.ts';
import { formatNextMessageStart } from '../wire/messages.ts';
import type { FanoutScheduler, RoundCache } from './fanout-scheduler.ts';

/** The argument that does not affect the result of a change. */
const USER_IDS_ARGUMENT = 'userIds';

type Variables = Readonly<Record<string, unknown>>;

interface CachedOperation {
  /** The names of the variables that affect the result. */
  readonly variableNames: readonly string[];
  /** By the JSON of these variables. */
  readonly results: Map<string, SharedResult>;
}

type ExecuteOperation = (args: ExecutionArgs, operation: Operation) => ExecutionResult | Promise<ExecutionResult>;
type ExecuteChanges = (changes: readonly StatusChange[]) => ExecutionResult | Promise<ExecutionResult>;
type ToClientResult = (result: ExecutionResult) => ExecutionResult;

export class SharedResultCache {
  readonly #executeOperation: ExecuteOperation;
  readonly #toClientResult: ToClientResult;
  readonly #operations = new Map<Operation, CachedOperation>();

  /**
   * @param toClientResult converts the errors of a result for clients.
   * @param executeOperation computes the result of one event.
   */
  constructor(toClientResult: ToClientResult, executeOperation: ExecuteOperation = (args) => execute(args)) {
    this.#toClientResult = toClientResult;
    this.#executeOperation = executeOperation;
  }

  /** The number of distinct selections in use. */
  get size(): number {
    let size = 0;
    for (const { results } of this.#operations.values()) size += results.size;
    return size;
  }

  /** The shared result of a subscription to `statusChanges`. The caller must call `releaseResult`. */
  acquireResult(args: ExecutionArgs, operation: Operation): SharedResult {
    let cached = this.#operations.get(operation);
    if (cached === undefined) {
      cached = { variableNames: resultVariables(args.document), results: new Map() };
      this.#operations.set(operation, cached);
    }
    const variables = args.variableValues ?? {};
    const givenNames = cached.variableNames.filter((name) => Object.hasOwn(variables, name));
    const key = JSON.stringify(givenNames.map((name) => [name, variables[name]]));
    let result = cached.results.get(key);
    if (result === undefined) {
      const sharedArgs = {
        ...args,
        contextValue: NO_CALLER_CONTEXT,
        variableValues: withoutUserIds(variables, givenNames),
      };
      const executeChanges = (changes: readonly StatusChange[]) =>
        this.#executeOperation({ ...sharedArgs, rootValue: changes }, operation);
      result = new SharedResult(executeChanges, this.#toClientResult, key);
      cached.results.set(key, result);
    }
    result.useCount++;
    return result;
  }

  /** Deletes the result when its last user releases it. */
  releaseResult(result: SharedResult, operation: Operation): void {
    const results = this.#operations.get(operation)?.results;
    if (results === undefined || --result.useCount > 0) return;
    results.delete(result.key);
    if (results.size === 0) this.#operations.delete(operation);
  }
}

/** The result of one selection with one set of variables, for all of its watchers. */
export class SharedResult implements RoundCache {
  readonly key: string;
  useCount = 0;
  readonly #executeChanges: ExecuteChanges;
  readonly #toClientResult: ToClientResult;
  /** The changes of this round as JSON list items. Null for a change with errors, which is sent with its whole list. */
  readonly #items = new Map<StatusChange, string | null>();
  /** The JSON between the start of a payload and its first item. */
  #payloadStart = '';
  /** The list that was encoded last. The next watcher often needs the same. */
  #lastChanges: readonly StatusChange[] = [];
  #lastPayload = '';
  #lastId: string | null = null;
  #lastFrame: Buffer | null = null;
  #isClearScheduled = false;

  constructor(executeChanges: ExecuteChanges, toClientResult: ToClientResult, key: string) {
    this.#executeChanges = executeChanges;
    this.#toClientResult = toClientResult;
    this.key = key;
  }

  /** The result for this list of changes. @throws Error if a resolver is asynchronous. */
  execute(changes: readonly StatusChange[]): ExecutionResult {
    return this.#toClientResult(this.#executeSync(changes));
  }

  /**
   * The `next` message with these changes for the subscription `id`, as a frame that other sockets may share.
   * @throws as `execute`.
   */
  encodeNextFrame(id: string, changes: readonly StatusChange[], scheduler: FanoutScheduler): Buffer {
    const isSameList = this.#lastFrame !== null && areSameChanges(changes, this.#lastChanges);
    if (isSameList && this.#lastFrame !== null && id === this.#lastId) return this.#lastFrame;
    if (!this.#isClearScheduled) {
      this.#isClearScheduled = true;
      scheduler.clearAfterRound(this);
    }
    if (!isSameList) this.#lastPayload = this.#formatPayload(changes);
    this.#lastChanges = changes;
    this.#lastId = id;
    this.#lastFrame = encodeTextFrame(`${formatNextMessageStart(id)}${this.#lastPayload}}`);
    return this.#lastFrame;
  }

  clearRoundCache(): void {
    this.#isClearScheduled = false;
    this.#items.clear();
    this.#lastChanges = [];
    this.#lastPayload = '';
    this.#lastFrame = null;
  }

  #executeSync(changes: readonly StatusChange[]): ExecutionResult {
    const result = this.#executeChanges(changes);
    if (result instanceof Promise) throw new Error('The resolvers of a status change must be synchronous.');
    return result;
  }

  #formatPayload(changes: readonly StatusChange[]): string {
    let items = '';
    for (const change of changes) {
      const item = this.#formatItem(change);
      if (item === null) return this.#formatWholeList(changes);
      items += items === '' ? item : `,${item}`;
    }
    return items === '' ? this.#formatWholeList(changes) : this.#payloadStart + items + PAYLOAD_END;
  }

  #formatWholeList(changes: readonly StatusChange[]): string {
    return JSON.stringify(this.execute(changes));
  }

  #formatItem(change: StatusChange): string | null {
    let item = this.#items.get(change);
    if (item === undefined) {
      // An error is not converted here. It is converted, and reported, once, with its whole list.
      item = this.#extractItem(this.#executeSync([change]));
      this.#items.set(change, item);
    }
    return item;
  }

  #extractItem({ data, errors }: ExecutionResult): string | null {
    if (errors !== undefined || data == null) return null;
    const [field] = Object.entries(data);
    if (field === undefined || !Array.isArray(field[1])) return null;
    if (this.#payloadStart === '') this.#payloadStart = `{"data":{${JSON.stringify(field[0])}:[`;
    return JSON.stringify(field[1][0]);
  }
}

const PAYLOAD_END = ']}}';

const areSameChanges = (one: readonly StatusChange[], other: readonly StatusChange[]): boolean =>
  one.length === other.length && one.every((change, index) => change === other[index]);

/** A shared result has no caller. A field that reads one fails, so that no data of one caller reaches another. */
const NO_CALLER_CONTEXT: unknown = new Proxy(
  {},
  {
    get: (_target, name) => {
      throw new Error(`A field of a shared result must not depend on the caller, but it read ${String(name)}.`);
    },
  },
);

/** The variables that are used anywhere except to select the watched users. */
const resultVariables = (document: DocumentNode): readonly string[] => {
  const names = new Set<string>();
  visit(document, {
    VariableDefinition: () => false,
    Argument: (node, _key, _parent, _path, ancestors) => {
      const parent = ancestors.at(-1);
      const isOfStatusChanges =
        parent !== undefined && 'kind' in parent && parent.kind === Kind.FIELD && parent.name.value === 'statusChanges';
      return isOfStatusChanges && node.name.value === USER_IDS_ARGUMENT ? false : undefined;
    },
    Variable: ({ name }) => void names.add(name.value),
  });
  return [...names];
};

/** Empties the list of watched users. It must stay a list, or execution would fail. */
const withoutUserIds = (variables: Variables, resultVariableNames: readonly string[]): Variables =>
  Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      name,
      Array.isArray(value) && !resultVariableNames.includes(name) ? [] : value,
    ]),
  );
