/** Helpers of the end-to-end tests: servers, users, devices and watchers. */
import { afterAll, beforeAll, expect } from 'vitest';
import {
  postForData,
  dataOf,
  MESSAGE_TIMEOUT_MS,
  MessageQueue,
  GraphqlSocket,
  type GraphqlResult,
} from '../../support/porchlight-client.ts';
import {
  mintToken,
  startPorchlight,
  type PorchlightProcess,
  type StartOptions,
} from '../../support/porchlight-process.ts';

export type Platform = 'ANDROID' | 'IPHONE' | 'IPAD' | 'WINDOWS' | 'MAC' | 'LINUX' | 'WEB' | 'MINI_PROGRAM';
export type Status = 'ONLINE' | 'PUSH_ONLINE' | 'OFFLINE';
export type Server = Pick<PorchlightProcess, 'origin' | 'apiKey'>;

export const PLATFORMS: readonly Platform[] = [
  'ANDROID',
  'IPHONE',
  'IPAD',
  'WINDOWS',
  'MAC',
  'LINUX',
  'WEB',
  'MINI_PROGRAM',
];

/** Stops a server. Expects exit code 0 and no error, uncaught exception or unhandled rejection in its output. */
export const stopCleanly = async (server: PorchlightProcess): Promise<void> => {
  await using stopping = server;
  expect(await stopping.stop()).toEqual({ code: 0, signal: null });
  expect(stopping.output()).not.toMatch(/uncaught|unhandled|"level":"(error|fatal)"/i);
};

/** Starts one server for all tests of a file. After the tests it must stop cleanly. */
export const startSharedServer = (options: StartOptions = {}): Server => {
  let server: PorchlightProcess | null = null;
  const started = (): PorchlightProcess => {
    if (server === null) throw new Error('The server is available only while tests run.');
    return server;
  };
  beforeAll(async () => {
    server = await startPorchlight(options);
  });
  afterAll(async () => {
    if (server !== null) await stopCleanly(server);
  });
  return {
    get origin() {
      return started().origin;
    },
    get apiKey() {
      return started().apiKey;
    },
  };
};

/** Disables the rate limits, for tests that must write faster than a client reads. */
export const NO_RATE_LIMITS = { PORCHLIGHT_RATE_PER_SESSION: '0', PORCHLIGHT_RATE_PER_USER: '0' };

let userCount = 0;
/** A user id that no other test uses. */
export const newUserId = (name = 'user'): string => `${name}-${++userCount}`;

export interface Device {
  readonly userId: string;
  readonly platform: Platform;
  readonly deviceId: string;
  readonly sessionId: string;
  readonly token: string;
  readonly kicked: readonly SessionResult[];
  /** When the login was answered, by performance.now(). */
  readonly loggedInAt: number;
}

export interface SessionResult {
  readonly id: string;
  readonly userId: string;
  readonly platform: Platform;
  readonly deviceId: string;
  readonly status: Status;
  readonly appState: 'FOREGROUND' | 'BACKGROUND';
  readonly attached: boolean;
  readonly lastSeenAt: string;
  readonly loggedInAt: string;
}

export const SESSION = 'id userId platform deviceId status appState attached lastSeenAt loggedInAt';

export const LOGIN = `mutation ($input: LoginInput!) {
  login(input: $input) { sessionToken heartbeatIntervalMs heartbeatTimeoutMs session { ${SESSION} } kicked { ${SESSION} } }
}`;

export interface LoginResult {
  readonly login: {
    readonly sessionToken: string;
    readonly heartbeatIntervalMs: number;
    readonly heartbeatTimeoutMs: number;
    readonly session: SessionResult;
    readonly kicked: readonly SessionResult[];
  };
}

export const deviceOf = ({ login }: LoginResult): Device => ({
  userId: login.session.userId,
  platform: login.session.platform,
  deviceId: login.session.deviceId,
  sessionId: login.session.id,
  token: login.sessionToken,
  kicked: login.kicked,
  loggedInAt: performance.now(),
});

/** Logs a device in over HTTP with a new JWT of the user. */
export const logIn = async (
  server: Server,
  userId: string,
  platform: Platform = 'ANDROID',
  deviceId?: string,
): Promise<Device> => {
  const jwt = await mintToken(userId);
  return deviceOf(await postForData<LoginResult>(server, jwt, LOGIN, { input: { platform, deviceId } }));
};

export interface UserResult {
  readonly userId: string;
  readonly status: Status;
  readonly version: number;
  readonly changedAt: string | null;
  readonly lastSeenAt: string | null;
  readonly customStatus: string | null;
  readonly reason: string | null;
  readonly sessions: readonly SessionResult[];
}

const USER = `userId status version changedAt lastSeenAt customStatus reason sessions { ${SESSION} }`;

/** Fetches the full status of a user as a backend. */
export const fetchUser = async (server: Server, userId: string): Promise<UserResult> => {
  const query = `query ($userId: ID!) { userStatus(userId: $userId) { ${USER} } }`;
  return (await postForData<{ userStatus: UserResult }>(server, server.apiKey, query, { userId })).userStatus;
};

export interface EventResult {
  readonly cursor: string;
  readonly changeId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly platform: Platform;
  readonly deviceId: string;
  readonly reason: string;
  readonly sessionStatus: Status;
  readonly previousStatus: Status;
  readonly status: Status;
  readonly version: number;
  readonly kickedBy: Platform | null;
  readonly customStatus: string | null;
  readonly ipAddress: string | null;
  readonly occurredAt: string;
}

export const EVENT = `cursor changeId userId sessionId platform deviceId reason sessionStatus previousStatus status
  version kickedBy customStatus ipAddress occurredAt`;

/** Fetches all events of a user. Tests create fewer than one page (500). */
export const fetchEvents = async (server: Server, userId: string): Promise<readonly EventResult[]> => {
  const query = `query ($userId: ID!) { events(first: 500, userId: $userId) { nodes { ${EVENT} } } }`;
  return (await postForData<{ events: { nodes: EventResult[] } }>(server, server.apiKey, query, { userId })).events
    .nodes;
};

/** Fetches the events of a user as short texts: the event of the session and its effect on the user. */
export const fetchEventSummaries = async (server: Server, userId: string): Promise<readonly string[]> =>
  (await fetchEvents(server, userId)).map(
    (event) =>
      `${event.platform} ${event.reason} ${event.sessionStatus}: ${event.previousStatus} > ${event.status} v${event.version}`,
  );

export interface StatusChange {
  readonly userId: string;
  readonly status: Status;
  readonly version: number;
  readonly previousStatus: Status | null;
  readonly reason: string | null;
  readonly platform: Platform | null;
  readonly changedAt: string | null;
  readonly lastSeenAt: string | null;
  readonly customStatus: string | null;
}

const CHANGE = 'userId status version previousStatus reason platform changedAt lastSeenAt customStatus';
export const WATCH = `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { ${CHANGE} } }`;

/** A subscription to status changes on its own socket. `changes` holds every change it receives. */
export class Watcher {
  readonly socket: GraphqlSocket;
  readonly initialStatuses: readonly StatusChange[];
  readonly changes = new MessageQueue<StatusChange>();

  private constructor(
    socket: GraphqlSocket,
    present: readonly StatusChange[],
    lists: MessageQueue<GraphqlResult<{ statusChanges: StatusChange[] }>>,
  ) {
    this.socket = socket;
    this.initialStatuses = present;
    const forwardChanges = async (): Promise<void> => {
      for (;;) for (const change of dataOf(await lists.next(10 * 60_000)).statusChanges) this.changes.push(change);
    };
    forwardChanges().catch((error: unknown) => this.changes.close(error as Error));
  }

  /** Resolves when the initial statuses have been received. Watches as a backend unless a token is given. */
  static async open(server: Server, userIds: readonly string[], token = server.apiKey): Promise<Watcher> {
    const socket = await GraphqlSocket.open(server, token);
    const lists = socket.subscribe<{ statusChanges: StatusChange[] }>(WATCH, { userIds });
    return new Watcher(socket, dataOf(await lists.next()).statusChanges, lists);
  }

  /** Reads the next change. @throws when none is received within `ms`. */
  next(ms = MESSAGE_TIMEOUT_MS): Promise<StatusChange> {
    return this.changes.next(ms);
  }

  /** All changes received so far, as short texts. */
  get changeSummaries(): readonly string[] {
    return this.changes.all.map(
      ({ previousStatus, status, version, reason }) => `${previousStatus} > ${status} v${version} ${reason}`,
    );
  }
}

/** Logs a device in, opens its socket and closes it, so that the device is PUSH_ONLINE. */
export const createPushOnlineDevice = async (
  server: Server,
  userId: string,
  platform: Platform = 'ANDROID',
): Promise<Device> => {
  const device = await logIn(server, userId, platform);
  const watcher = await Watcher.open(server, [userId]);
  const socket = await GraphqlSocket.open(server, device.token);
  await socket.close();
  expect(await watcher.next()).toMatchObject({ status: 'PUSH_ONLINE', reason: 'DISCONNECT' });
  await watcher.socket.close();
  return device;
};

export const POLICY = `multiDevice { mode groups } pushOnlineExpiryMs platforms {
  platform canBePushOnline heartbeatIntervalMs heartbeatTimeoutMs backgroundTimeoutMs disconnectGraceMs maxInstances
}`;

export const updatePolicy = async (server: Server, input: Readonly<Record<string, unknown>>): Promise<void> => {
  const mutation = `mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { pushOnlineExpiryMs } } }`;
  await postForData(server, server.apiKey, mutation, { input });
};

export const endSessions = async (
  server: Server,
  input: { readonly userId: string } & Readonly<Record<string, unknown>>,
): Promise<readonly SessionResult[]> => {
  const mutation = `mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { ${SESSION} } } }`;
  return (await postForData<{ endSessions: { ended: SessionResult[] } }>(server, server.apiKey, mutation, { input }))
    .endSessions.ended;
};

export const SET_CUSTOM_STATUS =
  'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }';

/** Selects a user's custom status under `count` aliases, so that answers soon exceed the kernel's socket buffers. */
export const repeatedAliases = (count: number): string =>
  Array.from({ length: count }, (_, index) => `t${index}: customStatus`).join(' ');

export const fetchLatestCursor = async (server: Server): Promise<string> =>
  (await postForData<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }')).latestCursor;

export const logOut = async (server: Server, device: Device): Promise<void> => {
  await postForData(server, device.token, 'mutation { logout { userStatus { status } } }');
};

export const sendHeartbeat = async (
  server: Server,
  device: Device,
  appState?: 'FOREGROUND' | 'BACKGROUND',
): Promise<SessionResult> => {
  const mutation = `mutation ($input: HeartbeatInput) { heartbeat(input: $input) { session { ${SESSION} } } }`;
  const variables = appState === undefined ? {} : { input: { appState } };
  return (await postForData<{ heartbeat: { session: SessionResult } }>(server, device.token, mutation, variables))
    .heartbeat.session;
};
