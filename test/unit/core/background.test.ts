/** The background timeout: what starts it, what stops it, and what does not extend it. */
import { describe, expect, it } from 'vitest';
import type { SessionId } from '../../../src/core/ids.ts';
import { UserScenario } from './harness.ts';
import { SECOND } from './tables.ts';

const LIMIT = 30 * SECOND;

const inBackground = (canBePushOnline = false) => {
  const story = new UserScenario({ platforms: [{ platform: 'MINI_PROGRAM', canBePushOnline }] });
  const id = story.login('MINI_PROGRAM');
  story.heartbeat(id, 'BACKGROUND');
  return { story, id };
};

describe('the background timeout', () => {
  it('does not run after a login, which is in the foreground', () => {
    const story = new UserScenario();
    const id = story.login('MINI_PROGRAM');
    expect(story.session(id)).toMatchObject({ appState: 'FOREGROUND', backgroundSince: null });
    expect(story.nextDeadline).toBe(60 * SECOND);
  });

  it.each([
    [
      'a heartbeat that says BACKGROUND again',
      (story: UserScenario, id: SessionId) => story.heartbeat(id, 'BACKGROUND'),
    ],
    ['a heartbeat that says nothing', (story: UserScenario, id: SessionId) => story.heartbeat(id)],
    ['an operation', (story: UserScenario, id: SessionId) => story.recordActivity(id)],
    ['attaching', (story: UserScenario, id: SessionId) => story.attach(id)],
  ])('is not extended by %s', (_, act) => {
    const { story, id } = inBackground();
    story.after(LIMIT - 1);
    act(story, id);
    expect([story.eventSummaries, story.nextDeadline]).toEqual([[], LIMIT]);
    story.after(1).expire();
    expect(story.eventSummaries).toEqual(['BACKGROUND_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('stops with FOREGROUND, and the heartbeat timeout continues', () => {
    const { story, id } = inBackground();
    story.after(LIMIT - 1).heartbeat(id, 'FOREGROUND');
    expect(story.session(id)).toMatchObject({ appState: 'FOREGROUND', backgroundSince: null });
    expect(story.nextDeadline).toBe(LIMIT - 1 + 60 * SECOND);
  });

  it('restarts when the session enters the background again', () => {
    const { story, id } = inBackground();
    story.after(10 * SECOND).heartbeat(id, 'FOREGROUND');
    story.after(10 * SECOND).heartbeat(id, 'BACKGROUND');
    expect(story.nextDeadline).toBe(20 * SECOND + LIMIT);
  });

  it('does not apply when the heartbeat timeout is earlier', () => {
    const { story, id } = inBackground();
    story.heartbeat(id, 'FOREGROUND');
    story.after(50 * SECOND);
    story.changePolicy({ platforms: [{ platform: 'MINI_PROGRAM', backgroundTimeoutMs: 300 * SECOND }] });
    story.heartbeat(id, 'BACKGROUND');
    story.after(60 * SECOND).expire();
    expect(story.eventSummaries).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('does not run on a platform without one, which only stores the app state', () => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    story.heartbeat(id, 'BACKGROUND');
    expect([story.session(id)?.appState, story.nextDeadline]).toEqual(['BACKGROUND', 400 * SECOND]);
  });

  it('restarts when a PUSH_ONLINE session reconnects in the background', () => {
    const { story, id } = inBackground(true);
    story.after(LIMIT).expire();
    expect([story.statusOf(id), story.session(id)?.appState]).toEqual(['PUSH_ONLINE', 'BACKGROUND']);
    story.after(SECOND).recordActivity(id);
    expect([story.statusOf(id), story.session(id)?.appState]).toEqual(['ONLINE', 'BACKGROUND']);
    expect(story.nextDeadline).toBe(LIMIT + SECOND + LIMIT);
    story.after(LIMIT).expire();
    expect(story.eventSummaries).toEqual(['BACKGROUND_TIMEOUT ONLINE>PUSH_ONLINE v4']);
  });

  it('does not run for a PUSH_ONLINE session that reconnects with FOREGROUND', () => {
    const { story, id } = inBackground(true);
    story.after(LIMIT).expire();
    story.heartbeat(id, 'FOREGROUND');
    expect(story.session(id)?.backgroundSince).toBeNull();
    expect(story.nextDeadline).toBe(LIMIT + 60 * SECOND);
  });

  it('does not run for a PUSH_ONLINE session that was in the foreground and reconnects', () => {
    const story = new UserScenario();
    const id = story.loginPushOnline('IPHONE');
    story.after(SECOND).recordActivity(id);
    expect(story.session(id)).toMatchObject({ appState: 'FOREGROUND', backgroundSince: null });
  });
});
