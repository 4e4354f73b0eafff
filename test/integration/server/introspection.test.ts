/** Which callers may introspect the schema, with any form of query, over both transports. */
import { buildClientSchema, getIntrospectionQuery, validateSchema, type IntrospectionQuery } from 'graphql';
import { describe, expect, it } from 'vitest';
import type { IntrospectionAccess } from '../../../src/core/visibility.ts';
import { API_KEY, codeOf, ServerHarness } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

const INTROSPECTION_QUERIES = [
  '{ __schema { queryType { name } } }',
  '{ a: __type(name: "Query") { name } }',
  'query Q { ...A } fragment A on Query { ...B } fragment B on Query { ... { x: __schema { queryType { name } } } }',
  'query Q($no: Boolean!) { __typename __schema @skip(if: $no) { queryType { name } } }',
  '{ __typename latestOf: __type(name: "Session") { name } }',
  'mutation M { heartbeat { heartbeatIntervalMs } } query Q { __schema { queryType { name } } }',
];

/** @returns for each kind of caller the distinct result codes of all queries, over HTTP and over a socket. */
const codesByCaller = async (introspection: IntrospectionAccess) => {
  const harness = await ServerHarness.open({ settings: { introspection } });
  const { token } = await harness.login('alice');
  const codesByName: Record<string, unknown> = {};
  for (const [caller, credential] of Object.entries({
    backend: API_KEY,
    user: await harness.jwt('alice'),
    session: token,
  })) {
    const socket = await TestSocket.connect(harness.socketUrl, credential);
    const codes = new Set<string>();
    for (const query of INTROSPECTION_QUERIES) {
      const operationName = query.includes('query Q') ? 'Q' : undefined;
      const variables = query.includes('$no') ? { no: true } : undefined;
      const reply = await harness.send(JSON.stringify({ query, operationName, variables }), {
        authorization: `Bearer ${credential}`,
      });
      socket.send({ type: 'subscribe', id: query, payload: { query, operationName, variables } });
      const { payload } = await socket.nextMessage();
      expect((await socket.nextMessage()).type).toBe('complete');
      const { errors } = payload as { errors?: { extensions: { code: string } }[] };
      for (const code of [codeOf(reply), errors?.[0]?.extensions.code]) codes.add(code ?? 'OK');
    }
    codesByName[caller] = [...codes];
  }
  codesByName['unauthenticated'] = [
    ...new Set(
      await Promise.all(
        INTROSPECTION_QUERIES.slice(0, 2).map(async (query) => codeOf(await harness.post(query, null))),
      ),
    ),
  ];
  return codesByName;
};

describe('introspection of the schema', () => {
  it('is allowed to backends only when set to "backends"', async () => {
    expect(await codesByCaller('backends')).toEqual({
      backend: ['OK'],
      user: ['FORBIDDEN'],
      session: ['FORBIDDEN'],
      unauthenticated: ['UNAUTHENTICATED'],
    });
  });

  it('is allowed to no caller when set to "off"', async () => {
    expect(await codesByCaller('off')).toEqual({
      backend: ['FORBIDDEN'],
      user: ['FORBIDDEN'],
      session: ['FORBIDDEN'],
      unauthenticated: ['UNAUTHENTICATED'],
    });
  });

  it('is allowed to all authenticated callers when set to "everyone"', async () => {
    expect(await codesByCaller('everyone')).toEqual({
      backend: ['OK'],
      user: ['OK'],
      session: ['OK'],
      unauthenticated: ['UNAUTHENTICATED'],
    });
  });
});

describe('the introspection query of tools', () => {
  const everything = {
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
    oneOf: true,
  };
  it.each([
    ['with the default options of graphql-js', {}],
    ['with every option, as GraphiQL and Altair send it', everything],
    ['with types nested 15 levels deep', { ...everything, typeDepth: 15 }],
    ['without descriptions', { descriptions: false }],
  ])('returns a complete schema over both transports: %s', async (_what, options) => {
    const harness = await ServerHarness.open({ settings: { introspection: 'backends' } });
    const operation = { query: getIntrospectionQuery(options), operationName: 'IntrospectionQuery', variables: {} };
    const reply = await harness.send(JSON.stringify(operation), { authorization: `Bearer ${API_KEY}` });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    socket.send({ type: 'subscribe', id: '1', payload: operation });
    const { payload } = await socket.nextMessage();
    for (const { data, errors } of [reply.body, payload as unknown as typeof reply.body]) {
      expect(errors).toBeUndefined();
      expect(validateSchema(buildClientSchema(data as unknown as IntrospectionQuery))).toEqual([]);
    }
  });

  it('is refused with the reason when it is off, or the caller is no backend', async () => {
    const operation = JSON.stringify({ query: getIntrospectionQuery(), operationName: 'IntrospectionQuery' });
    for (const [introspection, message] of [
      ['off', 'Introspection is disabled on this server.'],
      ['backends', 'Only a backend with an API key may read the schema.'],
    ] as const) {
      const harness = await ServerHarness.open({ settings: { introspection } });
      const reply = await harness.send(operation, { authorization: `Bearer ${await harness.jwt('alice')}` });
      expect([reply.status, reply.body]).toEqual([200, { errors: [{ message, extensions: { code: 'FORBIDDEN' } }] }]);
    }
  });
});

describe('a directive of incremental delivery', () => {
  it.each([
    ['defer', '{ userStatus(userId: "a") { userId ... @defer { status } } }'],
    ['stream', '{ userStatuses(userIds: ["a"]) @stream(initialCount: 1) { userId } }'],
  ])('is refused by name, and the operation is not executed: @%s', async (directive, query) => {
    const harness = await ServerHarness.open();
    const accept = 'multipart/mixed;deferSpec=20220824,application/json';
    const reply = await harness.post(query, API_KEY, undefined, { accept });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const error = { message: `Unknown directive "@${directive}".`, extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } };
    expect(reply.body).toMatchObject({ errors: [error] });
    expect(await socket.execute(query)).toMatchObject({ type: 'error', payload: [error] });
  });
});
