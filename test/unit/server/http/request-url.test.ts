import { expect, test } from 'vitest';
import { splitRequestUrl } from '../../../../src/server/http/request-url.ts';

test.each([
  ['/graphql', '/graphql', ''],
  ['/graphql?query={a}', '/graphql', 'query={a}'],
  ['/graphql?a=1?b=2', '/graphql', 'a=1?b=2'],
  ['/graphql?', '/graphql', ''],
  ['?a', '', 'a'],
  ['//host/%zz?%zz', '//host/%zz', '%zz'],
  [undefined, '/', ''],
])('splits the URL %j into the path %j and the query %j', (url, path, query) => {
  expect(splitRequestUrl(url === undefined ? {} : { url })).toEqual({ path, query });
});
