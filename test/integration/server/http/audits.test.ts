/** What the GraphQL-over-HTTP specification asks of a server, by its own audit suite. */
import { serverAudits } from 'graphql-http';
import { expect, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';

const audits = serverAudits({ url: 'http://unknown.invalid' });

test.each(audits.map(({ id, name }) => [id, name]))('%s %s', async (id) => {
  const harness = await ServerHarness.open();
  const audit = serverAudits({
    url: `${harness.url}/graphql`,
    fetchFn: (url: string, init: RequestInit = {}) => {
      const headers = new Headers(init.headers);
      headers.set('authorization', `Bearer ${API_KEY}`);
      return fetch(url, { ...init, headers });
    },
  }).find((candidate) => candidate.id === id);
  // SHOULD and MAY too: there is none that we do otherwise.
  expect(await audit?.fn()).toMatchObject({ status: 'ok' });
});
