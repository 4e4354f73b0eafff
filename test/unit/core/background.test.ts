/** In background: what enters it, what leaves it, and what does not extend it. */
import { describe, expect, it } from 'vitest';
import type { SessionId } from '../../../src/core/ids.ts';
import { Story } from './harness.ts';
import { SECOND } from './tables.ts';

const LIMIT = 30 * SECOND;

const inBackground = (canBePushOnline = false) => {
  const story = new Story({ platforms: [{ platform: 'MINI_PROGRAM', canBePushOnline }] });
  const id = story.login('MINI_PROGRAM');
  story.beat(id, 'BACKGROUND');
  return { story, id };
};

describe('the background limit', () => {
  it('a login is in the foreground', () => {
    const story = new Story();
    const id = story.login('MINI_PROGRAM');
    expect(story.session(id)).toMatchObject({ appState: 'FOREGROUND', backgroundSince: null });
    expect(story.nextLook).toBe(60 * SECOND);
  });

  it.each([
    ['a heartbeat that says BACKGROUND again', (story: Story, id: SessionId) => story.beat(id, 'BACKGROUND')],
    ['a heartbeat that says nothing', (story: Story, id: SessionId) => story.beat(id)],
    ['an operation', (story: Story, id: SessionId) => story.live(id)],
    ['attaching', (story: Story, id: SessionId) => story.attach(id)],
  ])('is not extended by %s', (_, act) => {
    const { story, id } = inBackground();
    story.after(LIMIT - 1);
    act(story, id);
    expect([story.told, story.nextLook]).toEqual([[], LIMIT]);
    story.after(1).wake();
    expect(story.told).toEqual(['BACKGROUND_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('FOREGROUND leaves it: silence alone counts from there', () => {
    const { story, id } = inBackground();
    story.after(LIMIT - 1).beat(id, 'FOREGROUND');
    expect(story.session(id)).toMatchObject({ appState: 'FOREGROUND', backgroundSince: null });
    expect(story.nextLook).toBe(LIMIT - 1 + 60 * SECOND);
  });

  it('entered anew, runs anew', () => {
    const { story, id } = inBackground();
    story.after(10 * SECOND).beat(id, 'FOREGROUND');
    story.after(10 * SECOND).beat(id, 'BACKGROUND');
    expect(story.nextLook).toBe(20 * SECOND + LIMIT);
  });

  it('longer than what is left of the silence: the heartbeat timeout comes first', () => {
    const { story, id } = inBackground();
    story.beat(id, 'FOREGROUND');
    story.after(50 * SECOND);
    story.changePolicy({ platforms: [{ platform: 'MINI_PROGRAM', backgroundTimeoutMs: 300 * SECOND }] });
    story.beat(id, 'BACKGROUND');
    story.after(60 * SECOND).wake();
    expect(story.told).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('on a platform without one the state is only recorded', () => {
    const story = new Story();
    const id = story.login('IPHONE');
    story.beat(id, 'BACKGROUND');
    expect([story.session(id)?.appState, story.nextLook]).toEqual(['BACKGROUND', 400 * SECOND]);
  });

  it('starts over when a PUSH_ONLINE session comes back, still in background', () => {
    const { story, id } = inBackground(true);
    story.after(LIMIT).wake();
    expect([story.statusOf(id), story.session(id)?.appState]).toEqual(['PUSH_ONLINE', 'BACKGROUND']);
    story.after(SECOND).live(id);
    expect([story.statusOf(id), story.session(id)?.appState]).toEqual(['ONLINE', 'BACKGROUND']);
    expect(story.nextLook).toBe(LIMIT + SECOND + LIMIT);
    story.after(LIMIT).wake();
    expect(story.told).toEqual(['BACKGROUND_TIMEOUT ONLINE>PUSH_ONLINE v4']);
  });

  it('a PUSH_ONLINE session that comes back with FOREGROUND has none', () => {
    const { story, id } = inBackground(true);
    story.after(LIMIT).wake();
    story.beat(id, 'FOREGROUND');
    expect(story.session(id)?.backgroundSince).toBeNull();
    expect(story.nextLook).toBe(LIMIT + 60 * SECOND);
  });

  it('a PUSH_ONLINE session in the foreground that comes back has none', () => {
    const story = new Story();
    const id = story.pushed('IPHONE');
    story.after(SECOND).live(id);
    expect(story.session(id)).toMatchObject({ appState: 'FOREGROUND', backgroundSince: null });
  });
});
