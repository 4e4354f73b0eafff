import { beforeEach, describe, expect, it } from 'vitest';
import { START } from '../support/fake-store.ts';
import { ALICE, BOB, AppHarness } from '../support/app-harness.ts';
import { errorOf } from '../support/waiting.ts';

const ALL = { platform: null, sessionId: null } as const;

let harness: AppHarness;
let heard: string[];

beforeEach(() => {
  harness = new AppHarness();
  heard = [];
});

const listen = (name: string, user = ALICE) =>
  harness.tracker.tokenRevocations.onTokensRevoked(user, (before) => heard.push(`${name} ${before - START}`));

describe('whoever holds a user’s JWT open', () => {
  it('hears that it is refused from that moment on, also when no session ends by it', async () => {
    listen('one');
    listen('two');
    listen('of bob', BOB);
    harness.store.passes(5);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(heard).toEqual(['one 5', 'two 5']);
    harness.store.passes(5);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(heard).toEqual(['one 5', 'two 5', 'one 10', 'two 10']);
  });

  it('hears nothing when sessions end and the JWTs stay good, now or later', async () => {
    await harness.tracker.endSessions(ALICE, ALL, true);
    listen('one');
    await harness.login();
    await harness.tracker.endSessions(ALICE, ALL, false);
    expect(heard).toEqual([]);
  });

  it('hears nothing of a revocation that failed', async () => {
    listen('one');
    const failure = new Error('disk full');
    harness.store.gates.fail('before deciding', failure);
    expect(await errorOf(harness.tracker.endSessions(ALICE, ALL, true))).toBe(failure);
    expect(heard).toEqual([]);
  });

  it('hears nothing once that is taken back, twice is once, and others hear on', async () => {
    const stop = listen('one');
    const staying = listen('two');
    stop();
    stop();
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(heard).toEqual(['two 0']);
    expect(harness.tracker.tokenRevocations.listenedUserCount).toBe(1);
    staying();
    expect(harness.tracker.tokenRevocations.listenedUserCount).toBe(0);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(heard).toEqual(['two 0']);
  });
});
