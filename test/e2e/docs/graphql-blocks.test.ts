/** The GraphQL documents in the pages validate against the schema. */
import { buildSchema, parse, validate } from 'graphql';
import { expect, it } from 'vitest';
import { PAGES, readText } from './pages.ts';

const schema = buildSchema(readText('schema.graphql'));

/** Fenced blocks, bodies for curl, and inline code that starts like an operation. */
const documentsOf = (page: string): readonly string[] => [
  ...Array.from(page.matchAll(/```graphql\n([^]*?)```/g), ([, block]) => block!),
  ...Array.from(page.matchAll(/"query":("(?:[^"\\]|\\.)*")/g), ([, json]) => JSON.parse(json!) as string),
  ...Array.from(page.matchAll(/`((?:(?:query|mutation|subscription) ?)?\{ [^`]*\})`/g), ([, line]) => line!),
];

const PAGES_WITH_DOCUMENTS = PAGES.filter((path) => documentsOf(readText(path)).length > 0);

it('finds the pages that have documents', () => {
  expect(PAGES_WITH_DOCUMENTS).toEqual(
    expect.arrayContaining(['README.md', 'docs/api.md', 'docs/webhooks.md', 'docs/tencent.md', 'docs/operations.md']),
  );
});

it.each(PAGES_WITH_DOCUMENTS)('validates every document in %s', (path) => {
  for (const document of documentsOf(readText(path))) {
    expect(validate(schema, parse(document)), document).toEqual([]);
  }
});
