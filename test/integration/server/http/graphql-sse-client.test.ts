/** The client of graphql-sse: distinct connections work, and the single connection mode is refused with words. */
import { createClient, type Client } from 'graphql-sse';
import { describe, expect, onTestFinished, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';

const REFUSAL =
  'The single connection mode of graphql-sse is not supported. Set singleConnection to false, or use a WebSocket.';
const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status } }';
const authorization = { authorization: `Bearer ${API_KEY}` };

const connect = ({ url }: ServerHarness): Client =>
  track(createClient({ url: `${url}/graphql`, headers: authorization }));

const track = <T extends Pick<Client, 'dispose'>>(client: T): T => {
  onTestFinished(() => client.dispose());
  return client;
};

/** `next` resolves to the next result that the client receives, and rejects with the error of the subscription. */
const openSubscription = (client: Client<boolean>, query: string, variables: Record<string, unknown> = {}) => {
  const results: unknown[] = [];
  let notify = (): void => undefined;
  let failure: Error | null = null;
  let isComplete = false;
  const stop = client.subscribe(
    { query, variables },
    {
      next: (result) => void (results.push(result), notify()),
      error: (error) => void ((failure = error as Error), notify()),
      complete: () => void ((isComplete = true), notify()),
    },
  );
  const next = async (): Promise<unknown> => {
    while (results.length === 0) {
      if (failure !== null) throw failure;
      if (isComplete) return 'complete';
      await new Promise<void>((resolve) => (notify = resolve));
    }
    return results.shift();
  };
  return { next, stop };
};

describe('in distinct connections mode', () => {
  test('a subscription receives the present status and changes, and stops', async () => {
    const harness = await ServerHarness.open();
    const { next, stop } = openSubscription(connect(harness), WATCH, { ids: ['bob'] });
    expect(await next()).toEqual({ data: { statusChanges: [{ userId: 'bob', status: 'OFFLINE' }] } });
    await harness.login('bob');
    expect(await next()).toEqual({ data: { statusChanges: [{ userId: 'bob', status: 'ONLINE' }] } });
    stop();
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test.each([
    ['a query', '{ __typename }', { data: { __typename: 'Query' } }],
    ['an invalid document', '{ nothing }', { errors: [{ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }] }],
  ])('%s receives its result and is complete', async (_what, query, result) => {
    const { next } = openSubscription(connect(await ServerHarness.open()), query);
    expect(await next()).toMatchObject(result);
    expect(await next()).toBe('complete');
  });
});

describe('in single connection mode', () => {
  test.each([true, false])('the client shows why it is refused, with lazy: %s', async (lazy) => {
    const harness = await ServerHarness.open();
    const client = createClient({
      url: `${harness.url}/graphql`,
      singleConnection: true,
      lazy,
      retryAttempts: 0,
      onNonLazyError: () => undefined,
    });
    const { next } = openSubscription(track(client), WATCH, { ids: ['bob'] });
    await expect(next()).rejects.toThrow(`Server responded with 405: ${REFUSAL}`);
    expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test.each<[string, string, RequestInit, number]>([
    ['a reservation', '', { method: 'PUT' }, 405],
    ['a stream with a token in the URL', '?token=x', { headers: { accept: 'text/event-stream' } }, 400],
    [
      'a stream with a token in the header',
      '',
      { headers: { accept: 'text/event-stream', 'x-graphql-event-stream-token': 'x' } },
      400,
    ],
    [
      'an operation with a token, which is not executed',
      '',
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-graphql-event-stream-token': 'x' },
        body: JSON.stringify({
          query: 'mutation { endSessions(input: { userId: "bob" }) { ended { id } } }',
          extensions: { operationId: '1' },
        }),
      },
      400,
    ],
  ])('the answer to %s has the reason', async (_what, search, init, status) => {
    const harness = await ServerHarness.open();
    await harness.login('bob');
    const response = await fetch(`${harness.url}/graphql${search}`, {
      ...init,
      headers: { ...authorization, ...(init.headers as Record<string, string>) },
    });
    expect(await response.text()).toContain(JSON.stringify({ message: REFUSAL, extensions: { code: 'BAD_REQUEST' } }));
    expect(response.status).toBe(status);
    expect(await harness.status('bob')).toBe('ONLINE');
  });

  test('the answer to another method names the methods that are accepted', async () => {
    const { url } = await ServerHarness.open();
    const response = await fetch(`${url}/graphql?operationId=1`, { method: 'DELETE' });
    expect([response.status, response.headers.get('allow'), await response.json()]).toEqual([
      405,
      'GET, POST',
      { errors: [{ message: '/graphql accepts GET and POST, but not DELETE.', extensions: { code: 'BAD_REQUEST' } }] },
    ]);
  });
});
