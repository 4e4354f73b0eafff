/** Users, their devices and those who watch them, as the tests of this folder speak of them. */
import { afterAll, beforeAll, expect } from 'vitest';
import { ask, dataOf, HEARD_WITHIN_MS, Inbox, Socket, type Answer } from '../../support/porchlight-client.ts';
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

/** It must stop as it is asked to, with 0, and must not have had to report a fault of its own, whatever tests did to it. */
export const endWell = async (server: PorchlightProcess): Promise<void> => {
  await using stopping = server;
  expect(await stopping.stop()).toEqual({ code: 0, signal: null });
  expect(stopping.output()).not.toMatch(/uncaught|unhandled|"level":(50|60)|"level":"(error|fatal)"/i);
};

/** One server for all tests of a file, which must end well after them. */
export const sharedServer = (options: StartOptions = {}): Server => {
  let server: PorchlightProcess | null = null;
  const started = (): PorchlightProcess => {
    if (server === null) throw new Error('The server is there in tests, not before.');
    return server;
  };
  beforeAll(async () => {
    server = await startPorchlight(options);
  });
  afterAll(async () => {
    if (server !== null) await endWell(server);
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

/** For tests that write faster than anybody may, which is what it takes to outrun a reader. */
export const NO_RATES = { PORCHLIGHT_RATE_PER_SESSION: '0', PORCHLIGHT_RATE_PER_USER: '0' };

let people = 0;
/** A user nobody has heard of yet. */
export const newUser = (name = 'user'): string => `${name}-${++people}`;

export interface Device {
  readonly userId: string;
  readonly platform: Platform;
  readonly deviceId: string;
  readonly sessionId: string;
  readonly token: string;
  readonly kicked: readonly SessionSeen[];
  /** When the login was answered, by performance.now(). */
  readonly loggedInAt: number;
}

export interface SessionSeen {
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

export interface LoginSeen {
  readonly login: {
    readonly sessionToken: string;
    readonly heartbeatIntervalMs: number;
    readonly heartbeatTimeoutMs: number;
    readonly session: SessionSeen;
    readonly kicked: readonly SessionSeen[];
  };
}

export const deviceOf = ({ login }: LoginSeen): Device => ({
  userId: login.session.userId,
  platform: login.session.platform,
  deviceId: login.session.deviceId,
  sessionId: login.session.id,
  token: login.sessionToken,
  kicked: login.kicked,
  loggedInAt: performance.now(),
});

/** Logs a device in over HTTP, with a JWT of its own. */
export const logIn = async (
  server: Server,
  userId: string,
  platform: Platform = 'ANDROID',
  deviceId?: string,
): Promise<Device> => {
  const jwt = await mintToken(userId);
  return deviceOf(await ask<LoginSeen>(server, jwt, LOGIN, { input: { platform, deviceId } }));
};

export interface UserSeen {
  readonly userId: string;
  readonly status: Status;
  readonly version: number;
  readonly changedAt: string | null;
  readonly lastSeenAt: string | null;
  readonly customStatus: string | null;
  readonly reason: string | null;
  readonly sessions: readonly SessionSeen[];
}

const USER = `userId status version changedAt lastSeenAt customStatus reason sessions { ${SESSION} }`;

/** What a backend sees of a user. */
export const userSeen = async (server: Server, userId: string): Promise<UserSeen> => {
  const query = `query ($userId: ID!) { userStatus(userId: $userId) { ${USER} } }`;
  return (await ask<{ userStatus: UserSeen }>(server, server.apiKey, query, { userId })).userStatus;
};

export interface EventSeen {
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

/** The user's whole log, which these tests keep shorter than a page. */
export const eventsOf = async (server: Server, userId: string): Promise<readonly EventSeen[]> => {
  const query = `query ($userId: ID!) { events(first: 500, userId: $userId) { nodes { ${EVENT} } } }`;
  return (await ask<{ events: { nodes: EventSeen[] } }>(server, server.apiKey, query, { userId })).events.nodes;
};

/** The user's log in short: what happened to the session, and what it did to the user. */
export const storyOf = async (server: Server, userId: string): Promise<readonly string[]> =>
  (await eventsOf(server, userId)).map(
    (event) =>
      `${event.platform} ${event.reason} ${event.sessionStatus}: ${event.previousStatus} > ${event.status} v${event.version}`,
  );

export interface Change {
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

/** Someone who watches users, over a socket of her own. Every change she is told of is in `changes`. */
export class Watcher {
  readonly socket: Socket;
  readonly present: readonly Change[];
  readonly changes = new Inbox<Change>();

  private constructor(socket: Socket, present: readonly Change[], lists: Inbox<Answer<{ statusChanges: Change[] }>>) {
    this.socket = socket;
    this.present = present;
    const pass = async (): Promise<void> => {
      for (;;) for (const change of dataOf(await lists.next(10 * 60_000)).statusChanges) this.changes.push(change);
    };
    pass().catch((error: unknown) => this.changes.close(error as Error));
  }

  /** Resolves when the first message, which is the present, has come. A backend's eyes, unless a token is given. */
  static async open(server: Server, userIds: readonly string[], token = server.apiKey): Promise<Watcher> {
    const socket = await Socket.open(server, token);
    const lists = socket.subscribe<{ statusChanges: Change[] }>(WATCH, { userIds });
    return new Watcher(socket, dataOf(await lists.next()).statusChanges, lists);
  }

  /** The next change that is told. */
  next(ms = HEARD_WITHIN_MS): Promise<Change> {
    return this.changes.next(ms);
  }

  /** Everything told so far, in short. */
  get told(): readonly string[] {
    return this.changes.all.map(
      ({ previousStatus, status, version, reason }) => `${previousStatus} > ${status} v${version} ${reason}`,
    );
  }
}

/** A logged-in device whose link was lost: it is PUSH_ONLINE. */
export const pushOnline = async (server: Server, userId: string, platform: Platform = 'ANDROID'): Promise<Device> => {
  const device = await logIn(server, userId, platform);
  const watcher = await Watcher.open(server, [userId]);
  const socket = await Socket.open(server, device.token);
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
  await ask(server, server.apiKey, mutation, { input });
};

export const endSessions = async (
  server: Server,
  input: { readonly userId: string } & Readonly<Record<string, unknown>>,
): Promise<readonly SessionSeen[]> => {
  const mutation = `mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { ${SESSION} } } }`;
  return (await ask<{ endSessions: { ended: SessionSeen[] } }>(server, server.apiKey, mutation, { input })).endSessions
    .ended;
};

export const SET_CUSTOM_STATUS =
  'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }';

/** So many names for a user's text: what the kernels can hold for a reader who asks for them is soon full. */
export const manyNames = (count: number): string =>
  Array.from({ length: count }, (_, index) => `t${index}: customStatus`).join(' ');

export const latestCursor = async (server: Server): Promise<string> =>
  (await ask<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }')).latestCursor;

export const logOut = async (server: Server, device: Device): Promise<void> => {
  await ask(server, device.token, 'mutation { logout { userStatus { status } } }');
};

export const beat = async (
  server: Server,
  device: Device,
  appState?: 'FOREGROUND' | 'BACKGROUND',
): Promise<SessionSeen> => {
  const mutation = `mutation ($input: HeartbeatInput) { heartbeat(input: $input) { session { ${SESSION} } } }`;
  const variables = appState === undefined ? {} : { input: { appState } };
  return (await ask<{ heartbeat: { session: SessionSeen } }>(server, device.token, mutation, variables)).heartbeat
    .session;
};
