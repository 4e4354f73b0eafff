/** The tabs that GraphiQL opens with: the main job from the first login to the event feed, explained where it is done. */

/** A tab as GraphiQL takes it; variables and headers are JSON in text. */
export interface GraphiqlTab {
  readonly query: string;
  readonly variables: string;
  readonly headers: string;
}

/** What stands between these is for the user to replace, and is never sent. */
const PLACEHOLDER = /<[^>]*>/;

export const hasPlaceholder = (authorization: string): boolean => PLACEHOLDER.test(authorization);

const bearer = (what: string): string => JSON.stringify({ authorization: `Bearer <paste: ${what}>` }, null, 2);

/** Of a tab that the user opens. */
export const DEFAULT_HEADERS = bearer('a token or an API key');

const json = (value: unknown): string => JSON.stringify(value, null, 2);

const logIn: GraphiqlTab = {
  headers: bearer('npx porchlight token --user alice'),
  variables: json({ input: { platform: 'ANDROID', deviceId: 'phone' } }),
  query: `# 1. Log in: alice has a session, and is ONLINE.
#
# In a terminal:
#   npx porchlight token --user alice
# Open "Headers" below, put what it prints in the
# place of <paste: …>, and press Ctrl-Enter.
#
# Without a token nobody may read the schema:
# docs and completion come with the first one.
#
# Later, log in again as "WINDOWS" with another
# deviceId: the phone is then listed as kicked.

mutation LogIn($input: LoginInput!) {
  login(input: $input) {
    sessionToken
    heartbeatIntervalMs
    heartbeatTimeoutMs
    session {
      id
      userId
      platform
      deviceId
      status
    }
    kicked {
      id
      platform
      deviceId
    }
  }
}
`,
};

const beat: GraphiqlTab = {
  headers: bearer('the sessionToken that LogIn returned'),
  variables: json({ input: { appState: 'FOREGROUND' } }),
  query: `# 2. Beat: a sign of life.
#
# "Headers" takes the sessionToken that LogIn
# returned.
#
# A session that is silent for heartbeatTimeoutMs
# becomes PUSH_ONLINE where its platform can, and
# ends where not. The next beat brings one that is
# PUSH_ONLINE back.
#
# "appState" is "FOREGROUND" or "BACKGROUND".

mutation Beat($input: HeartbeatInput) {
  heartbeat(input: $input) {
    session {
      id
      platform
      status
      appState
      attached
      lastSeenAt
    }
    heartbeatIntervalMs
    heartbeatTimeoutMs
  }
}
`,
};

const watchTwoUsers: GraphiqlTab = {
  headers: bearer('npx porchlight token --user bob'),
  variables: json({ userIds: ['alice', 'bob'] }),
  query: `# 3. Watch two users: first the present status of
#    both, then each change as it happens. The
#    newest message is on top.
#
# Open it in a browser tab of its own: GraphiQL
# stops a subscription when you leave its tab.
#
# It has a WebSocket of its own, which shows the
# "authorization" of "Headers" and is closed when
# you press stop. With a sessionToken there it
# attaches the session: stop, and see it drop.

subscription WatchTwoUsers($userIds: [ID!]!) {
  statusChanges(userIds: $userIds) {
    userId
    status
    previousStatus
    reason
    platform
    version
    changedAt
    lastSeenAt
    customStatus
  }
}
`,
};

const followTheFeed: GraphiqlTab = {
  headers: bearer('the API key in data/api-key'),
  variables: json({ after: null }),
  query: `# 4. Follow the feed, as a backend: every event of
#    every session, the newest message on top.
#
# "Headers" takes an API key: the first start of
# the server left one in the file data/api-key.
#
# With a cursor as "after" it begins right behind
# that event and misses none; with null, now.

subscription FollowTheFeed($after: Cursor) {
  presenceEvents(after: $after) {
    cursor
    changeId
    userId
    platform
    deviceId
    reason
    kickedBy
    sessionStatus
    previousStatus
    status
    version
    occurredAt
  }
}
`,
};

const askForStatus: GraphiqlTab = {
  headers: bearer('npx porchlight token --user bob'),
  variables: json({ userIds: ['alice', 'bob'] }),
  query: `# 5. Ask: up to 500 users at once, in the order
#    asked. One who was never seen is OFFLINE, with
#    version 0.

query AskForStatus($userIds: [ID!]!) {
  userStatuses(userIds: $userIds) {
    userId
    status
    reason
    version
    changedAt
    lastSeenAt
    customStatus
  }
}
`,
};

export const DEFAULT_TABS: readonly [GraphiqlTab, ...GraphiqlTab[]] = [
  logIn,
  beat,
  watchTwoUsers,
  followTheFeed,
  askForStatus,
];
