/** The tabs that GraphiQL opens with. Together they are a tutorial, from the first login to the event feed. */

/** A tab in the format of GraphiQL; variables and headers are JSON text. */
export interface GraphiqlTab {
  readonly query: string;
  readonly variables: string;
  readonly headers: string;
}

/** The user must replace this text. Headers that contain it are never sent. */
const PLACEHOLDER = /<[^>]*>/;

export const hasPlaceholder = (authorization: string): boolean => PLACEHOLDER.test(authorization);

const createHeaders = (what: string): string => JSON.stringify({ authorization: `Bearer <paste: ${what}>` }, null, 2);

/** The headers of a new tab. */
export const DEFAULT_HEADERS = createHeaders('a token or an API key');

const formatJson = (value: unknown): string => JSON.stringify(value, null, 2);

const LOG_IN_TAB: GraphiqlTab = {
  headers: createHeaders('npx porchlight token --user alice'),
  variables: formatJson({ input: { platform: 'ANDROID', deviceId: 'phone' } }),
  query: `# 1. Log in as alice. The login creates a session,
#    and alice is ONLINE.
#
# In a terminal:
#   npx porchlight token --user alice
# Open "Headers" below, replace <paste: …> with
# the printed token, and press Ctrl-Enter.
#
# Docs and completion need a credential that may
# read the schema; by default that is an API key.
#
# Later, log in again as "WINDOWS" with another
# deviceId. The phone is then listed as kicked.

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

const HEARTBEAT_TAB: GraphiqlTab = {
  headers: createHeaders('the sessionToken that LogIn returned'),
  variables: formatJson({ input: { appState: 'FOREGROUND' } }),
  query: `# 2. Send a heartbeat.
#
# Put the sessionToken that LogIn returned into
# "Headers".
#
# A session without activity for
# heartbeatTimeoutMs becomes PUSH_ONLINE if its
# platform supports it; otherwise it ends. The
# next heartbeat makes a PUSH_ONLINE session
# ONLINE again.
#
# "appState" is "FOREGROUND" or "BACKGROUND".

mutation Heartbeat($input: HeartbeatInput) {
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

const WATCH_TAB: GraphiqlTab = {
  headers: createHeaders('npx porchlight token --user bob'),
  variables: formatJson({ userIds: ['alice', 'bob'] }),
  query: `# 3. Watch two users. You receive the present
#    status of both, then each change. The newest
#    message is on top.
#
# Open this page in a second browser tab for it:
# GraphiQL stops a subscription when you leave
# its tab.
#
# The subscription has a WebSocket of its own. It
# sends the "authorization" of "Headers", and it
# closes when you press stop. With a sessionToken
# it attaches the session: press stop, and the
# session disconnects.

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

const EVENT_FEED_TAB: GraphiqlTab = {
  headers: createHeaders('the API key in data/api-key'),
  variables: formatJson({ after: null }),
  query: `# 4. Follow the events of all sessions, as a
#    backend. The newest message is on top.
#
# "Headers" needs an API key. The first start of
# the server wrote one to the file data/api-key.
#
# With a cursor in "after" the feed starts after
# that event and skips none. With null it starts
# now.

subscription FollowEvents($after: Cursor) {
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

const QUERY_TAB: GraphiqlTab = {
  headers: createHeaders('npx porchlight token --user bob'),
  variables: formatJson({ userIds: ['alice', 'bob'] }),
  query: `# 5. Query the statuses of up to 500 users at
#    once, in the requested order. A user who never
#    logged in is OFFLINE with version 0.

query QueryStatuses($userIds: [ID!]!) {
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
  LOG_IN_TAB,
  HEARTBEAT_TAB,
  WATCH_TAB,
  EVENT_FEED_TAB,
  QUERY_TAB,
];
