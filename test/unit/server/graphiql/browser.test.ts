import { describe, expect, it } from 'vitest';
import { buildSchema, parse, validate } from 'graphql';
import { readFileSync } from 'node:fs';
import { SchemaLoader } from '../../../../src/server/graphiql/browser/introspection.ts';
import { findAuthorization, isSubscription } from '../../../../src/server/graphiql/browser/operation.ts';
import { type TabStorage, takeStoredTabs } from '../../../../src/server/graphiql/browser/stored-tabs.ts';
import { hasPlaceholder, DEFAULT_TABS } from '../../../../src/server/graphiql/browser/tabs.ts';

const SCHEMA = buildSchema(readFileSync(new URL('../../../../schema.graphql', import.meta.url), 'utf8'));

describe('The ready tabs', () => {
  it.each(DEFAULT_TABS.map((tab) => ({ ...tab, name: /(\w+)\(\$/.exec(tab.query)?.[1] })))(
    '$name fits the schema, and its headers say what to paste',
    ({ query, variables, headers }) => {
      expect(validate(SCHEMA, parse(query))).toEqual([]);
      expect(JSON.parse(variables)).toBeTypeOf('object');
      const authorization = findAuthorization(JSON.parse(headers) as Record<string, unknown>);
      expect(hasPlaceholder(authorization ?? '')).toBe(true);
    },
  );

  it('takes no token or API key for something to replace', () => {
    expect(hasPlaceholder('Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln')).toBe(false);
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
    expect(findAuthorization({ Authorization: 'Bearer a' })).toBe('Bearer a');
    expect(findAuthorization({ AUTHORIZATION: 1 })).toBeUndefined();
    expect(findAuthorization(undefined)).toBeUndefined();
  });
});

describe('Introspection', () => {
  const SCHEMA_ANSWER = { data: { __schema: {} } };

  it('waits for a credential that the server takes', async () => {
    const asked: string[] = [];
    const introspection = new SchemaLoader();
    const answer = introspection.loadSchema(async (authorization) => {
      asked.push(authorization);
      if (authorization === 'broken') throw new TypeError('Failed to fetch');
      return authorization === 'good' ? SCHEMA_ANSWER : { errors: [{ message: 'No.' }] };
    });
    for (const authorization of ['bad', 'bad', 'broken', 'good']) {
      await new Promise((resolve) => setImmediate(resolve));
      introspection.offerCredential(authorization);
    }
    expect(await answer).toEqual(SCHEMA_ANSWER);
    expect(asked).toEqual(['bad', 'broken', 'good']);
  });

  it('misses no credential that comes while the server is asked about another', async () => {
    const introspection = new SchemaLoader();
    introspection.offerCredential('bad');
    const answer = introspection.loadSchema(async (authorization) => {
      introspection.offerCredential('good');
      return authorization === 'good' ? SCHEMA_ANSWER : {};
    });
    expect(await answer).toEqual(SCHEMA_ANSWER);
  });
});

describe('What a reload finds again', () => {
  const storage = (entries: Record<string, string>): TabStorage & { readonly left: Map<string, string> } => {
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
    expect(takeStoredTabs(storage({})).tabs).toBe(DEFAULT_TABS);
    expect(takeStoredTabs(storage({ 'graphiql:tabState': '[' })).tabs).toBe(DEFAULT_TABS);
    expect(takeStoredTabs(storage({ 'graphiql:tabState': '{"tabs":[]}' })).tabs).toBe(DEFAULT_TABS);
  });

  it('is queries and variables, with hints in the place of headers', () => {
    const kept = storage({ 'graphiql:tabState': STORED, 'graphiql:query': 'x', 'graphiql:theme': 'dark' });
    const { tabs, shouldPersistHeaders } = takeStoredTabs(kept);
    expect(shouldPersistHeaders).toBe(false);
    expect(tabs.map(({ query }) => query)).toEqual(['mutation LogIn { a }', '{ b }']);
    expect(tabs[0].headers).toBe(DEFAULT_TABS[0].headers);
    expect(hasPlaceholder(tabs[1]?.headers ?? '')).toBe(true);
    expect([...kept.left.keys()]).toEqual(['graphiql:theme']);
  });

  it('is the headers too when the user wants that', () => {
    const { tabs, shouldPersistHeaders } = takeStoredTabs(
      storage({ 'graphiql:tabState': STORED, 'graphiql:shouldPersistHeaders': 'true' }),
    );
    expect(shouldPersistHeaders).toBe(true);
    expect(tabs[0].headers).toContain('secret');
  });
});
