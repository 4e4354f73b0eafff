/** A restart of the server causes no status change. */
import { expect, it } from 'vitest';
import { UserScenario } from './harness.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

it('an ONLINE session stays ONLINE for one full timeout after a restart', () => {
  const story = new UserScenario();
  const id = story.login('WEB');
  story.attach(id);
  const { version, changedAt, lastSeenAt } = story.user;
  story.after(DAY).restart();
  expect(story.user).toMatchObject({ status: 'ONLINE', version, changedAt, lastSeenAt });
  expect(story.session(id)).toMatchObject({ status: 'ONLINE', socketIds: [], lastSeenAt });
  expect(story.nextDeadline).toBe(DAY + 60 * SECOND);
  story.after(60 * SECOND - 1).expire();
  expect(story.eventSummaries).toEqual([]);
  story.after(1).expire();
  expect(story.eventSummaries).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
  expect(story.user.lastSeenAt).toBe(lastSeenAt);
});

it('a session that reconnects in time causes no event', () => {
  const story = new UserScenario();
  const id = story.login('WEB');
  story.after(DAY).restart();
  story.after(60 * SECOND - 1).attach(id);
  story.after(1).expire();
  expect([story.eventSummaries, story.user.version]).toEqual([[], 1]);
});

it('a running grace period is replaced by the full timeout', () => {
  const story = new UserScenario({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: 5 * SECOND }] });
  const id = story.login('IPHONE');
  story.detach(story.attach(id));
  story.after(SECOND).restart();
  expect(story.session(id)?.detachedAt).toBeNull();
  expect(story.nextDeadline).toBe(SECOND + 400 * SECOND);
});

it('a background timeout restarts', () => {
  const story = new UserScenario();
  const id = story.login('MINI_PROGRAM');
  story.heartbeat(id, 'BACKGROUND');
  story.after(20 * SECOND).restart();
  expect(story.nextDeadline).toBe(20 * SECOND + 30 * SECOND);
});

it('a session in the foreground has no background timeout after a restart', () => {
  const story = new UserScenario();
  const id = story.login('MINI_PROGRAM');
  story.restart();
  expect(story.session(id)?.backgroundSince).toBeNull();
  expect(story.nextDeadline).toBe(60 * SECOND);
});

it('a PUSH_ONLINE session keeps its expiry date', () => {
  const story = new UserScenario();
  const id = story.loginPushOnline('IPHONE');
  const session = story.session(id);
  story.after(6 * DAY).restart();
  expect(story.session(id)).toEqual(session);
  expect(story.nextDeadline).toBe(PUSH_EXPIRY);
});

it('an expiry date that passed while the server was down ends the session at the next expire command', () => {
  const story = new UserScenario();
  story.loginPushOnline('IPHONE');
  story.after(8 * DAY).restart();
  expect(story.user.status).toBe('PUSH_ONLINE');
  story.expire();
  expect(story.eventSummaries).toEqual(['PUSH_EXPIRED PUSH_ONLINE>OFFLINE v3']);
});
