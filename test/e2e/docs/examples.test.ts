/** Every example of README's table of the API is accepted, from whom it says. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openStream } from '../../support/crash/crash-stream.ts';
import { ask, gql } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { logIn, newUser, sharedServer, updatePolicy } from '../support/users.ts';

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

/** What is to be done, and the GraphQL that does it. */
const examples = [...README.matchAll(/^\| ([^|]+?) +\| `((?:mutation|subscription)? ?\{.+?\})`/gm)].map(
  ([, what = '', query = '']) => ({ what, query }),
);

describe('the API by example', () => {
  const server = sharedServer();

  test('there are examples, of every kind', () => {
    expect(examples.length).toBeGreaterThanOrEqual(14);
    for (const kind of [/^mutation/, /^subscription/, /^\{/]) {
      expect(examples.some(({ query }) => kind.test(query))).toBe(true);
    }
  });

  test.each(examples)('to $what', async ({ what, query }) => {
    const { latestCursor } = await ask<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }');
    const userId = newUser();
    const device = await logIn(server, userId, 'IPHONE');
    const jwt = await mintToken(userId);
    const caller = (): string => {
      if (what.includes('(backend)')) return server.apiKey;
      return query.includes('login') ? jwt : device.token;
    };
    const runnable = query.replace('"…"', JSON.stringify(latestCursor));
    if (!query.startsWith('subscription')) {
      const answer = await gql<unknown>(server, caller(), runnable);
      expect(answer.errors).toBeUndefined();
      expect(answer.data).toBeTruthy();
    } else {
      const stream = openStream<unknown>(server, caller(), runnable);
      // Another login ends this session, which is something to tell for each of them.
      await ask(server, jwt, 'mutation { login(input: { platform: ANDROID }) { sessionToken } }');
      const first = await stream.inbox.next();
      expect(first.errors).toBeUndefined();
      stream.cut();
    }
    await updatePolicy(server, { multiDevice: { mode: 'SINGLE' } });
  });
});
