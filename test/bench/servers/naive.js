// Presence as one writes it in an afternoon: graphql-yoga, its pubsub, graphql-ws and a setTimeout a session. It keeps
// everything in memory and speaks the part of Porchlight's API that the bench uses.
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { clearTimeout } from 'node:timers';
import { useServer } from 'graphql-ws/use/ws';
import { createPubSub, createSchema, createYoga } from 'graphql-yoga';
import { jwtVerify } from 'jose';
import { WebSocketServer } from 'ws';

const secret = Buffer.from(process.env['JWT_SECRET'] ?? '');
const TIMEOUT_MS = 400_000;

/** @typedef {{ userId: string, status: string, previousStatus: string | null, reason: string | null, version: number, customStatus: string | null }} User */

/** @type {Map<string, User>} */
const users = new Map();
/** @type {Map<string, { userId: string, timer: ReturnType<typeof setTimeout> }>} */
const sessions = new Map();
const pubSub = createPubSub();

/** @param {string} userId @returns {User} */
const userOf = (userId) =>
  users.get(userId) ?? {
    userId,
    status: 'OFFLINE',
    previousStatus: null,
    reason: null,
    version: 0,
    customStatus: null,
  };

/** @param {string} userId @param {Partial<User>} change */
function change(userId, change) {
  const before = userOf(userId);
  const user = { ...before, ...change, previousStatus: before.status, version: before.version + 1 };
  users.set(userId, user);
  pubSub.publish(`user:${userId}`, user);
  return user;
}

/** @param {string} userId @param {string} token */
function arm(userId, token) {
  clearTimeout(sessions.get(token)?.timer);
  const timer = setTimeout(() => {
    sessions.delete(token);
    change(userId, { status: 'OFFLINE', reason: 'HEARTBEAT_TIMEOUT' });
  }, TIMEOUT_MS);
  sessions.set(token, { userId, timer });
}

/** @param {string} authorization */
async function callerOf(authorization) {
  const token = authorization.replace(/^Bearer /, '');
  const session = sessions.get(token);
  if (session !== undefined) return { userId: session.userId, token };
  const { payload } = await jwtVerify(token, secret, { algorithms: ['HS256'] });
  return { userId: payload.sub ?? '', token };
}

/** @typedef {{ caller: { userId: string, token: string }, attached?: { token?: string } }} Context */

/** @param {readonly string[]} ids */
async function* changesOf(ids) {
  yield ids.map(userOf);
  const all = ids.map((id) => pubSub.subscribe(`user:${id}`));
  if (all[0] !== undefined && all.length === 1) for await (const user of all[0]) yield [user];
  // Of many, the first to say something each time.
  const waiting = all.map((each, index) => each.next().then((result) => ({ index, result })));
  while (waiting.length > 0) {
    const { index, result } = await Promise.race(waiting);
    const each = all[index];
    if (result.done || each === undefined) return;
    waiting[index] = each.next().then((next) => ({ index, result: next }));
    yield [result.value];
  }
}

const schema = createSchema({
  typeDefs: `
    input LoginInput { platform: String! deviceId: ID }
    input SetCustomStatusInput { text: String }
    type Session { id: ID! platform: String }
    type Login { sessionToken: String! heartbeatIntervalMs: Int! session: Session! kicked: [Session!]! }
    type Heartbeat { heartbeatIntervalMs: Int! }
    type User { userId: ID! status: String! previousStatus: String reason: String version: Int! customStatus: String }
    type SetCustomStatus { userStatus: User! }
    type Query { userStatus(userId: ID!): User! }
    type Mutation {
      login(input: LoginInput!): Login!
      heartbeat: Heartbeat!
      setCustomStatus(input: SetCustomStatusInput!): SetCustomStatus!
    }
    type Subscription { statusChanges(userIds: [ID!]!): [User!]! }
  `,
  resolvers: {
    Query: { userStatus: (_, { userId }) => userOf(userId) },
    Mutation: {
      login: (_, { input }, /** @type {Context} */ { caller, attached }) => {
        const token = randomUUID();
        if (attached !== undefined) attached.token = token;
        arm(caller.userId, token);
        change(caller.userId, { status: 'ONLINE', reason: 'LOGIN' });
        return { sessionToken: token, heartbeatIntervalMs: 1_000, session: { id: token, ...input }, kicked: [] };
      },
      heartbeat: (_, _args, /** @type {Context} */ { caller }) => {
        arm(caller.userId, caller.token);
        return { heartbeatIntervalMs: 1_000 };
      },
      setCustomStatus: (_, { input }, /** @type {Context} */ { caller }) => ({
        userStatus: change(caller.userId, { customStatus: input.text, reason: 'CUSTOM_STATUS' }),
      }),
    },
    Subscription: {
      statusChanges: {
        subscribe: (_, { userIds }) => changesOf(userIds),
        resolve: (/** @type {User[]} */ changed) => changed,
      },
    },
  },
});

const yoga = createYoga({
  schema,
  logging: false,
  context: async ({ request }) => ({ caller: await callerOf(request.headers.get('authorization') ?? '') }),
});
const http = createServer((request, response) => void yoga(request, response));
const sockets = new WebSocketServer({ server: http, path: '/graphql', perMessageDeflate: false });
useServer(
  {
    schema,
    context: async ({ connectionParams, extra }) => ({
      caller: await callerOf(String(connectionParams?.['authorization'])),
      attached: extra,
    }),
    onDisconnect: ({ extra }) => {
      const token = /** @type {{ token?: string }} */ (extra).token ?? '';
      const session = sessions.get(token);
      if (session === undefined) return;
      clearTimeout(session.timer);
      sessions.delete(token);
      change(session.userId, { status: 'OFFLINE', reason: 'DISCONNECT' });
    },
  },
  sockets,
);
// The bench's connections are silent while its other peers are measured; 5 s would be too short.
http.keepAliveTimeout = 600_000;
http.listen(0, '127.0.0.1', () => {
  const address = http.address();
  if (address !== null && typeof address === 'object') console.log(`ready at http://127.0.0.1:${address.port}`);
});
process.on('SIGTERM', () => process.exit(0));
