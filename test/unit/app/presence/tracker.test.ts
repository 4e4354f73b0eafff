import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { SessionRef } from '../../../../src/app/auth/caller.ts';
import { parseDeviceId, asSocketId } from '../../../../src/core/ids.ts';
import { applyPolicyChange } from '../../../../src/core/policy.ts';
import { START } from '../support/fake-store.ts';
import { ALICE, BOB, HTTP, SOCKET, AppHarness } from '../support/app-harness.ts';
import { errorOf, isPending } from '../support/waiting.ts';

const LINK = asSocketId('socket 1');
const OTHER_LINK = asSocketId('socket 2');

let harness: AppHarness;

beforeEach(() => {
  harness = new AppHarness();
});

const sessionOf = ({ userId, sessionId }: SessionRef) =>
  harness.store.user(userId).sessions.find((session) => session.id === sessionId);
const reasons = () => harness.store.events.map(({ reason }) => reason);

describe('login', () => {
  it('creates the session with the given fields', async () => {
    const request = {
      platform: 'IPHONE',
      deviceId: parseDeviceId('phone'),
      appVersion: '3.1',
      osVersion: '18',
    } as const;
    const answer = await harness.tracker.login(ALICE, [BOB], request, SOCKET);
    expect(answer.session).toMatchObject({
      id: 's1',
      tokenHash: 'hash of s1',
      platform: 'IPHONE',
      deviceId: 'phone',
      appVersion: '3.1',
      osVersion: '18',
      ipAddress: SOCKET.ipAddress,
      socketIds: [SOCKET.socketId],
      watchScope: [BOB],
      status: 'ONLINE',
      loggedInAt: START,
    });
    expect(answer.sessionToken).toBe('token of s1 of alice');
    expect(answer.kickedSessions).toEqual([]);
    expect(answer.user).toBe(harness.store.user(ALICE));
    expect(answer.user.sessions).toEqual([answer.session]);
  });

  it('creates a new device id each time when none is given', async () => {
    const first = await harness.login(ALICE, 'ANDROID', null);
    const second = await harness.login(ALICE, 'ANDROID', null);
    expect([first.session.deviceId, second.session.deviceId]).toEqual(['made-1', 'made-2']);
    expect(second.kickedSessions.map(({ session }) => session.deviceId)).toEqual(['made-1']);
  });

  it('returns the kicked sessions, and not the replaced one', async () => {
    const first = await harness.login(ALICE, 'ANDROID', 'd1');
    const again = await harness.login(ALICE, 'ANDROID', 'd1');
    expect(again.kickedSessions).toEqual([]);
    expect(reasons()).toEqual(['LOGIN', 'LOGIN', 'REPLACED']);
    harness.store.passes(5);
    const elsewhere = await harness.login(ALICE, 'WEB', 'd1');
    expect(elsewhere.kickedSessions).toEqual([
      { session: again.session, reason: 'KICKED', endedAt: START + 5, kickedBy: 'WEB' },
    ]);
    expect(first.session.id).not.toBe(again.session.id);
  });

  it('does not return a session that expired before', async () => {
    await harness.login(ALICE, 'ANDROID', 'd1');
    harness.store.passes(400_000);
    await harness.tracker.expireDueUsers([ALICE]);
    harness.store.passes(7 * 86_400_000);
    expect((await harness.login(ALICE, 'WEB')).kickedSessions).toEqual([]);
    expect(reasons()).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT', 'PUSH_EXPIRED', 'LOGIN']);
  });

  it('is answered when it is durable, and rejects when the write failed', async () => {
    void harness.store.gates.hold('before answering');
    const login = harness.login();
    expect(await isPending(login)).toBe(true);
    harness.store.gates.open('before answering');
    await login;
    const failure = new Error('disk full');
    harness.store.gates.fail('before deciding', failure);
    expect(await errorOf(harness.login(BOB))).toBe(failure);
    expect(harness.store.user(BOB).sessions).toEqual([]);
  });
});

it('rejects when the store created no session', async () => {
  const user = harness.store.user(ALICE);
  vi.spyOn(harness.store, 'updateUser').mockResolvedValue({
    user,
    session: null,
    changes: [],
    endedSessions: [],
    mustBeDurable: false,
  });
  expect((await errorOf(harness.login())).message).toMatch(/no session/);
});

describe('a command of a session', () => {
  let ref: SessionRef;

  beforeEach(async () => {
    ref = await harness.session();
    harness.store.passes(1_000);
  });

  it('heartbeat records activity, the app state and the address', async () => {
    const { user, session } = await harness.tracker.recordHeartbeat(ref, 'BACKGROUND', '192.0.2.9');
    expect(session).toMatchObject({ appState: 'BACKGROUND', ipAddress: '192.0.2.9', lastSeenAt: START + 1_000 });
    expect(session).toBe(sessionOf(ref));
    expect(user).toBe(harness.store.user(ALICE));
    const again = await harness.tracker.recordHeartbeat(ref, null, null);
    expect(again.session).toMatchObject({ appState: 'BACKGROUND', ipAddress: '192.0.2.9' });
  });

  it('activity changes the time of the last activity and nothing else', async () => {
    const { session } = await harness.tracker.recordActivity(ref, { ipAddress: '192.0.2.9', socketId: null });
    expect(session).toMatchObject({ inactiveSince: START + 1_000, ipAddress: '192.0.2.9', socketIds: [] });
    expect(reasons()).toEqual(['LOGIN']);
  });

  it('activity over a socket counts while the socket is attached', async () => {
    await harness.tracker.attachSocket(ref, LINK, null);
    harness.store.passes(1_000);
    await harness.tracker.recordActivity(ref, { ipAddress: null, socketId: OTHER_LINK });
    expect(sessionOf(ref)?.inactiveSince).toBe(START + 1_000);
    await harness.tracker.recordActivity(ref, { ipAddress: null, socketId: LINK });
    expect(sessionOf(ref)?.inactiveSince).toBe(START + 2_000);
  });

  it('activity of a PUSH_ONLINE session makes it ONLINE', async () => {
    harness.store.passes(400_000);
    await harness.tracker.expireDueUsers([ALICE]);
    const { user } = await harness.tracker.recordActivity(ref, HTTP);
    expect(user.status).toBe('ONLINE');
    expect(reasons()).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT', 'RECONNECT']);
  });

  it('attach attaches the session until the same socket is detached', async () => {
    const { session } = await harness.tracker.attachSocket(ref, LINK, '192.0.2.9');
    expect(session).toMatchObject({ socketIds: [LINK], ipAddress: '192.0.2.9', lastSeenAt: START + 1_000 });
    await harness.tracker.detachSocket(ALICE, OTHER_LINK, false);
    expect(sessionOf(ref)?.socketIds).toEqual([LINK]);
    await harness.tracker.detachSocket(ALICE, LINK, false);
    expect(sessionOf(ref)).toMatchObject({ socketIds: [], status: 'PUSH_ONLINE' });
    expect(reasons()).toEqual(['LOGIN', 'DISCONNECT']);
  });

  it('a close by the server is not a DISCONNECT', async () => {
    await harness.tracker.attachSocket(ref, LINK, null);
    await harness.tracker.detachSocket(ALICE, LINK, true);
    expect(sessionOf(ref)).toMatchObject({ socketIds: [], status: 'ONLINE' });
    expect(reasons()).toEqual(['LOGIN']);
  });

  it('detaching an unknown socket changes nothing, also for a user never seen', async () => {
    await harness.tracker.detachSocket(BOB, LINK, false);
    expect(reasons()).toEqual(['LOGIN']);
  });

  it('setCustomStatus changes the user’s text', async () => {
    const { user, session } = await harness.tracker.setCustomStatus(ref, 'at lunch');
    expect(user.customStatus).toBe('at lunch');
    expect(session.id).toBe(ref.sessionId);
    expect((await harness.tracker.setCustomStatus(ref, null)).user.customStatus).toBeNull();
    expect(reasons()).toEqual(['LOGIN', 'CUSTOM_STATUS', 'CUSTOM_STATUS']);
  });

  it('logout ends the session and returns its last state', async () => {
    const { user, session } = await harness.tracker.logout(ref);
    expect(user).toMatchObject({ status: 'OFFLINE', sessions: [], reason: 'LOGOUT' });
    expect(session).toMatchObject({ id: ref.sessionId, status: 'ONLINE', lastSeenAt: START + 1_000 });
  });
});

describe('endSessions', () => {
  beforeEach(async () => {
    const policy = harness.store.getPolicy();
    await harness.store.updatePolicy(() => ({ ...policy, multiDevice: { mode: 'CUSTOM', groups: [] } }));
    for (const platform of ['ANDROID', 'WEB', 'MAC'] as const) await harness.login(ALICE, platform);
    harness.store.passes(1_000);
  });

  const ending = async (matching: Parameters<typeof harness.tracker.endSessions>[1], revokeTokens = false) => {
    const { user, ended } = await harness.tracker.endSessions(ALICE, matching, revokeTokens);
    expect(user).toBe(harness.store.user(ALICE));
    expect(ended.every(({ reason, endedAt }) => reason === 'REVOKED' && endedAt === START + 1_000)).toBe(true);
    return { user, ended: ended.map(({ session }) => session.platform) };
  };

  it('ends all sessions of the user', async () => {
    const { user, ended } = await ending({ platform: null, sessionId: null });
    expect(ended).toEqual(['ANDROID', 'WEB', 'MAC']);
    expect(user).toMatchObject({ status: 'OFFLINE', tokensRevokedBefore: null });
  });

  it('ends the sessions of a platform, or the given one', async () => {
    expect((await ending({ platform: 'WEB', sessionId: null })).ended).toEqual(['WEB']);
    const [first] = harness.store.user(ALICE).sessions;
    expect((await ending({ platform: null, sessionId: first!.id })).ended).toEqual(['ANDROID']);
    expect((await ending({ platform: 'WEB', sessionId: null })).ended).toEqual([]);
    expect(harness.store.user(ALICE).status).toBe('ONLINE');
  });

  it('revokes the user’s older JWTs, also when no session ends', async () => {
    const { user, ended } = await ending({ platform: 'IPAD', sessionId: null }, true);
    expect(ended).toEqual([]);
    expect(user.tokensRevokedBefore).toBe(START + 1_000);
  });

  it('does not return a session that expired before', async () => {
    harness.store.passes(400_000);
    await harness.tracker.expireDueUsers([ALICE]);
    harness.store.passes(7 * 86_400_000);
    const { ended } = await harness.tracker.endSessions(ALICE, { platform: null, sessionId: null }, false);
    expect(ended).toEqual([]);
    expect(harness.store.user(ALICE).sessions).toEqual([]);
  });
});

it('expireDueUsers ends no session that became due while it waited, so that pending activity counts', async () => {
  await harness.store.updatePolicy((policy) => applyPolicyChange(policy, { multiDevice: { mode: 'MULTI' } }));
  await harness.login(ALICE, 'WEB');
  harness.store.passes(1_000);
  await harness.login(ALICE, 'WINDOWS');
  harness.store.passes(59_000);
  const decides = harness.store.gates.hold('before deciding');
  const expired = harness.tracker.expireDueUsers([ALICE]);
  await decides;
  harness.store.passes(400_000);
  harness.store.gates.open('before deciding');
  await expired;
  expect(harness.store.user(ALICE).sessions.map(({ platform }) => platform)).toEqual(['WINDOWS']);
  await harness.tracker.expireDueUsers([ALICE]);
  expect(harness.store.user(ALICE).sessions).toEqual([]);
});

it('expireDueUsers expires a session at its deadline and not earlier', async () => {
  const ref = await harness.session();
  harness.store.passes(399_999);
  await harness.tracker.expireDueUsers([ALICE]);
  expect(sessionOf(ref)?.status).toBe('ONLINE');
  harness.store.passes(1);
  await harness.tracker.expireDueUsers([ALICE]);
  expect(sessionOf(ref)?.status).toBe('PUSH_ONLINE');
});
