/**
 * What watchers who asked the same thing are told is the same: each change is executed and written once
 * for all of them, and the lists they get are put together from that.
 */
import { execute, Kind, visit, type DocumentNode, type ExecutionArgs, type ExecutionResult } from 'graphql';
import type { StatusChange } from '../../core/records.ts';
import type { Operation } from './operation.ts';
import { encodeTextFrame } from '../wire/frames.ts';
import { formatNextPrefix } from '../wire/messages.ts';
import type { RoundCache, FanoutScheduler } from './fanout-scheduler.ts';

/** The argument that makes no difference to what is told of a change. */
const WHO = 'userIds';

type Variables = Readonly<Record<string, unknown>>;

interface Asked {
  /** The variables that make a difference. */
  readonly names: readonly string[];
  /** By the values of these. */
  readonly shapes: Map<string, SharedResult>;
}

type Answer = (args: ExecutionArgs, operation: Operation) => ExecutionResult | Promise<ExecutionResult>;

export class SharedResultCache {
  readonly #answer: Answer;
  readonly #told: (result: ExecutionResult) => ExecutionResult;
  readonly #asked = new Map<Operation, Asked>();

  /** @param told what clients are told of a result. @param answer makes the answer to one event. */
  constructor(told: (result: ExecutionResult) => ExecutionResult, answer: Answer = (args) => execute(args)) {
    this.#told = told;
    this.#answer = answer;
  }

  /** How many there are. */
  get size(): number {
    let size = 0;
    for (const { shapes } of this.#asked.values()) size += shapes.size;
    return size;
  }

  /** The shape of a subscription to `statusChanges`, to be given back with `release`. */
  acquire(args: ExecutionArgs, operation: Operation): SharedResult {
    let asked = this.#asked.get(operation);
    if (asked === undefined) {
      asked = { names: variablesOf(args.document), shapes: new Map() };
      this.#asked.set(operation, asked);
    }
    const variables = args.variableValues ?? {};
    const given = asked.names.filter((name) => Object.hasOwn(variables, name));
    const key = JSON.stringify(given.map((name) => [name, variables[name]]));
    let shape = asked.shapes.get(key);
    if (shape === undefined) {
      const shared = { ...args, contextValue: NOBODYS, variableValues: withoutWho(variables, given) };
      const answer = (event: readonly StatusChange[]) => this.#answer({ ...shared, rootValue: event }, operation);
      shape = new SharedResult(answer, this.#told, key);
      asked.shapes.set(key, shape);
    }
    shape.useCount++;
    return shape;
  }

  release(shape: SharedResult, operation: Operation): void {
    const shapes = this.#asked.get(operation)?.shapes;
    if (shapes === undefined || --shape.useCount > 0) return;
    shapes.delete(shape.key);
    if (shapes.size === 0) this.#asked.delete(operation);
  }
}

export class SharedResult implements RoundCache {
  readonly key: string;
  useCount = 0;
  readonly #answer: (event: readonly StatusChange[]) => ExecutionResult | Promise<ExecutionResult>;
  readonly #told: (execute: ExecutionResult) => ExecutionResult;
  /** The changes of this round as members of a list; null: one that went wrong is told in full. */
  readonly #members = new Map<StatusChange, string | null>();
  /** What stands between the head of a message and the members. */
  #before = '';
  /** The list that was made last, for whom next is told the same. */
  #lastChanges: readonly StatusChange[] = [];
  #lastPayload = '';
  #lastId: string | null = null;
  #lastFrame: Buffer | null = null;
  #isKept = false;

  constructor(
    answer: (event: readonly StatusChange[]) => ExecutionResult | Promise<ExecutionResult>,
    told: (result: ExecutionResult) => ExecutionResult,
    key: string,
  ) {
    this.#answer = answer;
    this.#told = told;
    this.key = key;
  }

  /** What a watcher is told of this list. @throws Error where a resolver would have to be waited for. */
  result(changes: readonly StatusChange[]): ExecutionResult {
    return this.#told(this.#executed(changes));
  }

  /** The message that tells this list to the subscription `id`, as a frame that others may share. @throws as `result`. */
  encodeFrame(id: string, changes: readonly StatusChange[], rounds: FanoutScheduler): Buffer {
    const isSameList = this.#lastFrame !== null && isSame(changes, this.#lastChanges);
    if (isSameList && this.#lastFrame !== null && id === this.#lastId) return this.#lastFrame;
    if (!this.#isKept) {
      this.#isKept = true;
      rounds.clearAfterRound(this);
    }
    if (!isSameList) this.#lastPayload = this.#payload(changes);
    this.#lastChanges = changes;
    this.#lastId = id;
    this.#lastFrame = encodeTextFrame(`${formatNextPrefix(id)}${this.#lastPayload}}`);
    return this.#lastFrame;
  }

  clearRoundCache(): void {
    this.#isKept = false;
    this.#members.clear();
    this.#lastChanges = [];
    this.#lastPayload = '';
    this.#lastFrame = null;
  }

  #executed(changes: readonly StatusChange[]): ExecutionResult {
    const result = this.#answer(changes);
    if (result instanceof Promise) throw new Error('What is told of a change must be there at once.');
    return result;
  }

  #payload(changes: readonly StatusChange[]): string {
    let members = '';
    for (const change of changes) {
      const member = this.#member(change);
      if (member === null) return this.#inFull(changes);
      members += members === '' ? member : `,${member}`;
    }
    return members === '' ? this.#inFull(changes) : this.#before + members + AFTER;
  }

  #inFull(changes: readonly StatusChange[]): string {
    return JSON.stringify(this.result(changes));
  }

  #member(change: StatusChange): string | null {
    let member = this.#members.get(change);
    if (member === undefined) {
      // What is wrong with it is told, and reported, with the list that it is in, once.
      member = this.#cutOut(this.#executed([change]));
      this.#members.set(change, member);
    }
    return member;
  }

  #cutOut({ data, errors }: ExecutionResult): string | null {
    if (errors !== undefined || data == null) return null;
    const [field] = Object.entries(data);
    if (field === undefined || !Array.isArray(field[1])) return null;
    if (this.#before === '') this.#before = `{"data":{${JSON.stringify(field[0])}:[`;
    return JSON.stringify(field[1][0]);
  }
}

const AFTER = ']}}';

const isSame = (one: readonly StatusChange[], other: readonly StatusChange[]): boolean =>
  one.length === other.length && one.every((change, index) => change === other[index]);

/** Where one answer is for many there is no caller: a field that asks for one fails, rather than tell it to the others. */
const NOBODYS: unknown = new Proxy(
  {},
  {
    get: (_target, name) => {
      throw new Error(`A field of what all watchers are told depends on the caller: ${String(name)}.`);
    },
  },
);

/** The variables used anywhere but in saying who is watched. */
const variablesOf = (document: DocumentNode): readonly string[] => {
  const names = new Set<string>();
  visit(document, {
    VariableDefinition: () => false,
    Argument: (node, _key, _parent, _path, ancestors) => {
      const of = ancestors.at(-1);
      const isOfField = of !== undefined && 'kind' in of && of.kind === Kind.FIELD && of.name.value === 'statusChanges';
      return isOfField && node.name.value === WHO ? false : undefined;
    },
    Variable: ({ name }) => void names.add(name.value),
  });
  return [...names];
};

/** Who is watched must be some list, or it would not be executed. */
const withoutWho = (variables: Variables, different: readonly string[]): Variables =>
  Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      name,
      Array.isArray(value) && !different.includes(name) ? [] : value,
    ]),
  );
