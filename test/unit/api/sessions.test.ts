/** `login`, `heartbeat`, `me`, `logout`, `setCustomStatus` and `endSessions`. */
import { describe, expect, it } from 'vitest';
import { sessionCaller, FakeSocket, jwtCaller, ApiHarness, CLIENT_ADDRESS } from './api-harness.ts';

const LOGIN = `mutation($input: LoginInput!) { login(input: $input) {
  session { id userId platform deviceId status appState attached appVersion osVersion ipAddress loggedInAt lastSeenAt }
  sessionToken heartbeatIntervalMs heartbeatTimeoutMs
  kicked { id status attached platform }
} }`;

const login = (harness: ApiHarness, input: Record<string, unknown>, socket: FakeSocket | null = null) =>
  harness.execute(LOGIN, { caller: jwtCaller('alice'), variables: { input }, socket });

describe('login', () => {
  it('returns the session, its token and its timings', async () => {
    const input = { platform: 'WEB', deviceId: 'd7', appVersion: '1.2', osVersion: 'Debian 12' };
    const { data, errors } = await login(new ApiHarness(), input);
    expect(errors).toEqual([]);
    expect(data).toEqual({
      login: {
        session: {
          id: 'session-1',
          userId: 'alice',
          platform: 'WEB',
          deviceId: 'd7',
          status: 'ONLINE',
          appState: 'FOREGROUND',
          attached: false,
          appVersion: '1.2',
          osVersion: 'Debian 12',
          ipAddress: CLIENT_ADDRESS,
          loggedInAt: expect.stringMatching(/Z$/) as string,
          lastSeenAt: expect.stringMatching(/Z$/) as string,
        },
        sessionToken: 'token of session-1',
        heartbeatIntervalMs: 20_000,
        heartbeatTimeoutMs: 60_000,
        kicked: [],
      },
    });
  });

  it('creates a device id if it is omitted or null', async () => {
    const harness = new ApiHarness();
    for (const input of [{ platform: 'WEB' }, { platform: 'WEB', deviceId: null, appVersion: null, osVersion: null }]) {
      expect(await login(harness, input)).toMatchObject({
        data: { login: { session: { deviceId: expect.stringMatching(/^device-/) as string, appVersion: null } } },
      });
    }
  });

  it('lists kicked sessions as OFFLINE and not attached, and does not list a replaced session', async () => {
    const harness = new ApiHarness();
    const socket = new FakeSocket();
    await login(harness, { platform: 'WEB', deviceId: 'd1' }, socket);
    const again = await login(harness, { platform: 'WEB', deviceId: 'd1' }, socket);
    expect(again).toMatchObject({ data: { login: { session: { attached: true }, kicked: [] } } });
    expect(await login(harness, { platform: 'ANDROID' })).toMatchObject({
      data: { login: { kicked: [{ id: 'session-2', status: 'OFFLINE', attached: false, platform: 'WEB' }] } },
    });
  });

  it('over a WebSocket attaches the session to the socket', async () => {
    const socket = new FakeSocket();
    expect(await login(new ApiHarness(), { platform: 'WEB' }, socket)).toMatchObject({
      data: { login: { session: { attached: true } } },
    });
    expect(socket.attachedSessions).toEqual(['session-1']);
  });

  it('that is refused does not attach the socket and changes nothing', async () => {
    const harness = new ApiHarness();
    const socket = new FakeSocket();
    for (const invalid of [
      { deviceId: '' },
      { deviceId: 'x'.repeat(129) },
      { appVersion: 'x'.repeat(129) },
      { osVersion: 'a\u0000' },
      { platform: 'TOASTER' },
      { platform: null },
      { unknownField: 1 },
    ]) {
      expect((await login(harness, { platform: 'WEB', ...invalid }, socket)).codes).toEqual(['BAD_USER_INPUT']);
    }
    expect(socket.attachedSessions).toEqual([]);
    expect(await harness.executeAsBackend('{ userStatus(userId: "alice") { version } }')).toEqual({
      userStatus: { version: 0 },
    });
  });
});

describe('heartbeat', () => {
  const HEARTBEAT = `mutation($input: HeartbeatInput) { heartbeat(input: $input) {
    session { id appState status } heartbeatIntervalMs heartbeatTimeoutMs
  } }`;

  it('stores the app state, keeps it if it is omitted, and returns the current timings', async () => {
    const harness = new ApiHarness();
    const caller = sessionCaller(await harness.login('alice'));
    const sendHeartbeat = async (input?: unknown) =>
      (await harness.execute(HEARTBEAT, { caller, variables: { input } })).data;
    const answer = (appState: string, heartbeatIntervalMs: number) => ({
      heartbeat: {
        session: { id: 'session-1', appState, status: 'ONLINE' },
        heartbeatIntervalMs,
        heartbeatTimeoutMs: 400_000,
      },
    });
    expect(await sendHeartbeat()).toEqual(answer('FOREGROUND', 120_000));
    expect(await sendHeartbeat({ appState: 'BACKGROUND' })).toEqual(answer('BACKGROUND', 120_000));
    await harness.executeAsBackend(
      'mutation { updatePolicy(input: {platforms: [{platform: ANDROID, heartbeatIntervalMs: 5000}]}) { policy { pushOnlineExpiryMs } } }',
    );
    expect(await sendHeartbeat({})).toEqual(answer('BACKGROUND', 5_000));
    expect(await sendHeartbeat(null)).toEqual(answer('BACKGROUND', 5_000));
    expect(await sendHeartbeat({ appState: 'FOREGROUND' })).toEqual(answer('FOREGROUND', 5_000));
  });
});

describe('an ended session', () => {
  const KICKED = { code: 'SESSION_ENDED', reason: 'KICKED', kickedBy: 'IPHONE' };

  it.each([
    'query { me { id } }',
    'mutation { heartbeat { heartbeatIntervalMs } }',
    'mutation { logout { userStatus { status } } }',
    'mutation { setCustomStatus(input: {text: "hi"}) { userStatus { status } } }',
  ])('%s is answered with the reason, the time and the platform that kicked it', async (document) => {
    const harness = new ApiHarness();
    const caller = sessionCaller(await harness.login('alice', 'ANDROID'));
    await harness.login('alice', 'IPHONE', 'd2');
    const { errors } = await harness.execute(document, { caller });
    expect(errors).toMatchObject([{ extensions: KICKED }]);
    expect(errors[0]?.extensions?.['endedAt']).toMatch(/^\d{4}-.*Z$/);
  });

  it('without a stored record is answered UNAUTHENTICATED', async () => {
    const harness = new ApiHarness();
    const { userId } = await harness.login('alice');
    const unknown = { ...sessionCaller({ userId, sessionId: 'never' as never }) };
    expect((await harness.execute('{ me { id } }', { caller: unknown })).codes).toEqual(['UNAUTHENTICATED']);
  });
});

describe('me, logout and setCustomStatus', () => {
  it('me returns the session of the caller', async () => {
    const harness = new ApiHarness();
    const caller = sessionCaller(await harness.login('alice'));
    expect((await harness.execute('{ me { id userId status } }', { caller })).data).toEqual({
      me: { id: 'session-1', userId: 'alice', status: 'ONLINE' },
    });
  });

  it('logout returns the user after the logout', async () => {
    const harness = new ApiHarness();
    const caller = sessionCaller(await harness.login('alice'));
    const document = 'mutation { logout { userStatus { status reason version sessions { id } } } }';
    expect((await harness.execute(document, { caller })).data).toEqual({
      logout: { userStatus: { status: 'OFFLINE', reason: 'LOGOUT', version: 2, sessions: [] } },
    });
  });

  it('setCustomStatus sets a text, and clears it if it is null or omitted', async () => {
    const harness = new ApiHarness();
    const caller = sessionCaller(await harness.login('alice'));
    const document =
      'mutation($input: SetCustomStatusInput!) { setCustomStatus(input: $input) { userStatus { customStatus version } } }';
    const set = async (input: unknown) => (await harness.execute(document, { caller, variables: { input } })).data;
    const answer = (customStatus: string | null, version: number) => ({
      setCustomStatus: { userStatus: { customStatus, version } },
    });
    expect(await set({ text: 'at lunch 🥪' })).toEqual(answer('at lunch 🥪', 2));
    expect(await set({ text: null })).toEqual(answer(null, 3));
    expect(await set({ text: '🦊'.repeat(256) })).toEqual(answer('🦊'.repeat(256), 4));
    expect(await set({})).toEqual(answer(null, 5));
    const tooLong = await harness.execute(document, { caller, variables: { input: { text: 'x'.repeat(257) } } });
    expect(tooLong).toMatchObject({ data: null, codes: ['BAD_USER_INPUT'] });
  });
});

describe('endSessions', () => {
  const END = `mutation($input: EndSessionsInput!) { endSessions(input: $input) {
    ended { id status attached } userStatus { status reason }
  } }`;

  it('ends all sessions, those of a platform, or one; no match is not an error', async () => {
    const harness = new ApiHarness();
    await harness.executeAsBackend(
      'mutation { updatePolicy(input: {multiDevice: {mode: MULTI}}) { policy { pushOnlineExpiryMs } } }',
    );
    for (const platform of ['ANDROID', 'MAC', 'LINUX', 'WEB'] as const) await harness.login('alice', platform);
    const end = async (rest: object) => {
      const answer = await harness.executeAsBackend<{ endSessions: { ended: { id: string; status: string }[] } }>(END, {
        input: { userId: 'alice', ...rest },
      });
      expect(answer.endSessions.ended.every(({ status }) => status === 'OFFLINE')).toBe(true);
      return answer.endSessions.ended.map(({ id }) => id);
    };
    expect(await end({ platform: 'MAC' })).toEqual(['session-2']);
    expect(await end({ platform: 'WEB', sessionId: 'session-3' })).toEqual([]);
    expect(await end({ sessionId: 'session-3' })).toEqual(['session-3']);
    expect(await end({ sessionId: 'unknown-session' })).toEqual([]);
    expect(await end({ platform: null, sessionId: null, revokeTokens: null })).toEqual(['session-1', 'session-4']);
    expect(await harness.executeAsBackend(END, { input: { userId: 'unknown-user' } })).toEqual({
      endSessions: { ended: [], userStatus: { status: 'OFFLINE', reason: null } },
    });
  });

  it('revokes tokens only with revokeTokens', async () => {
    const harness = new ApiHarness();
    const { userId } = await harness.login('alice');
    const revokedBefore = async () => (await harness.store.readUsers([userId]))[0]?.tokensRevokedBefore;
    await harness.executeAsBackend(END, { input: { userId } });
    expect(await revokedBefore()).toBeNull();
    await harness.executeAsBackend(END, { input: { userId, revokeTokens: true } });
    expect(await revokedBefore()).toBe(harness.store.now());
  });
});
