/** Clients of persisted queries send the full document after the answer of this server, and no hash again. */
import { createHash } from 'node:crypto';
import { ApolloClient, gql, HttpLink, InMemoryCache, type ApolloLink } from '@apollo/client';
import { CombinedGraphQLErrors } from '@apollo/client/errors';
import { BatchHttpLink } from '@apollo/client/link/batch-http';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { Client as UrqlClient, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { describe, expect, onTestFinished, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';

const STATUS = 'query Status($id: ID!) { userStatus(userId: $id) { userId status } }';
const END_SESSIONS = 'mutation End($input: EndSessionsInput!) { endSessions(input: $input) { ended { id } } }';
const headers = { authorization: `Bearer ${API_KEY}` };
const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/** One request of a client: its method, and whether it has the document and a hash. */
type SentRequest = readonly [string, { readonly query: boolean; readonly hash: boolean }, number];

class FetchRecorder {
  readonly requests: SentRequest[] = [];

  readonly fetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    const url = input instanceof Request ? input.url : String(input);
    const { searchParams } = new URL(url);
    const sent =
      typeof init?.body === 'string'
        ? (JSON.parse(init.body) as Record<string, unknown>)
        : {
            query: searchParams.get('query'),
            extensions: JSON.parse(searchParams.get('extensions') ?? '{}') as unknown,
          };
    const extensions = sent['extensions'] as { readonly persistedQuery?: object } | undefined;
    const parts = { query: Boolean(sent['query']), hash: extensions?.persistedQuery !== undefined };
    this.requests.push([init?.method ?? 'GET', parts, response.status]);
    return response;
  };
}

const HASH_ALONE = { query: false, hash: true };
const DOCUMENT_ALONE = { query: true, hash: false };

const createApolloClient = (link: ApolloLink): ApolloClient => {
  const client = new ApolloClient({
    link,
    cache: new InMemoryCache(),
    defaultOptions: { query: { fetchPolicy: 'no-cache' } },
  });
  onTestFinished(() => client.stop());
  return client;
};

describe.each([
  ['its own Accept header', undefined],
  ['Accept: application/json', 'application/json'],
  ['Accept: application/graphql-response+json', 'application/graphql-response+json'],
])('with %s', (_what, accept) => {
  const clientHeaders = { ...headers, ...(accept === undefined ? {} : { accept }) };

  test.each([
    ['POST', false],
    ['GET', true],
  ])('the link of Apollo Client sends the document after a hash by %s', async (method, useGETForHashedQueries) => {
    const { url } = await ServerHarness.open();
    const recorder = new FetchRecorder();
    const http = new HttpLink({ uri: `${url}/graphql`, headers: clientHeaders, fetch: recorder.fetch });
    const client = createApolloClient(new PersistedQueryLink({ sha256, useGETForHashedQueries }).concat(http));
    for (const id of ['alice', 'bob']) {
      const { data } = await client.query({ query: gql(STATUS), variables: { id } });
      expect(data).toMatchObject({ userStatus: { userId: id, status: 'OFFLINE' } });
    }
    const { data } = await client.mutate({ mutation: gql(END_SESSIONS), variables: { input: { userId: 'alice' } } });
    expect(data).toMatchObject({ endSessions: { ended: [] } });
    expect(recorder.requests).toEqual([
      [method, HASH_ALONE, 200],
      ['POST', DOCUMENT_ALONE, 200],
      ['POST', DOCUMENT_ALONE, 200],
      ['POST', DOCUMENT_ALONE, 200],
    ]);
  });

  test.each([
    ['POST', false],
    ['GET', 'force'],
  ] as const)(
    'the exchange of urql sends the document after a hash by %s',
    async (method, preferGetForPersistedQueries) => {
      const { url } = await ServerHarness.open();
      const recorder = new FetchRecorder();
      const client = new UrqlClient({
        url: `${url}/graphql`,
        exchanges: [
          persistedExchange({
            enableForMutation: true,
            preferGetForPersistedQueries,
            generateHash: (query) => Promise.resolve(sha256(query)),
          }),
          fetchExchange,
        ],
        preferGetMethod: false,
        fetchOptions: { headers: clientHeaders },
        fetch: recorder.fetch,
      });
      for (const id of ['alice', 'bob']) {
        const { data, error } = await client.query<unknown>(STATUS, { id }).toPromise();
        expect([data, error]).toMatchObject([{ userStatus: { userId: id, status: 'OFFLINE' } }, undefined]);
      }
      const { data } = await client.mutation<unknown>(END_SESSIONS, { input: { userId: 'alice' } }).toPromise();
      expect(data).toMatchObject({ endSessions: { ended: [] } });
      expect(recorder.requests).toEqual([
        [method, HASH_ALONE, 200],
        // urql repeats the method of the first attempt.
        [method, DOCUMENT_ALONE, 200],
        ['POST', DOCUMENT_ALONE, 200],
        ['POST', DOCUMENT_ALONE, 200],
      ]);
    },
  );

  test('the batching link of Apollo Client shows why its requests are refused', async () => {
    const { url } = await ServerHarness.open();
    const client = createApolloClient(
      new BatchHttpLink({ uri: `${url}/graphql`, headers: clientHeaders, batchMax: 2 }),
    );
    const results = await Promise.allSettled(
      ['alice', 'bob'].map((id) => client.query({ query: gql(STATUS), variables: { id } })),
    );
    for (const result of results) {
      const error: unknown = result.status === 'rejected' ? result.reason : null;
      if (!CombinedGraphQLErrors.is(error)) throw new Error('The query did not fail with errors.', { cause: error });
      expect(error.errors).toEqual([
        {
          message: 'A request must have one operation, but is a list. Send each operation in a request of its own.',
          extensions: { code: 'BAD_REQUEST' },
        },
      ]);
    }
    expect(results).toHaveLength(2);
  });
});
