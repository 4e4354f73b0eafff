/** Which results watchers share, and which they never share. */
import { buildSchema, execute, type ExecutionArgs, type ExecutionResult } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../../../src/api/schema.ts';
import { toMillis, parseUserId } from '../../../../src/core/ids.ts';
import type { StatusChange } from '../../../../src/core/records.ts';
import { DocumentCache } from '../../../../src/server/graphql/document-cache.ts';
import { FanoutScheduler } from '../../../../src/server/graphql/fanout-scheduler.ts';
import { SharedResultCache } from '../../../../src/server/graphql/shared-results.ts';
import { decodeMessages } from '../../../integration/server/support/fake-tcp-stream.ts';

const scheduler = new FanoutScheduler();
const keepResult = (result: ExecutionResult) => result;

const change = (user: string, version = 1): StatusChange => ({
  userId: parseUserId(user),
  status: 'ONLINE',
  version,
  previousStatus: 'OFFLINE',
  reason: 'LOGIN',
  platform: 'WEB',
  changedAt: toMillis(1_700_000_000_000),
  lastSeenAt: toMillis(1_700_000_000_000),
  customStatus: 'é "quoted" \u{1F600}',
});

const QUERY = `subscription A($ids: [ID!]!, $x: Boolean = true) { all: statusChanges(userIds: $ids) { version @include(if: $x) userId } }
  subscription B($ids: [ID!]!) { statusChanges(userIds: $ids) { ...F } } fragment F on StatusChange { customStatus }`;

const prepareDocument = (source = QUERY, of = schema) => {
  const documents = new DocumentCache(of);
  const document = documents.parseDocument(source);
  expect(documents.validateDocument(document)).toEqual([]);
  return (variables: Record<string, unknown>, operationName: string | null = null) => {
    const args: ExecutionArgs = { schema: of, document, operationName, variableValues: variables };
    return [args, documents.selectOperation(document, operationName)] as const;
  };
};

describe('SharedResult', () => {
  test('is shared by equal selections and variables, whichever users are watched', () => {
    const cache = new SharedResultCache(keepResult);
    const prepare = prepareDocument();
    const shared = cache.acquireResult(...prepare({ ids: ['a'] }, 'A'));
    expect(cache.acquireResult(...prepare({ ids: ['b', 'c'] }, 'A'))).toBe(shared);
    const others = [
      cache.acquireResult(...prepare({ ids: ['a'] }, 'B')),
      cache.acquireResult(...prepare({ ids: ['a'], x: true }, 'A')),
      cache.acquireResult(...prepare({ ids: ['a'], x: false }, 'A')),
      cache.acquireResult(...prepareDocument(`${QUERY} #`)({ ids: ['a'] }, 'A')),
    ];
    expect(new Set([shared, ...others]).size).toBe(5);
    expect(cache.size).toBe(5);
  });

  test('stays in the cache until its last user releases it', () => {
    const cache = new SharedResultCache(keepResult);
    const prepare = prepareDocument();
    const [one, other] = [prepare({ ids: ['a'] }, 'A'), prepare({ ids: ['b'] }, 'A')];
    const shared = cache.acquireResult(...one);
    cache.acquireResult(...other);
    cache.releaseResult(shared, one[1]);
    expect(cache.size).toBe(1);
    cache.releaseResult(shared, other[1]);
    expect(cache.size).toBe(0);
    cache.releaseResult(shared, other[1]);
    expect(cache.acquireResult(...one)).not.toBe(shared);
  });

  test('encodes a list of changes exactly as an execution of the whole list would', () => {
    const cache = new SharedResultCache(keepResult);
    const prepare = prepareDocument();
    const changes = [change('a'), change('b', 2), change('"c"', 3)];
    for (const [name, x] of [
      ['A', true],
      ['A', false],
      ['B', true],
    ] as const) {
      const shared = cache.acquireResult(...prepare({ ids: ['a'], ...(name === 'A' ? { x } : {}) }, name));
      for (const list of [changes, changes.slice(1), []]) {
        const [message = ''] = decodeMessages(shared.encodeNextFrame('id "1"', list, scheduler));
        expect(JSON.parse(message)).toEqual({ id: 'id "1"', type: 'next', payload: shared.execute(list) });
      }
    }
  });

  test('executes a change once per round and reuses the frame for the same list and id', () => {
    let executions = 0;
    const cache = new SharedResultCache(keepResult, (args) => (executions++, execute(args)));
    const shared = cache.acquireResult(...prepareDocument()({ ids: ['a'] }, 'A'));
    const [a, b] = [change('a'), change('b')];
    const frame = shared.encodeNextFrame('1', [a, b], scheduler);
    expect(shared.encodeNextFrame('1', [a, b], scheduler)).toBe(frame);
    expect(shared.encodeNextFrame('2', [a, b], scheduler)).not.toBe(frame);
    expect(shared.encodeNextFrame('1', [a], scheduler)).not.toBe(frame);
    expect(decodeMessages(shared.encodeNextFrame('2', [a, b], scheduler))[0]).toBe(
      decodeMessages(frame)[0]?.replace('"id":"1"', '"id":"2"'),
    );
    expect(executions).toBe(2);
    shared.clearRoundCache();
    expect(shared.encodeNextFrame('1', [a, b], scheduler)).toEqual(frame);
    expect(executions).toBe(4);
  });

  test('executes the whole list when one change has an error, and includes the error', () => {
    const cache = new SharedResultCache((result) => ({ ...result, extensions: { converted: true } }));
    const shared = cache.acquireResult(...prepareDocument()({ ids: ['a'] }, 'A'));
    const [message = ''] = decodeMessages(shared.encodeNextFrame('1', [change('a'), change('b', 0.5)], scheduler));
    expect(JSON.parse(message)).toMatchObject({
      id: '1',
      type: 'next',
      payload: { data: null, errors: [{ path: ['all', 1, 'version'] }], extensions: { converted: true } },
    });
  });

  test('executes the whole list when one change has an error beside its data', () => {
    const prepare = prepareDocument('subscription { statusChanges(userIds: []) { reason } }');
    const shared = new SharedResultCache(keepResult).acquireResult(...prepare({}));
    const changes = [change('a'), { ...change('b'), reason: 'WHIM' as never }];
    const [message = ''] = decodeMessages(shared.encodeNextFrame('1', changes, scheduler));
    expect(JSON.parse(message)).toMatchObject({
      payload: {
        data: { statusChanges: [{ reason: 'LOGIN' }, { reason: null }] },
        errors: [{ path: ['statusChanges', 1, 'reason'] }],
      },
    });
  });

  test('fails a field that depends on the caller', () => {
    const own = buildSchema(`
      type Query { a: Int }
      type Change { secret: String }
      type Subscription { statusChanges(userIds: [ID!]!): [Change!]! }`);
    const secret = own.getType('Change');
    if (secret === undefined || !('getFields' in secret)) throw new Error('The schema has no type Change.');
    Object.assign(secret.getFields()['secret'] ?? {}, {
      resolve: (_change: unknown, _args: unknown, context: { caller: string }) => context.caller,
    });
    Object.assign(own.getSubscriptionType()?.getFields()['statusChanges'] ?? {}, {
      resolve: (changes: unknown) => changes,
    });
    const prepare = prepareDocument('subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { secret } }', own);
    const [args, operation] = prepare({ ids: [] });
    const shared = new SharedResultCache(keepResult).acquireResult(
      { ...args, contextValue: { caller: 'alice' } },
      operation,
    );
    const { data, errors } = shared.execute([change('a')]);
    expect(data).toEqual({ statusChanges: [{ secret: null }] });
    expect(errors?.map(({ message }) => message)).toEqual([
      'A field of a shared result must not depend on the caller, but it read caller.',
    ]);
  });

  test('throws when a resolver is asynchronous', () => {
    const own = buildSchema(
      'type Query { a: Int } type Change { a: Int } type Subscription { statusChanges(userIds: [ID!]!): [Change!]! }',
    );
    Object.assign(own.getSubscriptionType()?.getFields()['statusChanges'] ?? {}, {
      resolve: (changes: unknown) => Promise.resolve(changes),
    });
    const shared = new SharedResultCache(keepResult).acquireResult(
      ...prepareDocument('subscription { statusChanges(userIds: []) { a } }', own)({}),
    );
    expect(() => shared.encodeNextFrame('1', [change('a')], scheduler)).toThrow('must be synchronous');
  });

  test('executes a selection with a single user given as a variable', () => {
    const prepare = prepareDocument('subscription ($a: ID!) { statusChanges(userIds: [$a]) { version } }');
    const shared = new SharedResultCache(keepResult).acquireResult(...prepare({ a: 'a' }));
    expect(shared.execute([change('b')])).toEqual({ data: { statusChanges: [{ version: 1 }] } });
  });
});
