import { beforeEach, describe, expect, it } from 'vitest';
import { SocketRegistry } from '../../../../src/app/presence/socket-registry.ts';
import type { CommandOrigin } from '../../../../src/app/presence/tracker.ts';
import { asSocketId } from '../../../../src/core/ids.ts';
import type { LostSocket } from '../../../../src/core/records.ts';
import { ALICE, BOB, AppHarness } from '../support/app-harness.ts';

let harness: AppHarness;
let links: SocketRegistry;
let lost: { readonly by: string; readonly lost: LostSocket }[];

beforeEach(() => {
  harness = new AppHarness();
  links = new SocketRegistry(harness.store);
  lost = [];
});

const open = (name: string) => {
  const id = asSocketId(name);
  links.register({ id, onSessionLost: (what) => lost.push({ by: name, lost: what }) });
  return id;
};
const over = (name: string): CommandOrigin => ({ ipAddress: null, socketId: open(name) });

describe('a registered socket', () => {
  it('is notified of the end of its session, as each of several, and no other socket is', async () => {
    const { session } = await harness.login(ALICE, 'ANDROID', 'd1', over('one'));
    const ref = { userId: ALICE, sessionId: session.id };
    await harness.tracker.attachSocket(ref, open('two'), null);
    await harness.login(BOB, 'ANDROID', 'd1', over('of bob'));
    await harness.tracker.logout(ref);
    const what = { sessionId: session.id, reason: 'LOGOUT', isSessionEnded: true };
    expect(lost).toEqual([
      { by: 'one', lost: { socketId: 'one', ...what } },
      { by: 'two', lost: { socketId: 'two', ...what } },
    ]);
  });

  it('is notified whether its session ended or became PUSH_ONLINE', async () => {
    await harness.login(ALICE, 'ANDROID', 'd1', over('phone'));
    await harness.login(BOB, 'WEB', 'd1', over('page'));
    harness.store.passes(400_000);
    await harness.tracker.expireDueUsers([ALICE]);
    await harness.tracker.expireDueUsers([BOB]);
    expect(lost.map(({ by, lost: { reason, isSessionEnded: ended } }) => [by, reason, ended])).toEqual([
      ['phone', 'HEARTBEAT_TIMEOUT', false],
      ['page', 'HEARTBEAT_TIMEOUT', true],
    ]);
  });

  it('is not notified of its own close, nor after it is removed', async () => {
    const { session } = await harness.login(ALICE, 'ANDROID', 'd1', over('one'));
    const ref = { userId: ALICE, sessionId: session.id };
    links.unregister(asSocketId('one'));
    await harness.tracker.detachSocket(ALICE, asSocketId('one'), false);
    await harness.tracker.attachSocket(ref, open('two'), null);
    links.unregister(asSocketId('two'));
    await harness.tracker.logout(ref);
    expect(lost).toEqual([]);
  });

  it('stays counted until it is removed', async () => {
    expect(links.openSocketCount).toBe(0);
    await harness.login(ALICE, 'ANDROID', 'd1', over('one'));
    open('two');
    expect(links.openSocketCount).toBe(2);
    await harness.login(ALICE, 'WEB');
    expect(lost).toHaveLength(1);
    expect(links.openSocketCount).toBe(2);
    links.unregister(asSocketId('one'));
    links.unregister(asSocketId('one'));
    expect(links.openSocketCount).toBe(1);
  });

  it('is not notified before the end is durable', async () => {
    const { session } = await harness.login(ALICE, 'ANDROID', 'd1', over('one'));
    const committed = harness.store.gates.hold('before publishing');
    const logout = harness.tracker.logout({ userId: ALICE, sessionId: session.id });
    await committed;
    expect(lost).toEqual([]);
    harness.store.gates.open('before publishing');
    await logout;
    expect(lost).toHaveLength(1);
  });
});
