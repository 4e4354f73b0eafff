/** Popular GraphQL clients, used as their documentation describes: data, errors and subscriptions. */
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

interface ChangesResult {
  readonly statusChanges: readonly StatusChange[];
}

/** The result of an operation in a form that is common to all clients. */
interface ClientResult {
  readonly data: unknown;
  /** `extensions` of the first error, wherever this client shows them. */
  readonly error?: Readonly<Record<string, unknown>> | undefined;
}

interface TestedClient {
  run(operation: string, variables?: OperationVariables): Promise<ClientResult>;
  subscribe(
    operation: string,
    variables?: OperationVariables,
  ): { readonly results: MessageQueue<ClientResult>; readonly stop: () => void };
  dispose(): unknown;
}

const createApolloClient = (token: string): TestedClient => {
  const socket = createLibraryClient(server, token);
  const cache = new InMemoryCache();
  const http = new HttpLink({ uri: `${server.origin}/graphql`, headers: { authorization: `Bearer ${token}` } });
  const overHttp = new ApolloClient({ link: http, cache });
  const overSocket = new ApolloClient({ link: new GraphQLWsLink(socket), cache });
  const toFailedResult = (error: unknown): ClientResult => {
    if (!CombinedGraphQLErrors.is(error)) throw error;
    return { data: error.data ?? null, error: error.errors[0]?.extensions };
  };
  return {
    run: async (operation, variables = {}) => {
      const parsed = document(operation);
      const options = { variables, fetchPolicy: 'no-cache' } as const;
      const result = operation.startsWith('mutation')
        ? overHttp.mutate({ mutation: parsed, ...options })
        : overHttp.query({ query: parsed, ...options });
      return result.then(({ data }) => ({ data }), toFailedResult);
    },
    subscribe: (operation, variables = {}) => {
      const results = new MessageQueue<ClientResult>();
      // Apollo reports errors as results. The close of a socket ends its operations.
      const handleError = (error: unknown): void => {
        if (CombinedGraphQLErrors.is(error)) results.push(toFailedResult(error));
        else results.close(error as Error);
      };
      const subscription = overSocket
        .subscribe({ query: document(operation), variables, fetchPolicy: 'no-cache' })
        .subscribe({
          next: ({ data, error }) => (error === undefined ? results.push({ data }) : handleError(error)),
          error: handleError,
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

const urqlClientOver =
  (transport: 'graphql-ws' | 'SSE') =>
  (token: string): TestedClient => {
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
      exchanges: transport === 'SSE' ? [fetchExchange] : [overSocket, fetchExchange],
      fetchSubscriptions: transport === 'SSE',
      fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    });
    const toResult = ({
      data,
      error,
    }: {
      data?: unknown;
      error?: { graphQLErrors: readonly { extensions: unknown }[] };
    }): ClientResult => ({
      data: data ?? null,
      error: error?.graphQLErrors[0]?.extensions as ClientResult['error'],
    });
    return {
      run: async (operation, variables = {}) =>
        toResult(
          operation.startsWith('mutation')
            ? await client.mutation(operation, variables).toPromise()
            : await client.query(operation, variables).toPromise(),
        ),
      subscribe: (operation, variables = {}) => {
        const results = new MessageQueue<ClientResult>();
        const subscription = client
          .subscription(operation, variables)
          .subscribe((result) => results.push(toResult(result)));
        return { results, stop: () => subscription.unsubscribe() };
      },
      dispose: () => socket.dispose(),
    };
  };

const createGraphqlWsClient = (token: string): TestedClient => {
  const client = createLibraryClient(server, token);
  const subscribe: TestedClient['subscribe'] = (query, variables = {}) => {
    const results = new MessageQueue<ClientResult>();
    const stop = client.subscribe<Record<string, unknown>>(
      { query, variables },
      {
        next: ({ data, errors }) => results.push({ data: data ?? null, error: errors?.[0]?.extensions }),
        error: (error) => {
          if (!Array.isArray(error)) results.close(new Error(`The socket was lost: ${JSON.stringify(error)}`));
          else results.push({ data: null, error: (error[0] as { extensions: ClientResult['error'] }).extensions });
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

const openClients: TestedClient[] = [];
afterAll(async () => {
  for (const client of openClients) await client.dispose();
});

describe.each([
  ['@apollo/client', createApolloClient],
  ['@urql/core over graphql-ws', urqlClientOver('graphql-ws')],
  ['@urql/core over SSE', urqlClientOver('SSE')],
  ['graphql-ws', createGraphqlWsClient],
] as const)('%s', (_, make) => {
  const openClient = (token: string): TestedClient => {
    const client = make(token);
    openClients.push(client);
    return client;
  };

  test('runs queries and mutations with and without variables', async () => {
    const user = newUserId();
    const app = openClient(await mintToken(user));
    expect(await app.run(STATUS, { id: user })).toMatchObject({
      data: { userStatus: { userId: user, status: 'OFFLINE' } },
    });
    const { data } = await app.run(LOGIN, { input: { platform: 'IPHONE', deviceId: 'phone' } });
    const { login } = data as LoginResult;
    expect(login.session.platform).toBe('IPHONE');
    const session = openClient(login.sessionToken);
    expect(await session.run('{ me { id deviceId } }')).toMatchObject({
      data: { me: { id: login.session.id, deviceId: 'phone' } },
    });
    expect(await session.run('mutation { heartbeat { heartbeatIntervalMs } }')).toMatchObject({
      data: { heartbeat: { heartbeatIntervalMs: 120_000 } },
    });
  });

  test('reads the extensions of an error', async () => {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    const app = openClient(await mintToken(phone.userId));
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

  test('receives the initial statuses, then changes, and can unsubscribe', async () => {
    const user = newUserId();
    const app = openClient(await mintToken(newUserId()));
    const { results, stop } = app.subscribe(WATCH, { ids: [user] });
    const first = (await results.next()).data as ChangesResult;
    expect(first.statusChanges).toMatchObject([{ userId: user, status: 'OFFLINE', previousStatus: null }]);
    const device = await logIn(server, user, 'WEB');
    expect(((await results.next()).data as ChangesResult).statusChanges).toMatchObject([
      { status: 'ONLINE', reason: 'LOGIN' },
    ]);
    stop();
    await logOut(server, device);
    expect(await app.run(STATUS, { id: user })).toMatchObject({ data: { userStatus: { status: 'OFFLINE' } } });
    expect(results.all).toHaveLength(2);
  });

  test('receives the reason for the end of its session', async () => {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    const app = openClient(phone.token);
    const { results } = app.subscribe(ENDED);
    const watching = app.subscribe(WATCH, { ids: [phone.userId] });
    await watching.results.next();
    await logIn(server, phone.userId, 'WEB');
    expect((await results.next()).data).toMatchObject({ sessionEnded: { reason: 'KICKED', kickedBy: 'WEB' } });
  });
});

test('Apollo and urql over HTTP get SESSION_ENDED with the reason after the session has ended', async () => {
  for (const make of [createApolloClient, urqlClientOver('SSE')]) {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    await endSessions(server, { userId: phone.userId });
    const app = make(phone.token);
    openClients.push(app);
    expect((await app.run('{ me { id } }')).error).toMatchObject({
      code: 'SESSION_ENDED',
      reason: 'REVOKED',
      kickedBy: null,
    });
  }
});
