/** Every example in the table of docs/api.md is accepted by the server, from the caller that the table names. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openStream } from '../../support/crash/event-stream.ts';
import { postForData, postOperation } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { logIn, newUserId, startSharedServer, updatePolicy } from '../support/users.ts';

const PAGE = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8');

const examples = [...PAGE.matchAll(/^\| ([^|]+?) +\| `((?:mutation|subscription)? ?\{.+?\})`/gm)].map(
  ([, purpose = '', query = '']) => ({ purpose, query }),
);

describe('the examples of docs/api.md', () => {
  const server = startSharedServer();

  test('finds queries, mutations and subscriptions in docs/api.md', () => {
    expect(examples.length).toBeGreaterThanOrEqual(17);
    for (const kind of [/^mutation/, /^subscription/, /^\{/]) {
      expect(examples.some(({ query }) => kind.test(query))).toBe(true);
    }
  });

  test.each(examples)('answers the example of docs/api.md without an error: $purpose', async ({ purpose, query }) => {
    const { latestCursor } = await postForData<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }');
    const userId = newUserId();
    const device = await logIn(server, userId, 'IPHONE');
    const jwt = await mintToken(userId);
    const credential = (): string => {
      if (purpose.includes('(backend)')) return server.apiKey;
      return query.includes('login') ? jwt : device.token;
    };
    const runnable = query.replace('"…"', JSON.stringify(latestCursor));
    if (!query.startsWith('subscription')) {
      const answer = await postOperation<unknown>(server, credential(), runnable);
      expect(answer.errors).toBeUndefined();
      expect(answer.data).toBeTruthy();
    } else {
      const stream = openStream<unknown>(server, credential(), runnable);
      // Another login ends this session, so that every subscription has something to deliver.
      await postForData(server, jwt, 'mutation { login(input: { platform: ANDROID }) { sessionToken } }');
      const first = await stream.inbox.next();
      expect(first.errors).toBeUndefined();
      stream.disconnect();
    }
    await updatePolicy(server, { multiDevice: { mode: 'SINGLE' } });
  });
});
