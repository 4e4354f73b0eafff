/** The token of an ended session can do nothing. Every use answers with the reason. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { SessionRef } from '../../../../src/app/auth/caller.ts';
import { createApplication } from '../../../../src/app/application.ts';
import { sessionEndedError, type PresenceTracker } from '../../../../src/app/presence/tracker.ts';
import { asSocketId, parseSessionId } from '../../../../src/core/ids.ts';
import { START } from '../support/fake-store.ts';
import { ALICE, BOB, HTTP, AppHarness } from '../support/app-harness.ts';
import { errorOf, faultOf } from '../support/waiting.ts';
import { webhookParts } from '../webhooks/webhook-parts.ts';

const USES: readonly (readonly [string, (tracker: PresenceTracker, ref: SessionRef) => Promise<unknown>])[] = [
  ['heartbeat', (tracker, ref) => tracker.recordHeartbeat(ref, 'FOREGROUND', null)],
  ['life', (tracker, ref) => tracker.recordActivity(ref, HTTP)],
  ['attach', (tracker, ref) => tracker.attachSocket(ref, asSocketId('late'), null)],
  ['logout', (tracker, ref) => tracker.logout(ref)],
  ['setCustomStatus', (tracker, ref) => tracker.setCustomStatus(ref, 'ghost')],
];

let harness: AppHarness;

beforeEach(() => {
  harness = new AppHarness();
});

describe.each(USES)('%s', (_name, use) => {
  it('of a kicked session is rejected with the reason, the time and the platform that kicked it', async () => {
    const ref = await harness.session(ALICE, 'ANDROID');
    harness.store.passes(7);
    await harness.login(ALICE, 'MAC');
    harness.store.passes(1_000);
    const before = harness.store.user(ALICE);
    expect(await faultOf(use(harness.tracker, ref))).toEqual({
      code: 'SESSION_ENDED',
      reason: 'KICKED',
      endedAt: START + 7,
      kickedBy: 'MAC',
    });
    expect(harness.store.user(ALICE)).toEqual(before);
  });

  it('of a session that logged out is rejected with the reason', async () => {
    const ref = await harness.session();
    await harness.tracker.logout(ref);
    expect(await faultOf(use(harness.tracker, ref))).toEqual({
      code: 'SESSION_ENDED',
      reason: 'LOGOUT',
      endedAt: START,
      kickedBy: null,
    });
  });

  it('of a session that the store has forgotten is UNAUTHENTICATED', async () => {
    const unknown = { userId: ALICE, sessionId: parseSessionId('never made') };
    expect(await faultOf(use(harness.tracker, unknown))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(harness.store.events).toEqual([]);
  });

  it('does not affect the session of another user', async () => {
    const ref = await harness.session(ALICE);
    expect(await faultOf(use(harness.tracker, { ...ref, userId: BOB }))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(harness.store.user(ALICE).sessions).toHaveLength(1);
  });

  it('after the expiry date is rejected, although no timer has run', async () => {
    const ref = await harness.session();
    harness.store.passes(400_000);
    await harness.tracker.expireDueUsers([ALICE]);
    harness.store.passes(7 * 86_400_000);
    expect(await faultOf(use(harness.tracker, ref))).toEqual({
      code: 'SESSION_ENDED',
      reason: 'PUSH_EXPIRED',
      endedAt: START + 400_000 + 7 * 86_400_000,
      kickedBy: null,
    });
    expect(harness.store.user(ALICE).status).toBe('OFFLINE');
  });
});

it('the message of SESSION_ENDED names the reason, and the platform that kicked the session', async () => {
  const { session } = await harness.login();
  const ended = { session, endedAt: START };
  expect(sessionEndedError({ ...ended, reason: 'KICKED', kickedBy: 'WEB' }).message).toMatch(/KICKED.*WEB/);
  expect(sessionEndedError({ ...ended, reason: 'REVOKED', kickedBy: null }).message).toMatch(/REVOKED/);
});

it('the lookup of an ended session rejects with the error of the store', async () => {
  const failure = new Error('disk full');
  harness.store.gates.fail('before reading', failure);
  expect(
    await errorOf(harness.tracker.createSessionGoneError({ userId: ALICE, sessionId: parseSessionId('s1') })),
  ).toBe(failure);
});

it('the use cases share one store, and a client receives the reason before its socket is closed', async () => {
  const credentials = {
    createSessionCredentials: () => ({ sessionId: parseSessionId('s1'), token: 'token', tokenHash: 'hash' }),
    createDeviceId: () => expect.unreachable(),
  };
  const porchlight = createApplication(
    harness.store,
    credentials,
    'none',
    webhookParts(() => harness.store.now()),
  );
  expect(porchlight.store).toBe(harness.store);
  expect(porchlight.visibility).toBe('none');

  const received: string[] = [];
  const ref = await harness.session();
  const link = asSocketId('socket');
  porchlight.socketRegistry.register({ id: link, onSessionLost: () => received.push('lost') });
  porchlight.sessionEndNotifier.onSessionEnd(ref.sessionId, () => received.push('ended'));
  const watching = porchlight.statusWatchers.watchUsers([ALICE])[Symbol.asyncIterator]();
  const following = await porchlight.eventFeed.subscribe(null, () => expect.unreachable());
  expect((await watching.next()).value).toMatchObject([{ status: 'ONLINE' }]);

  await porchlight.tracker.attachSocket(ref, link, null);
  await porchlight.tracker.logout(ref);
  expect(received).toEqual(['ended', 'lost']);
  expect((await watching.next()).value).toMatchObject([{ status: 'OFFLINE' }]);
  expect((await following.next()).value).toMatchObject([{ reason: 'LOGOUT' }]);
});
