/** What the pages tell readers to send is what the schema takes. */
import { readdirSync, readFileSync } from 'node:fs';
import { buildSchema, parse, validate } from 'graphql';
import { expect, it } from 'vitest';

const ROOT = new URL('../../../', import.meta.url);
const DOCS = new URL('docs/', ROOT);
const schema = buildSchema(readFileSync(new URL('schema.graphql', ROOT), 'utf8'));

/** Blocks of their own, bodies for curl, and what begins like an operation between backticks. */
const documentsOf = (page: string): readonly string[] => [
  ...Array.from(page.matchAll(/```graphql\n([^]*?)```/g), ([, block]) => block!),
  ...Array.from(page.matchAll(/"query":("(?:[^"\\]|\\.)*")/g), ([, json]) => JSON.parse(json!) as string),
  ...Array.from(page.matchAll(/`((?:(?:query|mutation|subscription) ?)?\{ [^`]*\})`/g), ([, line]) => line!),
];

it.each(['webhooks.md', 'tencent.md', 'operations.md'])('every document in docs/%s', (name) => {
  expect(readdirSync(DOCS)).toContain(name);
  const documents = documentsOf(readFileSync(new URL(name, DOCS), 'utf8'));
  expect(documents).not.toEqual([]);
  for (const document of documents) expect(validate(schema, parse(document)), document).toEqual([]);
});
