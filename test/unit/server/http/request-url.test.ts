import { expect, test } from 'vitest';
import { splitRequestUrl, toOriginForm } from '../../../../src/server/http/request-url.ts';

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

test.each([
  ['/graphql?query={a}', '/graphql?query={a}', 'sent'],
  ['//other/graphql', '//other/graphql', 'sent'],
  ['*', '*', 'sent'],
  ['http://presence.example.com/graphql?a=http://x', '/graphql?a=http://x', 'presence.example.com'],
  ['HTTPS://presence.example.com:8443/', '/', 'presence.example.com:8443'],
  ['http://presence.example.com', '/', 'presence.example.com'],
  ['http://presence.example.com?a', '/?a', 'presence.example.com'],
  ['http:///graphql', 'http:///graphql', 'sent'],
  ['ftp://presence.example.com/', 'ftp://presence.example.com/', 'sent'],
])('changes the URL %j to %j, and its host to %j', (url, path, host) => {
  const request = { url, headers: { host: 'sent' } };
  toOriginForm(request);
  expect(request).toEqual({ url: path, headers: { host } });
});
