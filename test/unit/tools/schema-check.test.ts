import { readFileSync } from 'node:fs';
import { buildSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/api/schema.ts';
// eslint-disable-next-line no-restricted-imports -- the tools are JavaScript, because Node 20 runs no TypeScript
import { departures, problems, undescribed } from '../../support/tools/schema-check.js';

const fileText = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

const contract = `
  directive @cached(seconds: Int) on FIELD_DEFINITION
  scalar Moment @specifiedBy(url: "https://example.org/moment")
  enum Status { ONLINE OFFLINE }
  interface Named { name: String }
  type User implements Named { name: String age: Int! friends(first: Int = 10, of: ID!): [User!] }
  type Other { name: String }
  input Filter { status: Status! limit: Int = 5 }
  type Query { user(filter: Filter): User moment: Moment }
  type Mutation { forget(id: ID!): Boolean }
`;

/** The contract with one thing changed; the change must have found its place. */
const contractWith = (to: string, insteadOf: string): string => {
  const changed = contract.replace(insteadOf, to);
  expect(changed).not.toBe(contract);
  return changed;
};

describe('departures from the contract', () => {
  it('finds none between a contract and itself', () => {
    expect(departures(buildSchema(contract), buildSchema(contract))).toEqual([]);
  });

  it.each([
    ['a type', 'type Other', 'type Else'],
    ['a field', 'age: Int!', 'years: Int!'],
    ['an argument', 'of: ID!', 'from: ID'],
    ['an input field', 'limit: Int = 5', 'most: Int'],
    ['an enum value', 'ONLINE OFFLINE', 'ONLINE GONE'],
    ['an interface', 'User implements Named', 'User'],
    ['a directive', '@cached(seconds: Int)', '@kept(seconds: Int)'],
    ['a root', 'type Mutation', 'type Deeds'],
  ])('finds %s that is renamed or missing', (_what, from, to) => {
    expect(departures(buildSchema(contract), buildSchema(contractWith(to, from)))).not.toEqual([]);
  });

  it.each([
    ['a field becoming nullable', 'age: Int!', 'age: Int'],
    ['a field becoming non-null', 'moment: Moment', 'moment: Moment!'],
    ['a field of another type', 'age: Int!', 'age: Float!'],
    ['entries becoming nullable', '[User!]', '[User]'],
    ['an argument becoming optional', 'of: ID!', 'of: ID'],
    ['an argument becoming required', 'filter: Filter', 'filter: Filter!'],
    ['an argument of another type', 'of: ID!', 'of: String!'],
    ['another default of an argument', 'first: Int = 10', 'first: Int = 20'],
    ['no default of an argument', 'first: Int = 10', 'first: Int'],
    ['an input field becoming optional', 'status: Status!', 'status: Status'],
    ['an input field becoming required', 'limit: Int = 5', 'limit: Int!'],
    ['another default of an input field', 'limit: Int = 5', 'limit: Int = 6'],
    ['no default of an input field', 'limit: Int = 5', 'limit: Int'],
    ['an added argument that is required', 'friends(', 'friends(near: ID!, '],
    ['an added input field that is required', 'input Filter {', 'input Filter { near: ID!'],
    ['an added enum value', 'ONLINE OFFLINE', 'ONLINE AWAY OFFLINE'],
    ['a type of another kind', 'scalar Moment @specifiedBy(url: "https://example.org/moment")', 'enum Moment { NOW }'],
    ['another specification of a scalar', 'example.org/moment', 'example.org/other'],
    ['an argument of a directive gone', '@cached(seconds: Int)', '@cached'],
    ['a place of a directive gone', 'on FIELD_DEFINITION', 'on OBJECT'],
    ['a deprecated field', 'age: Int!', 'age: Int! @deprecated'],
    ['a deprecated argument', 'first: Int = 10', 'first: Int = 10 @deprecated'],
    ['a deprecated input field', 'limit: Int = 5', 'limit: Int = 5 @deprecated'],
    ['a deprecated enum value', 'ONLINE OFFLINE', 'ONLINE OFFLINE @deprecated'],
    ['another root', 'type Mutation', 'schema { query: Query mutation: Deeds } type Deeds { a: Int } type Mutation'],
  ])('finds %s', (_what, from, to) => {
    expect(departures(buildSchema(contract), buildSchema(contractWith(to, from)))).not.toEqual([]);
  });

  it.each([
    ['a type', 'type Other', 'type New { a: Int } type Other'],
    ['a field', 'age: Int!', 'age: Int! height: Int'],
    ['an optional argument', 'friends(', 'friends(near: ID, '],
    ['an optional input field', 'input Filter {', 'input Filter { near: ID'],
  ])('lets %s be added', (_what, from, to) => {
    expect(departures(buildSchema(contract), buildSchema(contractWith(to, from)))).toEqual([]);
  });

  it('refuses a contract in which there is nothing to compare', () => {
    const empty = buildSchema('directive @nothing on FIELD', { assumeValid: true });
    expect(() => departures(empty, buildSchema(contract))).toThrow('no types');
  });
});

describe('descriptions', () => {
  const described = `
    "d" directive @cached("d" seconds: Int) on FIELD_DEFINITION
    "d" scalar Moment
    "d" enum Status { "d" ONLINE }
    "d" interface Named { "d" name: String }
    "d" input Filter { "d" status: Status }
    "d" type Query { "d" user("d" filter: Filter): Moment }
  `;

  it('finds none missing where all is described', () => {
    expect(undescribed(buildSchema(described))).toEqual([]);
  });

  it.each([
    ['directive', '"d" directive', 'directive', '@cached'],
    ['argument of a directive', '("d" seconds', '(seconds', '@cached(seconds:)'],
    ['scalar', '"d" scalar', 'scalar', 'Moment'],
    ['enum', '"d" enum', 'enum', 'Status'],
    ['enum value', '"d" ONLINE', 'ONLINE', 'Status.ONLINE'],
    ['interface', '"d" interface', 'interface', 'Named'],
    ['input', '"d" input', 'input', 'Filter'],
    ['input field', '"d" status', 'status', 'Filter.status'],
    ['type', '"d" type', 'type', 'Query'],
    ['field', '"d" user', 'user', 'Query.user'],
    ['argument', '("d" filter', '(filter', 'Query.user(filter:)'],
    ['one that says nothing', '"d" user', '" " user', 'Query.user'],
  ])('finds the one missing at %s', (_what, from, to, where) => {
    expect(undescribed(buildSchema(described.replace(from, to)))).toEqual([`${where} has no description.`]);
  });
});

describe('the printed schema', () => {
  const printed = `${printSchema(schema)}\n`;
  const published = fileText('test/support/contract.graphql');

  it('is the committed one, holds the whole contract and describes all of it', () => {
    expect(problems({ printed, committed: fileText('schema.graphql'), contract: published })).toEqual([]);
  });

  it('is sorted, so that the file changes only where the schema does', () => {
    expect(printed).toBe(`${printSchema(lexicographicSortSchema(schema))}\n`);
  });

  it('is found to have drifted when the committed one says anything else', () => {
    expect(problems({ printed, committed: printed.replace('UserStatus!', 'UserStatus'), contract: published })).toEqual(
      [expect.stringContaining('schema:print')],
    );
  });
});
