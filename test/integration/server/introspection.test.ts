/** Who may ask for the schema, however the question is put, over both doors. */
import { describe, expect, it } from 'vitest';
import type { Introspection } from '../../../src/core/visibility.ts';
import { API_KEY, codeOf, ServerHarness } from './support/server-harness.ts';
import { TestSocket } from './support/wire.ts';

const QUESTIONS = [
  '{ __schema { queryType { name } } }',
  '{ a: __type(name: "Query") { name } }',
  'query Q { ...A } fragment A on Query { ...B } fragment B on Query { ... { x: __schema { queryType { name } } } }',
  'query Q($no: Boolean!) { __typename __schema @skip(if: $no) { queryType { name } } }',
  '{ __typename latestOf: __type(name: "Session") { name } }',
  'mutation M { heartbeat { heartbeatIntervalMs } } query Q { __schema { queryType { name } } }',
];

/** @returns what each of them is told, question by question, over HTTP and over a socket. */
const told = async (introspection: Introspection) => {
  const harness = await ServerHarness.open({ settings: { introspection } });
  const { token } = await harness.login('alice');
  const told: Record<string, unknown> = {};
  for (const [who, credential] of Object.entries({
    backend: API_KEY,
    user: await harness.jwt('alice'),
    session: token,
  })) {
    const wire = await TestSocket.as(harness.socketUrl, credential);
    const codes = new Set<string>();
    for (const query of QUESTIONS) {
      const operationName = query.includes('query Q') ? 'Q' : undefined;
      const variables = query.includes('$no') ? { no: true } : undefined;
      const reply = await harness.send(JSON.stringify({ query, operationName, variables }), {
        authorization: `Bearer ${credential}`,
      });
      wire.send({ type: 'subscribe', id: query, payload: { query, operationName, variables } });
      const { payload } = await wire.next();
      expect((await wire.next()).type).toBe('complete');
      const { errors } = payload as { errors?: { extensions: { code: string } }[] };
      for (const code of [codeOf(reply), errors?.[0]?.extensions.code]) codes.add(code ?? 'OK');
    }
    told[who] = [...codes];
  }
  told['nobody'] = [
    ...new Set(await Promise.all(QUESTIONS.slice(0, 2).map(async (query) => codeOf(await harness.post(query, null))))),
  ];
  return told;
};

describe('The schema', () => {
  it('is told to backends alone', async () => {
    expect(await told('backends')).toEqual({
      backend: ['OK'],
      user: ['FORBIDDEN'],
      session: ['FORBIDDEN'],
      nobody: ['UNAUTHENTICATED'],
    });
  });

  it('is told to nobody', async () => {
    expect(await told('off')).toEqual({
      backend: ['FORBIDDEN'],
      user: ['FORBIDDEN'],
      session: ['FORBIDDEN'],
      nobody: ['UNAUTHENTICATED'],
    });
  });

  it('is told to everyone who has a credential', async () => {
    expect(await told('everyone')).toEqual({
      backend: ['OK'],
      user: ['OK'],
      session: ['OK'],
      nobody: ['UNAUTHENTICATED'],
    });
  });
});
