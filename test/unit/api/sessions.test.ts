/** What a session does in its own name, and what is done to it. */
import { describe, expect, it } from 'vitest';
import { session, TestLink, user, ApiHarness, IP } from './api-harness.ts';

const LOGIN = `mutation($input: LoginInput!) { login(input: $input) {
  session { id userId platform deviceId status appState attached appVersion osVersion ipAddress loggedInAt lastSeenAt }
  sessionToken heartbeatIntervalMs heartbeatTimeoutMs
  kicked { id status attached platform }
} }`;

const login = (harness: ApiHarness, input: Record<string, unknown>, link: TestLink | null = null) =>
  harness.ask(LOGIN, { caller: user('alice'), variables: { input }, link });

describe('login', () => {
  it('answers the session, its token and its timings', async () => {
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
          ipAddress: IP,
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

  it('makes a device id where none is given, by leaving it out or by null', async () => {
    const harness = new ApiHarness();
    for (const input of [{ platform: 'WEB' }, { platform: 'WEB', deviceId: null, appVersion: null, osVersion: null }]) {
      expect(await login(harness, input)).toMatchObject({
        data: { login: { session: { deviceId: expect.stringMatching(/^device-/) as string, appVersion: null } } },
      });
    }
  });

  it('names the kicked as they now are: OFFLINE and not attached; a replaced one is not named', async () => {
    const harness = new ApiHarness();
    const link = new TestLink();
    await login(harness, { platform: 'WEB', deviceId: 'd1' }, link);
    const again = await login(harness, { platform: 'WEB', deviceId: 'd1' }, link);
    expect(again).toMatchObject({ data: { login: { session: { attached: true }, kicked: [] } } });
    expect(await login(harness, { platform: 'ANDROID' })).toMatchObject({
      data: { login: { kicked: [{ id: 'session-2', status: 'OFFLINE', attached: false, platform: 'WEB' }] } },
    });
  });

  it('over a socket attaches it, and tells the socket', async () => {
    const link = new TestLink();
    expect(await login(new ApiHarness(), { platform: 'WEB' }, link)).toMatchObject({
      data: { login: { session: { attached: true } } },
    });
    expect(link.sessions).toEqual(['session-1']);
  });

  it('that is refused tells the socket nothing and changes nothing', async () => {
    const harness = new ApiHarness();
    const link = new TestLink();
    for (const wrong of [
      { deviceId: '' },
      { deviceId: 'x'.repeat(129) },
      { appVersion: 'x'.repeat(129) },
      { osVersion: 'a\u0000' },
      { platform: 'TOASTER' },
      { platform: null },
      { unheardOf: 1 },
    ]) {
      expect((await login(harness, { platform: 'WEB', ...wrong }, link)).codes).toEqual(['BAD_USER_INPUT']);
    }
    expect(link.sessions).toEqual([]);
    expect(await harness.backend('{ userStatus(userId: "alice") { version } }')).toEqual({
      userStatus: { version: 0 },
    });
  });
});

describe('heartbeat', () => {
  const BEAT = `mutation($input: HeartbeatInput) { heartbeat(input: $input) {
    session { id appState status } heartbeatIntervalMs heartbeatTimeoutMs
  } }`;

  it('tells the app state, keeps it where it is left out, and is told the timings in force', async () => {
    const harness = new ApiHarness();
    const caller = session(await harness.login('alice'));
    const beat = async (input?: unknown) => (await harness.ask(BEAT, { caller, variables: { input } })).data;
    const answer = (appState: string, heartbeatIntervalMs: number) => ({
      heartbeat: {
        session: { id: 'session-1', appState, status: 'ONLINE' },
        heartbeatIntervalMs,
        heartbeatTimeoutMs: 400_000,
      },
    });
    expect(await beat()).toEqual(answer('FOREGROUND', 120_000));
    expect(await beat({ appState: 'BACKGROUND' })).toEqual(answer('BACKGROUND', 120_000));
    await harness.backend(
      'mutation { updatePolicy(input: {platforms: [{platform: ANDROID, heartbeatIntervalMs: 5000}]}) { policy { pushOnlineExpiryMs } } }',
    );
    expect(await beat({})).toEqual(answer('BACKGROUND', 5_000));
    expect(await beat(null)).toEqual(answer('BACKGROUND', 5_000));
    expect(await beat({ appState: 'FOREGROUND' })).toEqual(answer('FOREGROUND', 5_000));
  });
});

describe('a session that has ended', () => {
  const KICKED = { code: 'SESSION_ENDED', reason: 'KICKED', kickedBy: 'IPHONE' };

  it.each([
    'query { me { id } }',
    'mutation { heartbeat { heartbeatIntervalMs } }',
    'mutation { logout { userStatus { status } } }',
    'mutation { setCustomStatus(input: {text: "hi"}) { userStatus { status } } }',
  ])('%s answers why, when and by whom', async (document) => {
    const harness = new ApiHarness();
    const caller = session(await harness.login('alice', 'ANDROID'));
    await harness.login('alice', 'IPHONE', 'd2');
    const { errors } = await harness.ask(document, { caller });
    expect(errors).toMatchObject([{ extensions: KICKED }]);
    expect(errors[0]?.extensions?.['endedAt']).toMatch(/^\d{4}-.*Z$/);
  });

  it('and that nobody remembers is UNAUTHENTICATED', async () => {
    const harness = new ApiHarness();
    const { userId } = await harness.login('alice');
    const stranger = { ...session({ userId, sessionId: 'never' as never }) };
    expect((await harness.ask('{ me { id } }', { caller: stranger })).codes).toEqual(['UNAUTHENTICATED']);
  });
});

describe('me, logout and setCustomStatus', () => {
  it('me is the session that asks', async () => {
    const harness = new ApiHarness();
    const caller = session(await harness.login('alice'));
    expect((await harness.ask('{ me { id userId status } }', { caller })).data).toEqual({
      me: { id: 'session-1', userId: 'alice', status: 'ONLINE' },
    });
  });

  it('logout answers the user after it', async () => {
    const harness = new ApiHarness();
    const caller = session(await harness.login('alice'));
    const document = 'mutation { logout { userStatus { status reason version sessions { id } } } }';
    expect((await harness.ask(document, { caller })).data).toEqual({
      logout: { userStatus: { status: 'OFFLINE', reason: 'LOGOUT', version: 2, sessions: [] } },
    });
  });

  it('setCustomStatus sets a text, and clears it by null or by leaving it out', async () => {
    const harness = new ApiHarness();
    const caller = session(await harness.login('alice'));
    const document =
      'mutation($input: SetCustomStatusInput!) { setCustomStatus(input: $input) { userStatus { customStatus version } } }';
    const set = async (input: unknown) => (await harness.ask(document, { caller, variables: { input } })).data;
    const answer = (customStatus: string | null, version: number) => ({
      setCustomStatus: { userStatus: { customStatus, version } },
    });
    expect(await set({ text: 'at lunch 🥪' })).toEqual(answer('at lunch 🥪', 2));
    expect(await set({ text: null })).toEqual(answer(null, 3));
    expect(await set({ text: '🦊'.repeat(256) })).toEqual(answer('🦊'.repeat(256), 4));
    expect(await set({})).toEqual(answer(null, 5));
    const tooLong = await harness.ask(document, { caller, variables: { input: { text: 'x'.repeat(257) } } });
    expect(tooLong).toMatchObject({ data: null, codes: ['BAD_USER_INPUT'] });
  });
});

describe('endSessions', () => {
  const END = `mutation($input: EndSessionsInput!) { endSessions(input: $input) {
    ended { id status attached } userStatus { status reason }
  } }`;

  it('ends all, those of a platform, or one; none matching is no error', async () => {
    const harness = new ApiHarness();
    await harness.backend(
      'mutation { updatePolicy(input: {multiDevice: {mode: MULTI}}) { policy { pushOnlineExpiryMs } } }',
    );
    for (const platform of ['ANDROID', 'MAC', 'LINUX', 'WEB'] as const) await harness.login('alice', platform);
    const end = async (rest: object) => {
      const answer = await harness.backend<{ endSessions: { ended: { id: string; status: string }[] } }>(END, {
        input: { userId: 'alice', ...rest },
      });
      expect(answer.endSessions.ended.every(({ status }) => status === 'OFFLINE')).toBe(true);
      return answer.endSessions.ended.map(({ id }) => id);
    };
    expect(await end({ platform: 'MAC' })).toEqual(['session-2']);
    expect(await end({ platform: 'WEB', sessionId: 'session-3' })).toEqual([]);
    expect(await end({ sessionId: 'session-3' })).toEqual(['session-3']);
    expect(await end({ sessionId: 'never-heard-of' })).toEqual([]);
    expect(await end({ platform: null, sessionId: null, revokeTokens: null })).toEqual(['session-1', 'session-4']);
    expect(await harness.backend(END, { input: { userId: 'never-seen' } })).toEqual({
      endSessions: { ended: [], userStatus: { status: 'OFFLINE', reason: null } },
    });
  });

  it('revokes tokens only when it is asked to', async () => {
    const harness = new ApiHarness();
    const { userId } = await harness.login('alice');
    const revokedBefore = async () => (await harness.store.readUsers([userId]))[0]?.tokensRevokedBefore;
    await harness.backend(END, { input: { userId } });
    expect(await revokedBefore()).toBeNull();
    await harness.backend(END, { input: { userId, revokeTokens: true } });
    expect(await revokedBefore()).toBe(harness.store.now());
  });
});
