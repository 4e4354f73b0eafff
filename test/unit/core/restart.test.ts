/** A restart of the server is not a status change. */
import { expect, it } from 'vitest';
import { Story } from './harness.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

it('who was ONLINE gets one full timeout to come back, and is ONLINE until then', () => {
  const story = new Story();
  const id = story.login('WEB');
  story.attach(id);
  const { version, changedAt, lastSeenAt } = story.user;
  story.after(DAY).restart();
  expect(story.user).toMatchObject({ status: 'ONLINE', version, changedAt, lastSeenAt });
  expect(story.session(id)).toMatchObject({ status: 'ONLINE', socketIds: [], lastSeenAt });
  expect(story.nextLook).toBe(DAY + 60 * SECOND);
  story.after(60 * SECOND - 1).wake();
  expect(story.told).toEqual([]);
  story.after(1).wake();
  expect(story.told).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
  expect(story.user.lastSeenAt).toBe(lastSeenAt);
});

it('who is back in time was never away', () => {
  const story = new Story();
  const id = story.login('WEB');
  story.after(DAY).restart();
  story.after(60 * SECOND - 1).attach(id);
  story.after(1).wake();
  expect([story.told, story.user.version]).toEqual([[], 1]);
});

it('a grace that was running is over: the full timeout holds', () => {
  const story = new Story({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: 5 * SECOND }] });
  const id = story.login('IPHONE');
  story.detach(story.attach(id));
  story.after(SECOND).restart();
  expect(story.session(id)?.detachedAt).toBeNull();
  expect(story.nextLook).toBe(SECOND + 400 * SECOND);
});

it('a background limit starts over', () => {
  const story = new Story();
  const id = story.login('MINI_PROGRAM');
  story.beat(id, 'BACKGROUND');
  story.after(20 * SECOND).restart();
  expect(story.nextLook).toBe(20 * SECOND + 30 * SECOND);
});

it('who was in the foreground has no background limit after it', () => {
  const story = new Story();
  const id = story.login('MINI_PROGRAM');
  story.restart();
  expect(story.session(id)?.backgroundSince).toBeNull();
  expect(story.nextLook).toBe(60 * SECOND);
});

it('a PUSH_ONLINE session keeps its date', () => {
  const story = new Story();
  const id = story.pushed('IPHONE');
  const session = story.session(id);
  story.after(6 * DAY).restart();
  expect(story.session(id)).toEqual(session);
  expect(story.nextLook).toBe(PUSH_EXPIRY);
});

it('a 7-day date that passed while the server was down ends the session when it is woken', () => {
  const story = new Story();
  story.pushed('IPHONE');
  story.after(8 * DAY).restart();
  expect(story.user.status).toBe('PUSH_ONLINE');
  story.wake();
  expect(story.told).toEqual(['PUSH_EXPIRED PUSH_ONLINE>OFFLINE v3']);
});
