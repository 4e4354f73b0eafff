import { describe, expect, it } from 'vitest';
import { buildSchema, parse, validate } from 'graphql';
import { readFileSync } from 'node:fs';
import { Introspection } from '../../../../src/server/graphiql/browser/introspection.ts';
import { authorizationOf, isSubscription } from '../../../../src/server/graphiql/browser/operation.ts';
import { type KeyValues, takeRemembered } from '../../../../src/server/graphiql/browser/stored-tabs.ts';
import { isPlaceholder, READY_TABS } from '../../../../src/server/graphiql/browser/tabs.ts';

const SCHEMA = buildSchema(readFileSync(new URL('../../../../schema.graphql', import.meta.url), 'utf8'));

describe('The ready tabs', () => {
  it.each(READY_TABS.map((tab) => ({ ...tab, name: /(\w+)\(\$/.exec(tab.query)?.[1] })))(
    '$name fits the schema, and its headers say what to paste',
    ({ query, variables, headers }) => {
      expect(validate(SCHEMA, parse(query))).toEqual([]);
      expect(JSON.parse(variables)).toBeTypeOf('object');
      const authorization = authorizationOf(JSON.parse(headers) as Record<string, unknown>);
      expect(isPlaceholder(authorization ?? '')).toBe(true);
    },
  );

  it('takes no token or API key for something to replace', () => {
    expect(isPlaceholder('Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln')).toBe(false);
  });
});

describe('What goes over the socket', () => {
  it.each([
    ['subscription { a }', undefined, true],
    ['# subscription\nquery { a }', undefined, false],
    ['{ subscription }', undefined, false],
    ['query A { subscription { subscription } }', undefined, false],
    ['query A { a(b: "} subscription {") }', undefined, false],
    ['query A { a(b: """\n} subscription {\n""") }', undefined, false],
    ['query A { a } subscription B { b }', 'A', false],
    ['query A { a } subscription B { b }', 'B', true],
    ['fragment F on S { f } subscription B($a: [ID!] = ["}"]) { ...F }', 'B', true],
    ['subscription', undefined, true],
    ['{', undefined, false],
  ])('%j, of which %j runs: %j', (query, operationName, expected) => {
    expect(isSubscription(operationName === undefined ? { query } : { query, operationName })).toBe(expected);
  });

  it('finds the credential however the header is spelled', () => {
    expect(authorizationOf({ Authorization: 'Bearer a' })).toBe('Bearer a');
    expect(authorizationOf({ AUTHORIZATION: 1 })).toBeUndefined();
    expect(authorizationOf(undefined)).toBeUndefined();
  });
});

describe('Introspection', () => {
  const SCHEMA_ANSWER = { data: { __schema: {} } };

  it('waits for a credential that the server takes', async () => {
    const asked: string[] = [];
    const introspection = new Introspection();
    const answer = introspection.run(async (authorization) => {
      asked.push(authorization);
      if (authorization === 'broken') throw new TypeError('Failed to fetch');
      return authorization === 'good' ? SCHEMA_ANSWER : { errors: [{ message: 'No.' }] };
    });
    for (const authorization of ['bad', 'bad', 'broken', 'good']) {
      await new Promise((resolve) => setImmediate(resolve));
      introspection.offer(authorization);
    }
    expect(await answer).toEqual(SCHEMA_ANSWER);
    expect(asked).toEqual(['bad', 'broken', 'good']);
  });

  it('misses no credential that comes while the server is asked about another', async () => {
    const introspection = new Introspection();
    introspection.offer('bad');
    const answer = introspection.run(async (authorization) => {
      introspection.offer('good');
      return authorization === 'good' ? SCHEMA_ANSWER : {};
    });
    expect(await answer).toEqual(SCHEMA_ANSWER);
  });
});

describe('What a reload finds again', () => {
  const storage = (entries: Record<string, string>): KeyValues & { readonly left: Map<string, string> } => {
    const left = new Map(Object.entries(entries));
    return { left, getItem: (key) => left.get(key) ?? null, removeItem: (key) => void left.delete(key) };
  };
  const STORED = JSON.stringify({
    activeTabIndex: 0,
    tabs: [
      { query: 'mutation LogIn { a }', variables: '{}', headers: '{"authorization":"Bearer secret"}' },
      { query: '{ b }', variables: null, headers: null },
    ],
  });

  it('is the ready tabs at the first visit, and after something that is not ours', () => {
    expect(takeRemembered(storage({})).tabs).toBe(READY_TABS);
    expect(takeRemembered(storage({ 'graphiql:tabState': '[' })).tabs).toBe(READY_TABS);
    expect(takeRemembered(storage({ 'graphiql:tabState': '{"tabs":[]}' })).tabs).toBe(READY_TABS);
  });

  it('is queries and variables, with hints in the place of headers', () => {
    const kept = storage({ 'graphiql:tabState': STORED, 'graphiql:query': 'x', 'graphiql:theme': 'dark' });
    const { tabs, shouldPersistHeaders } = takeRemembered(kept);
    expect(shouldPersistHeaders).toBe(false);
    expect(tabs.map(({ query }) => query)).toEqual(['mutation LogIn { a }', '{ b }']);
    expect(tabs[0].headers).toBe(READY_TABS[0].headers);
    expect(isPlaceholder(tabs[1]?.headers ?? '')).toBe(true);
    expect([...kept.left.keys()]).toEqual(['graphiql:theme']);
  });

  it('is the headers too when the user wants that', () => {
    const { tabs, shouldPersistHeaders } = takeRemembered(
      storage({ 'graphiql:tabState': STORED, 'graphiql:shouldPersistHeaders': 'true' }),
    );
    expect(shouldPersistHeaders).toBe(true);
    expect(tabs[0].headers).toContain('secret');
  });
});
