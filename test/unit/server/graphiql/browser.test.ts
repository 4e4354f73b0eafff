import { describe, expect, it } from 'vitest';
import { buildSchema, parse, validate } from 'graphql';
import { readFileSync } from 'node:fs';
import { SchemaLoader } from '../../../../src/server/graphiql/browser/introspection.ts';
import { findAuthorization, isSubscriptionOperation } from '../../../../src/server/graphiql/browser/operation.ts';
import { type TabStorage, takeStoredTabs } from '../../../../src/server/graphiql/browser/stored-tabs.ts';
import { hasPlaceholder, DEFAULT_TABS } from '../../../../src/server/graphiql/browser/tabs.ts';

const SCHEMA = buildSchema(readFileSync(new URL('../../../../schema.graphql', import.meta.url), 'utf8'));

describe('The default tabs of GraphiQL', () => {
  it.each(DEFAULT_TABS.map((tab) => ({ ...tab, name: /(\w+)\(\$/.exec(tab.query)?.[1] })))(
    'contain a valid operation, and headers with a placeholder: $name',
    ({ query, variables, headers }) => {
      expect(validate(SCHEMA, parse(query))).toEqual([]);
      expect(JSON.parse(variables)).toBeTypeOf('object');
      const authorization = findAuthorization(JSON.parse(headers) as Record<string, unknown>);
      expect(hasPlaceholder(authorization ?? '')).toBe(true);
    },
  );

  it('do not treat a real token as a placeholder', () => {
    expect(hasPlaceholder('Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln')).toBe(false);
  });
});

describe('The operation text of GraphiQL', () => {
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
  ])('is recognised as a subscription or not: %j with operation name %j is %j', (query, operationName, expected) => {
    expect(isSubscriptionOperation(operationName === undefined ? { query } : { query, operationName })).toBe(expected);
  });

  it('may have the authorization header in any case', () => {
    expect(findAuthorization({ Authorization: 'Bearer a' })).toBe('Bearer a');
    expect(findAuthorization({ AUTHORIZATION: 1 })).toBeUndefined();
    expect(findAuthorization(undefined)).toBeUndefined();
  });
});

describe('SchemaLoader', () => {
  const SCHEMA_RESPONSE = { data: { __schema: {} } };

  it('tries each credential once until the server returns the schema', async () => {
    const tried: string[] = [];
    const schemaLoader = new SchemaLoader();
    const answer = schemaLoader.loadSchema(async (authorization) => {
      tried.push(authorization);
      if (authorization === 'broken') throw new TypeError('Failed to fetch');
      return authorization === 'good' ? SCHEMA_RESPONSE : { errors: [{ message: 'No.' }] };
    });
    for (const authorization of ['bad', 'bad', 'broken', 'good']) {
      await new Promise((resolve) => setImmediate(resolve));
      schemaLoader.offerCredential(authorization);
    }
    expect(await answer).toEqual(SCHEMA_RESPONSE);
    expect(tried).toEqual(['bad', 'broken', 'good']);
  });

  it('tries a credential that is offered while another one is being tried', async () => {
    const schemaLoader = new SchemaLoader();
    schemaLoader.offerCredential('bad');
    const answer = schemaLoader.loadSchema(async (authorization) => {
      schemaLoader.offerCredential('good');
      return authorization === 'good' ? SCHEMA_RESPONSE : {};
    });
    expect(await answer).toEqual(SCHEMA_RESPONSE);
  });
});

describe('The stored tabs of GraphiQL', () => {
  const storage = (entries: Record<string, string>): TabStorage & { readonly remaining: Map<string, string> } => {
    const remaining = new Map(Object.entries(entries));
    return { remaining, getItem: (key) => remaining.get(key) ?? null, removeItem: (key) => void remaining.delete(key) };
  };
  const STORED = JSON.stringify({
    activeTabIndex: 0,
    tabs: [
      { query: 'mutation LogIn { a }', variables: '{}', headers: '{"authorization":"Bearer secret"}' },
      { query: '{ b }', variables: null, headers: null },
    ],
  });

  it('are the default tabs on the first visit, and when the stored value is invalid', () => {
    expect(takeStoredTabs(storage({})).tabs).toBe(DEFAULT_TABS);
    expect(takeStoredTabs(storage({ 'graphiql:tabState': '[' })).tabs).toBe(DEFAULT_TABS);
    expect(takeStoredTabs(storage({ 'graphiql:tabState': '{"tabs":[]}' })).tabs).toBe(DEFAULT_TABS);
  });

  it('keep queries and variables, with placeholders in the headers', () => {
    const kept = storage({ 'graphiql:tabState': STORED, 'graphiql:query': 'x', 'graphiql:theme': 'dark' });
    const { tabs, shouldPersistHeaders } = takeStoredTabs(kept);
    expect(shouldPersistHeaders).toBe(false);
    expect(tabs.map(({ query }) => query)).toEqual(['mutation LogIn { a }', '{ b }']);
    expect(tabs[0].headers).toBe(DEFAULT_TABS[0].headers);
    expect(hasPlaceholder(tabs[1]?.headers ?? '')).toBe(true);
    expect([...kept.remaining.keys()]).toEqual(['graphiql:theme']);
  });

  it('keep the headers when the user has enabled that', () => {
    const { tabs, shouldPersistHeaders } = takeStoredTabs(
      storage({ 'graphiql:tabState': STORED, 'graphiql:shouldPersistHeaders': 'true' }),
    );
    expect(shouldPersistHeaders).toBe(true);
    expect(tabs[0].headers).toContain('secret');
  });
});
