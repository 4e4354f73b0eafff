import { beforeEach, describe, expect, it } from 'vitest';
import { START } from '../support/fake-store.ts';
import { ALICE, BOB, Stage } from '../support/app-harness.ts';
import { errorOf } from '../support/waiting.ts';

const ALL = { platform: null, sessionId: null } as const;

let stage: Stage;
let heard: string[];

beforeEach(() => {
  stage = new Stage();
  heard = [];
});

const listen = (name: string, user = ALICE) =>
  stage.tracker.revocations.onRevoke(user, (before) => heard.push(`${name} ${before - START}`));

describe('whoever holds a user’s JWT open', () => {
  it('hears that it is refused from that moment on, also when no session ends by it', async () => {
    listen('one');
    listen('two');
    listen('of bob', BOB);
    stage.store.passes(5);
    await stage.tracker.endSessions(ALICE, ALL, true);
    expect(heard).toEqual(['one 5', 'two 5']);
    stage.store.passes(5);
    await stage.tracker.endSessions(ALICE, ALL, true);
    expect(heard).toEqual(['one 5', 'two 5', 'one 10', 'two 10']);
  });

  it('hears nothing when sessions end and the JWTs stay good, now or later', async () => {
    await stage.tracker.endSessions(ALICE, ALL, true);
    listen('one');
    await stage.login();
    await stage.tracker.endSessions(ALICE, ALL, false);
    expect(heard).toEqual([]);
  });

  it('hears nothing of a revocation that failed', async () => {
    listen('one');
    const failure = new Error('disk full');
    stage.store.gates.fail('before deciding', failure);
    expect(await errorOf(stage.tracker.endSessions(ALICE, ALL, true))).toBe(failure);
    expect(heard).toEqual([]);
  });

  it('hears nothing once that is taken back, twice is once, and others hear on', async () => {
    const stop = listen('one');
    const staying = listen('two');
    stop();
    stop();
    await stage.tracker.endSessions(ALICE, ALL, true);
    expect(heard).toEqual(['two 0']);
    expect(stage.tracker.revocations.listenedTo).toBe(1);
    staying();
    expect(stage.tracker.revocations.listenedTo).toBe(0);
    await stage.tracker.endSessions(ALICE, ALL, true);
    expect(heard).toEqual(['two 0']);
  });
});
