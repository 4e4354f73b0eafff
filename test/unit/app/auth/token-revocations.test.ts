import { beforeEach, describe, expect, it } from 'vitest';
import { START } from '../support/fake-store.ts';
import { ALICE, BOB, AppHarness } from '../support/app-harness.ts';
import { errorOf } from '../support/waiting.ts';

const ALL = { platform: null, sessionId: null } as const;

let harness: AppHarness;
let received: string[];

beforeEach(() => {
  harness = new AppHarness();
  received = [];
});

const listen = (name: string, user = ALICE) =>
  harness.tracker.tokenRevocations.onTokensRevoked(user, (before) => received.push(`${name} ${before - START}`));

describe('a listener to the revocations of a user', () => {
  it('receives the time of a revocation, also when no session ends', async () => {
    listen('one');
    listen('two');
    listen('of bob', BOB);
    harness.store.passes(5);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(received).toEqual(['one 5', 'two 5']);
    harness.store.passes(5);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(received).toEqual(['one 5', 'two 5', 'one 10', 'two 10']);
  });

  it('receives nothing when sessions end without a revocation', async () => {
    await harness.tracker.endSessions(ALICE, ALL, true);
    listen('one');
    await harness.login();
    await harness.tracker.endSessions(ALICE, ALL, false);
    expect(received).toEqual([]);
  });

  it('receives nothing of a revocation that failed', async () => {
    listen('one');
    const failure = new Error('disk full');
    harness.store.gates.fail('before deciding', failure);
    expect(await errorOf(harness.tracker.endSessions(ALICE, ALL, true))).toBe(failure);
    expect(received).toEqual([]);
  });

  it('receives nothing after it unsubscribed; a second unsubscription changes nothing, and other listeners still receive', async () => {
    const stop = listen('one');
    const staying = listen('two');
    stop();
    stop();
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(received).toEqual(['two 0']);
    expect(harness.tracker.tokenRevocations.listenedUserCount).toBe(1);
    staying();
    expect(harness.tracker.tokenRevocations.listenedUserCount).toBe(0);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(received).toEqual(['two 0']);
  });
});
