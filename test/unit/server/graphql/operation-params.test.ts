import { GraphQLError } from 'graphql';
import { describe, expect, it } from 'vitest';
import { readOperationParams } from '../../../../src/server/graphql/operation-params.ts';

const QUERY = '{ __typename }';
const PLAIN = { query: QUERY, operationName: null, variables: null };

const errorOf = (request: unknown): object => {
  try {
    return readOperationParams(request);
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { message: error.message, ...error.extensions };
  }
};

describe('the parameters of a request', () => {
  it.each<[string, unknown, object]>([
    ['a query alone', { query: QUERY }, PLAIN],
    [
      'everything',
      { query: QUERY, operationName: 'A', variables: { a: 1 }, extensions: { b: 1 } },
      {
        query: QUERY,
        operationName: 'A',
        variables: { a: 1 },
      },
    ],
    ['null for all that is optional', { query: QUERY, operationName: null, variables: null, extensions: null }, PLAIN],
    [
      'an empty string for all that is optional',
      { query: QUERY, operationName: '', variables: '', extensions: '' },
      PLAIN,
    ],
    ['an id, as Relay sends it', { id: 'FriendsQuery', query: QUERY, variables: {} }, { ...PLAIN, variables: {} }],
    ['other members', { query: QUERY, doc_id: 5, hash: null, operationKind: 'query', __proto__: [] }, PLAIN],
    ['a documentId beside the query', { query: QUERY, documentId: 'sha256:x' }, PLAIN],
    [
      'a hash beside the query, which need not match it',
      { query: QUERY, extensions: { persistedQuery: { version: 1, sha256Hash: 'x' } } },
      PLAIN,
    ],
  ])('are read with %s', (_what, request, params) => {
    expect(readOperationParams(request)).toEqual(params);
  });

  it.each<[string, object]>([
    ['a hash', { extensions: { persistedQuery: { version: 1, sha256Hash: 'x' } } }],
    ['a hash beside null', { query: null, operationName: null, variables: null, extensions: { persistedQuery: {} } }],
    ['a hash beside an empty query', { query: '', extensions: { persistedQuery: { version: 1 } } }],
    ['a documentId', { documentId: 'sha256:x', variables: { a: 1 } }],
    ['a documentId beside an empty query', { documentId: 'x', query: '', extensions: {} }],
  ])('are refused with the words of the protocol if they have %s and no document', (_what, request) => {
    expect(errorOf(request)).toEqual({ message: 'PersistedQueryNotSupported', code: 'PERSISTED_QUERY_NOT_SUPPORTED' });
  });

  const MISSING_QUERY = '"query" is missing. It must be a string with a GraphQL document.';
  const LIST = 'A request must have one operation, but is a list. Send each operation in a request of its own.';
  it.each<[unknown, string]>([
    [undefined, 'A request must be a JSON object, but is missing.'],
    [null, 'A request must be a JSON object, but is null.'],
    ['{}', 'A request must be a JSON object, but is a string.'],
    [5, 'A request must be a JSON object, but is a number.'],
    [[{ query: QUERY }], LIST],
    [[], LIST],
    [{}, MISSING_QUERY],
    [{ query: null }, MISSING_QUERY],
    [{ query: '', extensions: { persistedQuery: null }, documentId: '' }, MISSING_QUERY],
    [{ id: 'FriendsQuery' }, MISSING_QUERY],
    [{ query: 5 }, '"query" must be a string, but is a number.'],
    [{ query: [QUERY] }, '"query" must be a string, but is a list.'],
    [{ query: { kind: 'Document' }, documentId: 'x' }, '"query" must be a string, but is an object.'],
    [{ query: QUERY, operationName: 5 }, '"operationName" must be a string or null, but is a number.'],
    [{ query: QUERY, operationName: {} }, '"operationName" must be a string or null, but is an object.'],
    [{ query: QUERY, variables: [] }, '"variables" must be an object or null, but is a list.'],
    [{ query: QUERY, variables: '{"a":1}' }, '"variables" must be an object or null, but is a string.'],
    [{ query: QUERY, variables: false }, '"variables" must be an object or null, but is a boolean.'],
    [{ query: QUERY, extensions: 'x' }, '"extensions" must be an object or null, but is a string.'],
    [{ extensions: [], documentId: 'x' }, '"extensions" must be an object or null, but is a list.'],
  ])('are refused with what is wrong and what would be right: %j', (request, message) => {
    expect(errorOf(request)).toEqual({ message, code: 'BAD_REQUEST' });
  });
});
