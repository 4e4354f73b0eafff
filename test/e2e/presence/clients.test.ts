/** The clients that people use, as their manuals say to use them: what they get of data, errors and subscriptions. */
import { ApolloClient, gql as document, HttpLink, InMemoryCache, type OperationVariables } from '@apollo/client';
import { CombinedGraphQLErrors } from '@apollo/client/errors';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client as UrqlClient, fetchExchange, subscriptionExchange } from '@urql/core';
import { afterAll, describe, expect, test } from 'vitest';
import { MessageQueue, createLibraryClient } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  endSessions,
  logIn,
  logOut,
  newUserId,
  startSharedServer,
  type StatusChange,
  type LoginResult,
} from '../support/users.ts';

const server = startSharedServer();

const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status previousStatus reason } }';
const STATUS = 'query ($id: ID!) { userStatus(userId: $id) { userId status } }';
const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { sessionToken session { id platform } } }';
const ENDED = 'subscription { sessionEnded { reason kickedBy } }';

interface Told {
  readonly statusChanges: readonly StatusChange[];
}

/** What any of the clients makes of an answer, in the same words. */
interface Seen {
  readonly data: unknown;
  /** `extensions` of the first error, wherever this client shows them. */
  readonly error?: Readonly<Record<string, unknown>> | undefined;
}

interface AnyClient {
  run(operation: string, variables?: OperationVariables): Promise<Seen>;
  subscribe(
    operation: string,
    variables?: OperationVariables,
  ): { readonly results: MessageQueue<Seen>; readonly stop: () => void };
  dispose(): unknown;
}

const apollo = (token: string): AnyClient => {
  const socket = createLibraryClient(server, token);
  const cache = new InMemoryCache();
  const http = new HttpLink({ uri: `${server.origin}/graphql`, headers: { authorization: `Bearer ${token}` } });
  const overHttp = new ApolloClient({ link: http, cache });
  const overSocket = new ApolloClient({ link: new GraphQLWsLink(socket), cache });
  const failed = (error: unknown): Seen => {
    if (!CombinedGraphQLErrors.is(error)) throw error;
    return { data: error.data ?? null, error: error.errors[0]?.extensions };
  };
  return {
    run: async (operation, variables = {}) => {
      const parsed = document(operation);
      const options = { variables, fetchPolicy: 'no-cache' } as const;
      const asked = operation.startsWith('mutation')
        ? overHttp.mutate({ mutation: parsed, ...options })
        : overHttp.query({ query: parsed, ...options });
      return asked.then(({ data }) => ({ data }), failed);
    },
    subscribe: (operation, variables = {}) => {
      const results = new MessageQueue<Seen>();
      // Apollo tells errors as results. A socket that is closed ends what was asked over it.
      const failing = (error: unknown): void => {
        if (CombinedGraphQLErrors.is(error)) results.push(failed(error));
        else results.close(error as Error);
      };
      const subscription = overSocket
        .subscribe({ query: document(operation), variables, fetchPolicy: 'no-cache' })
        .subscribe({
          next: ({ data, error }) => (error === undefined ? results.push({ data }) : failing(error)),
          error: failing,
        });
      return { results, stop: () => subscription.unsubscribe() };
    },
    dispose: () => {
      overHttp.stop();
      overSocket.stop();
      return socket.dispose();
    },
  };
};

const urql =
  (door: 'graphql-ws' | 'SSE') =>
  (token: string): AnyClient => {
    const socket = createLibraryClient(server, token);
    const overSocket = subscriptionExchange({
      forwardSubscription: ({ query = '', ...rest }) => ({
        subscribe: ({ next, error, complete }) => ({
          unsubscribe: socket.subscribe(
            { query, ...rest },
            { next: (result) => next(result as Parameters<typeof next>[0]), error, complete },
          ),
        }),
      }),
    });
    const client = new UrqlClient({
      url: `${server.origin}/graphql`,
      exchanges: door === 'SSE' ? [fetchExchange] : [overSocket, fetchExchange],
      fetchSubscriptions: door === 'SSE',
      fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    });
    const seen = ({
      data,
      error,
    }: {
      data?: unknown;
      error?: { graphQLErrors: readonly { extensions: unknown }[] };
    }): Seen => ({
      data: data ?? null,
      error: error?.graphQLErrors[0]?.extensions as Seen['error'],
    });
    return {
      run: async (operation, variables = {}) =>
        seen(
          operation.startsWith('mutation')
            ? await client.mutation(operation, variables).toPromise()
            : await client.query(operation, variables).toPromise(),
        ),
      subscribe: (operation, variables = {}) => {
        const results = new MessageQueue<Seen>();
        const told = client.subscription(operation, variables).subscribe((result) => results.push(seen(result)));
        return { results, stop: () => told.unsubscribe() };
      },
      dispose: () => socket.dispose(),
    };
  };

const graphqlWs = (token: string): AnyClient => {
  const client = createLibraryClient(server, token);
  const subscribe: AnyClient['subscribe'] = (query, variables = {}) => {
    const results = new MessageQueue<Seen>();
    const stop = client.subscribe<Record<string, unknown>>(
      { query, variables },
      {
        next: ({ data, errors }) => results.push({ data: data ?? null, error: errors?.[0]?.extensions }),
        error: (error) => {
          if (!Array.isArray(error)) results.close(new Error(`The socket was lost: ${JSON.stringify(error)}`));
          else results.push({ data: null, error: (error[0] as { extensions: Seen['error'] }).extensions });
        },
        complete: () => undefined,
      },
    );
    return { results, stop };
  };
  return {
    run: (query, variables) => subscribe(query, variables).results.next(),
    subscribe,
    dispose: () => client.dispose(),
  };
};

const open: AnyClient[] = [];
afterAll(async () => {
  for (const client of open) await client.dispose();
});

describe.each([
  ['@apollo/client', apollo],
  ['@urql/core over graphql-ws', urql('graphql-ws')],
  ['@urql/core over SSE', urql('SSE')],
  ['graphql-ws', graphqlWs],
] as const)('%s', (_, make) => {
  const client = (token: string): AnyClient => {
    const made = make(token);
    open.push(made);
    return made;
  };

  test('asks, logs in, and reads data with and without variables', async () => {
    const user = newUserId();
    const app = client(await mintToken(user));
    expect(await app.run(STATUS, { id: user })).toMatchObject({
      data: { userStatus: { userId: user, status: 'OFFLINE' } },
    });
    const { data } = await app.run(LOGIN, { input: { platform: 'IPHONE', deviceId: 'phone' } });
    const { login } = data as LoginResult;
    expect(login.session.platform).toBe('IPHONE');
    const session = client(login.sessionToken);
    expect(await session.run('{ me { id deviceId } }')).toMatchObject({
      data: { me: { id: login.session.id, deviceId: 'phone' } },
    });
    expect(await session.run('mutation { heartbeat { heartbeatIntervalMs } }')).toMatchObject({
      data: { heartbeat: { heartbeatIntervalMs: 120_000 } },
    });
  });

  test('finds the code of an error, and what goes with it', async () => {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    const app = client(await mintToken(phone.userId));
    expect((await app.run('{ stats { sockets } }')).error).toMatchObject({ code: 'FORBIDDEN' });
    expect((await app.run(STATUS, { id: '' })).error).toMatchObject({ code: 'BAD_USER_INPUT' });
    expect((await app.run(STATUS, { id: { x: 1 } })).error).toMatchObject({ code: 'BAD_USER_INPUT' });
    expect((await app.run('mutation { logout { userStatus { status } } }')).error).toMatchObject({
      code: 'UNAUTHENTICATED',
    });
    expect((await app.run('{ me { mood } }')).error).toMatchObject({ code: 'GRAPHQL_VALIDATION_FAILED' });
    const { results } = app.subscribe('subscription { presenceEvents { cursor } }');
    expect((await results.next()).error).toMatchObject({ code: 'FORBIDDEN' });
  });

  test('subscribes: the present first, then changes; and stops without harm', async () => {
    const user = newUserId();
    const app = client(await mintToken(newUserId()));
    const { results, stop } = app.subscribe(WATCH, { ids: [user] });
    const first = (await results.next()).data as Told;
    expect(first.statusChanges).toMatchObject([{ userId: user, status: 'OFFLINE', previousStatus: null }]);
    const device = await logIn(server, user, 'WEB');
    expect(((await results.next()).data as Told).statusChanges).toMatchObject([{ status: 'ONLINE', reason: 'LOGIN' }]);
    stop();
    await logOut(server, device);
    expect(await app.run(STATUS, { id: user })).toMatchObject({ data: { userStatus: { status: 'OFFLINE' } } });
    expect(results.all).toHaveLength(2);
  });

  test('hears why its session has ended', async () => {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    const app = client(phone.token);
    const { results } = app.subscribe(ENDED);
    const watching = app.subscribe(WATCH, { ids: [phone.userId] });
    await watching.results.next();
    await logIn(server, phone.userId, 'WEB');
    expect((await results.next()).data).toMatchObject({ sessionEnded: { reason: 'KICKED', kickedBy: 'WEB' } });
  });
});

test('over HTTP the end of a session is an error that tells why, to Apollo and to urql', async () => {
  for (const make of [apollo, urql('SSE')]) {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    await endSessions(server, { userId: phone.userId });
    const app = make(phone.token);
    open.push(app);
    expect((await app.run('{ me { id } }')).error).toMatchObject({
      code: 'SESSION_ENDED',
      reason: 'REVOKED',
      kickedBy: null,
    });
  }
});
