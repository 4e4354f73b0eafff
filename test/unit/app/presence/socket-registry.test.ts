import { beforeEach, describe, expect, it } from 'vitest';
import { Links } from '../../../../src/app/presence/socket-registry.ts';
import type { Origin } from '../../../../src/app/presence/tracker.ts';
import { linkId } from '../../../../src/core/ids.ts';
import type { LostLink } from '../../../../src/core/records.ts';
import { ALICE, BOB, AppHarness } from '../support/app-harness.ts';

let harness: AppHarness;
let links: Links;
let lost: { readonly by: string; readonly lost: LostLink }[];

beforeEach(() => {
  harness = new AppHarness();
  links = new Links(harness.store);
  lost = [];
});

const open = (name: string) => {
  const id = linkId(name);
  links.add({ id, lose: (what) => lost.push({ by: name, lost: what }) });
  return id;
};
const over = (name: string): Origin => ({ ipAddress: null, link: open(name) });

describe('a socket', () => {
  it('is told that its session has ended, each of several, and no other', async () => {
    const { session } = await harness.login(ALICE, 'ANDROID', 'd1', over('one'));
    const ref = { userId: ALICE, sessionId: session.id };
    await harness.tracker.attach(ref, open('two'), null);
    await harness.login(BOB, 'ANDROID', 'd1', over('of bob'));
    await harness.tracker.logout(ref);
    const what = { sessionId: session.id, reason: 'LOGOUT', ended: true };
    expect(lost).toEqual([
      { by: 'one', lost: { link: 'one', ...what } },
      { by: 'two', lost: { link: 'two', ...what } },
    ]);
  });

  it('is told whether its session ended or may come back', async () => {
    await harness.login(ALICE, 'ANDROID', 'd1', over('phone'));
    await harness.login(BOB, 'WEB', 'd1', over('page'));
    harness.store.passes(400_000);
    await harness.tracker.wake([ALICE]);
    await harness.tracker.wake([BOB]);
    expect(lost.map(({ by, lost: { reason, ended } }) => [by, reason, ended])).toEqual([
      ['phone', 'HEARTBEAT_TIMEOUT', false],
      ['page', 'HEARTBEAT_TIMEOUT', true],
    ]);
  });

  it('is told nothing by its own closing, or once it is removed', async () => {
    const { session } = await harness.login(ALICE, 'ANDROID', 'd1', over('one'));
    const ref = { userId: ALICE, sessionId: session.id };
    links.remove(linkId('one'));
    await harness.tracker.detach(ALICE, linkId('one'), false);
    await harness.tracker.attach(ref, open('two'), null);
    links.remove(linkId('two'));
    await harness.tracker.logout(ref);
    expect(lost).toEqual([]);
  });

  it('stays counted until it is removed', async () => {
    expect(links.count).toBe(0);
    await harness.login(ALICE, 'ANDROID', 'd1', over('one'));
    open('two');
    expect(links.count).toBe(2);
    await harness.login(ALICE, 'WEB');
    expect(lost).toHaveLength(1);
    expect(links.count).toBe(2);
    links.remove(linkId('one'));
    links.remove(linkId('one'));
    expect(links.count).toBe(1);
  });

  it('is not told before the end is durable', async () => {
    const { session } = await harness.login(ALICE, 'ANDROID', 'd1', over('one'));
    const committed = harness.store.gates.hold('before telling');
    const logout = harness.tracker.logout({ userId: ALICE, sessionId: session.id });
    await committed;
    expect(lost).toEqual([]);
    harness.store.gates.open('before telling');
    await logout;
    expect(lost).toHaveLength(1);
  });
});
