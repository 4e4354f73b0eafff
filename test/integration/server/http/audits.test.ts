/** Runs the audit suite of the GraphQL-over-HTTP specification. */
import { serverAudits } from 'graphql-http';
import { expect, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';

const audits = serverAudits({ url: 'http://unknown.invalid' });

test.each(audits.map(({ id, name }) => [id, name]))('passes the audit %s: %s', async (id) => {
  const harness = await ServerHarness.open();
  const audit = serverAudits({
    url: `${harness.url}/graphql`,
    fetchFn: (url: string, init: RequestInit = {}) => {
      const headers = new Headers(init.headers);
      headers.set('authorization', `Bearer ${API_KEY}`);
      return fetch(url, { ...init, headers });
    },
  }).find((candidate) => candidate.id === id);
  // The server follows the SHOULD and MAY requirements, too.
  expect(await audit?.fn()).toMatchObject({ status: 'ok' });
});
