import { describe, expect, test } from 'vitest';
import { orderAcceptByWeight, selectJsonMediaType } from '../../../../src/server/http/media-types.ts';

const JSON_TYPE = 'application/json';
const GRAPHQL_TYPE = 'application/graphql-response+json';

describe('selectJsonMediaType', () => {
  test.each<[string | undefined, string | null]>([
    [undefined, JSON_TYPE],
    ['*/*', JSON_TYPE],
    ['application/*', JSON_TYPE],
    ['application/json', JSON_TYPE],
    ['Application/JSON; charset=UTF-8', JSON_TYPE],
    ['application/graphql-response+json', GRAPHQL_TYPE],
    ['application/json, application/graphql-response+json', JSON_TYPE],
    ['application/graphql-response+json, application/json', GRAPHQL_TYPE],
    ['application/graphql-response+json, application/json;q=0.9', GRAPHQL_TYPE],
    ['application/json;q=0.5, application/graphql-response+json', GRAPHQL_TYPE],
    ['application/json;q=0.5, application/graphql-response+json;q=0.4', JSON_TYPE],
    ['application/graphql-response+json;q=0, application/json;q=0.1', JSON_TYPE],
    ['application/json; charset=latin1, application/graphql-response+json', GRAPHQL_TYPE],
    ['text/html, */*;q=0.1', JSON_TYPE],
    ['application/json;q=0', null],
    ['application/json; charset=latin1', null],
    ['text/event-stream', null],
    ['text/html', null],
    ['nonsense', null],
    ['', null],
  ])('selects for the Accept header %j the type %j', (accept, expected) => {
    // The second call reads the cache.
    expect(selectJsonMediaType(accept)).toBe(expected);
    expect(selectJsonMediaType(accept)).toBe(expected);
  });
});

describe('orderAcceptByWeight', () => {
  test.each([
    [
      'application/json;q=0.5, application/graphql-response+json',
      'application/graphql-response+json, application/json',
    ],
    ['text/event-stream;q=0, */*;q=0.1, application/json;q=0.5', 'application/json, */*'],
    ['application/json, text/event-stream; charset=utf-8', 'application/json, text/event-stream; charset=utf-8'],
    ['application/json;q=0', 'application/json;q=0'],
    ['', ''],
  ])('turns %j into %j', (accept, expected) => {
    expect(orderAcceptByWeight(accept)).toBe(expected);
  });
});
