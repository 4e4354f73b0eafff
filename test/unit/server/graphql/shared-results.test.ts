/** What watchers share, and what they never do. */
import { buildSchema, execute, type ExecutionArgs, type ExecutionResult } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../../../src/api/schema.ts';
import { toMillis, parseUserId } from '../../../../src/core/ids.ts';
import type { StatusChange } from '../../../../src/core/records.ts';
import { DocumentCache } from '../../../../src/server/graphql/document-cache.ts';
import { FanoutScheduler } from '../../../../src/server/graphql/fanout-scheduler.ts';
import { SharedResultCache } from '../../../../src/server/graphql/shared-results.ts';
import { decodeMessages } from '../../../integration/server/support/fake-tcp-stream.ts';

const rounds = new FanoutScheduler();
const told = (result: ExecutionResult) => result;

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

const asker = (source = QUERY, of = schema) => {
  const documents = new DocumentCache(of);
  const document = documents.parseDocument(source);
  expect(documents.validateDocument(document)).toEqual([]);
  return (variables: Record<string, unknown>, operationName: string | null = null) => {
    const args: ExecutionArgs = { schema: of, document, operationName, variableValues: variables };
    return [args, documents.selectOperation(document, operationName)] as const;
  };
};

describe('a shape', () => {
  test('is shared by those who ask the same about whomever, and by nobody else', () => {
    const shapes = new SharedResultCache(told);
    const ask = asker();
    const shape = shapes.acquire(...ask({ ids: ['a'] }, 'A'));
    expect(shapes.acquire(...ask({ ids: ['b', 'c'] }, 'A'))).toBe(shape);
    const others = [
      shapes.acquire(...ask({ ids: ['a'] }, 'B')),
      shapes.acquire(...ask({ ids: ['a'], x: true }, 'A')),
      shapes.acquire(...ask({ ids: ['a'], x: false }, 'A')),
      shapes.acquire(...asker(`${QUERY} #`)({ ids: ['a'] }, 'A')),
    ];
    expect(new Set([shape, ...others]).size).toBe(5);
    expect(shapes.size).toBe(5);
  });

  test('is kept as long as somebody has it', () => {
    const shapes = new SharedResultCache(told);
    const ask = asker();
    const [one, other] = [ask({ ids: ['a'] }, 'A'), ask({ ids: ['b'] }, 'A')];
    const shape = shapes.acquire(...one);
    shapes.acquire(...other);
    shapes.release(shape, one[1]);
    expect(shapes.size).toBe(1);
    shapes.release(shape, other[1]);
    expect(shapes.size).toBe(0);
    shapes.release(shape, other[1]);
    expect(shapes.acquire(...one)).not.toBe(shape);
  });

  test('makes of a list what an execution of the whole list makes', () => {
    const shapes = new SharedResultCache(told);
    const ask = asker();
    const changes = [change('a'), change('b', 2), change('"c"', 3)];
    for (const [name, x] of [
      ['A', true],
      ['A', false],
      ['B', true],
    ] as const) {
      const shape = shapes.acquire(...ask({ ids: ['a'], ...(name === 'A' ? { x } : {}) }, name));
      for (const list of [changes, changes.slice(1), []]) {
        const [message = ''] = decodeMessages(shape.encodeFrame('id "1"', list, rounds));
        expect(JSON.parse(message)).toEqual({ id: 'id "1"', type: 'next', payload: shape.execute(list) });
      }
    }
  });

  test('executes a change once, and makes one frame of the same list for the same id', () => {
    let executions = 0;
    const shapes = new SharedResultCache(told, (args) => (executions++, execute(args)));
    const shape = shapes.acquire(...asker()({ ids: ['a'] }, 'A'));
    const [a, b] = [change('a'), change('b')];
    const frame = shape.encodeFrame('1', [a, b], rounds);
    expect(shape.encodeFrame('1', [a, b], rounds)).toBe(frame);
    expect(shape.encodeFrame('2', [a, b], rounds)).not.toBe(frame);
    expect(shape.encodeFrame('1', [a], rounds)).not.toBe(frame);
    expect(decodeMessages(shape.encodeFrame('2', [a, b], rounds))[0]).toBe(
      decodeMessages(frame)[0]?.replace('"id":"1"', '"id":"2"'),
    );
    expect(executions).toBe(2);
    shape.clearRoundCache();
    expect(shape.encodeFrame('1', [a, b], rounds)).toEqual(frame);
    expect(executions).toBe(4);
  });

  test('tells a list with an error in it in full, error and all', () => {
    const shapes = new SharedResultCache((result) => ({ ...result, extensions: { told: true } }));
    const shape = shapes.acquire(...asker()({ ids: ['a'] }, 'A'));
    const [message = ''] = decodeMessages(shape.encodeFrame('1', [change('a'), change('b', 0.5)], rounds));
    expect(JSON.parse(message)).toMatchObject({
      id: '1',
      type: 'next',
      payload: { data: null, errors: [{ path: ['all', 1, 'version'] }], extensions: { told: true } },
    });
  });

  test('tells in full a list that has an error beside its data', () => {
    const ask = asker('subscription { statusChanges(userIds: []) { reason } }');
    const shape = new SharedResultCache(told).acquire(...ask({}));
    const changes = [change('a'), { ...change('b'), reason: 'WHIM' as never }];
    const [message = ''] = decodeMessages(shape.encodeFrame('1', changes, rounds));
    expect(JSON.parse(message)).toMatchObject({
      payload: {
        data: { statusChanges: [{ reason: 'LOGIN' }, { reason: null }] },
        errors: [{ path: ['statusChanges', 1, 'reason'] }],
      },
    });
  });

  test('never shares what depends on the caller', () => {
    const own = buildSchema(`
      type Query { a: Int }
      type Change { secret: String }
      type Subscription { statusChanges(userIds: [ID!]!): [Change!]! }`);
    const secret = own.getType('Change');
    if (secret === undefined || !('getFields' in secret)) throw new Error('No type.');
    Object.assign(secret.getFields()['secret'] ?? {}, {
      resolve: (_change: unknown, _args: unknown, context: { caller: string }) => context.caller,
    });
    Object.assign(own.getSubscriptionType()?.getFields()['statusChanges'] ?? {}, {
      resolve: (changes: unknown) => changes,
    });
    const ask = asker('subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { secret } }', own);
    const [args, operation] = ask({ ids: [] });
    const shape = new SharedResultCache(told).acquire({ ...args, contextValue: { caller: 'alice' } }, operation);
    const { data, errors } = shape.execute([change('a')]);
    expect(data).toEqual({ statusChanges: [{ secret: null }] });
    expect(errors?.map(({ message }) => message)).toEqual([
      'A field of a shared result must not depend on the caller, but it read caller.',
    ]);
  });

  test('that would have to wait for a resolver says so', () => {
    const own = buildSchema(
      'type Query { a: Int } type Change { a: Int } type Subscription { statusChanges(userIds: [ID!]!): [Change!]! }',
    );
    Object.assign(own.getSubscriptionType()?.getFields()['statusChanges'] ?? {}, {
      resolve: (changes: unknown) => Promise.resolve(changes),
    });
    const shape = new SharedResultCache(told).acquire(
      ...asker('subscription { statusChanges(userIds: []) { a } }', own)({}),
    );
    expect(() => shape.encodeFrame('1', [change('a')], rounds)).toThrow('must be synchronous');
  });

  test('is executed with one user named by a variable, too', () => {
    const ask = asker('subscription ($a: ID!) { statusChanges(userIds: [$a]) { version } }');
    const shape = new SharedResultCache(told).acquire(...ask({ a: 'a' }));
    expect(shape.execute([change('b')])).toEqual({ data: { statusChanges: [{ version: 1 }] } });
  });
});
