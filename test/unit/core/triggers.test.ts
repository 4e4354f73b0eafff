/** The trigger table: each row from each status, on a platform that can be PUSH_ONLINE and on one that cannot. */
import { describe, expect, it } from 'vitest';
import { UserScenario } from './harness.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

const FROM = ['ONLINE', 'PUSH_ONLINE'] as const;

/** An IPHONE session in that status, ten seconds later. */
const phone = (from: (typeof FROM)[number], device = 'phone') => {
  const story = new UserScenario();
  const id = from === 'ONLINE' ? story.login('IPHONE', { device }) : story.loginPushOnline('IPHONE', device);
  return { story: story.after(10 * SECOND), id, version: from === 'ONLINE' ? 1 : 2 };
};

it('login | none → ONLINE | LOGIN', () => {
  const story = new UserScenario();
  const id = story.login('IPHONE', { ipAddress: '192.0.2.1' });
  expect(story.eventSummaries).toEqual(['LOGIN OFFLINE>ONLINE v1']);
  expect(story.changeSummaries).toEqual(['LOGIN OFFLINE>ONLINE v1']);
  expect(story.events[0]).toEqual({
    userId: 'alice',
    sessionId: id,
    platform: 'IPHONE',
    deviceId: 'device-1',
    reason: 'LOGIN',
    sessionStatus: 'ONLINE',
    previousStatus: 'OFFLINE',
    status: 'ONLINE',
    version: 1,
    kickedBy: null,
    customStatus: null,
    ipAddress: '192.0.2.1',
    occurredAt: story.now,
  });
  expect(story.lastOutcome.session).toBe(story.user.sessions[0]);
  expect(story.user).toMatchObject({ status: 'ONLINE', reason: 'LOGIN', changedAt: story.now, lastSeenAt: story.now });
});

describe.each(FROM)('from %s', (from) => {
  it(`login again, same platform and deviceId | ${from} → old ended, new ONLINE, no OFFLINE in between | LOGIN, REPLACED`, () => {
    const { story, id, version } = phone(from);
    const again = story.login('IPHONE', { device: 'phone' });
    const after = from === 'ONLINE' ? version : version + 1;
    expect(story.eventSummaries).toEqual([`LOGIN ${from}>ONLINE v${after}`, `REPLACED ONLINE>ONLINE v${after}`]);
    expect(story.changeSummaries).toEqual(from === 'ONLINE' ? [] : [`LOGIN PUSH_ONLINE>ONLINE v${after}`]);
    expect(story.events.map((event) => [event.sessionId, event.sessionStatus, event.kickedBy])).toEqual([
      [again, 'ONLINE', null],
      [id, 'OFFLINE', null],
    ]);
    expect(story.sessionIds).toEqual([again]);
    expect(story.lastOutcome.endedSessions).toMatchObject([
      { session: { id }, reason: 'REPLACED', endedAt: story.now, kickedBy: null },
    ]);
  });

  it(`login again with the same deviceId on another platform | ${from} → another device, not a REPLACED one`, () => {
    const { story, id } = phone(from);
    story.login('IPAD', { device: 'phone' });
    expect(story.lastOutcome.endedSessions).toMatchObject([{ session: { id }, reason: 'KICKED', kickedBy: 'IPAD' }]);
  });

  it(`logout | ${from} → ended, without a RECONNECT first | LOGOUT`, () => {
    const { story, id, version } = phone(from);
    story.logout(id);
    expect(story.eventSummaries).toEqual([`LOGOUT ${from}>OFFLINE v${version + 1}`]);
    expect(story.changeSummaries).toEqual([`LOGOUT ${from}>OFFLINE v${version + 1}`]);
    expect(story.user).toMatchObject({ status: 'OFFLINE', reason: 'LOGOUT', sessions: [], lastSeenAt: story.now });
    expect(story.lastOutcome.endedSessions).toMatchObject([{ session: { id }, reason: 'LOGOUT', kickedBy: null }]);
    expect(story.lastOutcome.session?.id).toBe(id);
  });

  it(`another device's login that the policy does not allow | ${from} → ended | KICKED`, () => {
    const { story, id, version } = phone(from);
    story.login('WEB');
    const after = from === 'ONLINE' ? version : version + 1;
    expect(story.eventSummaries).toEqual([`LOGIN ${from}>ONLINE v${after}`, `KICKED ONLINE>ONLINE v${after}`]);
    expect(story.events[1]).toMatchObject({ sessionId: id, sessionStatus: 'OFFLINE', kickedBy: 'WEB' });
    expect(story.lastOutcome.changes).toHaveLength(1);
    expect(story.lastOutcome.endedSessions).toMatchObject([{ session: { id }, reason: 'KICKED', kickedBy: 'WEB' }]);
  });

  it(`a backend ends it | ${from} → ended | REVOKED`, () => {
    const { story, id, version } = phone(from);
    const seen = story.user.lastSeenAt;
    story.endSessions();
    expect(story.eventSummaries).toEqual([`REVOKED ${from}>OFFLINE v${version + 1}`]);
    expect(story.lastOutcome.endedSessions).toMatchObject([{ session: { id }, reason: 'REVOKED', kickedBy: null }]);
    expect(story.user).toMatchObject({ status: 'OFFLINE', lastSeenAt: seen, tokensRevokedBefore: null });
  });

  it(`setCustomStatus | ${from} → the text changes, the command counts as activity | CUSTOM_STATUS`, () => {
    const { story, id, version } = phone(from);
    const outcome = story.setText(id, 'busy');
    const back = from === 'ONLINE' ? [] : [`RECONNECT PUSH_ONLINE>ONLINE v${version + 1}`];
    const after = version + back.length + 1;
    expect(story.eventSummaries).toEqual([...back, `CUSTOM_STATUS ONLINE>ONLINE v${after}`]);
    expect(story.changeSummaries).toEqual([...back, `CUSTOM_STATUS ONLINE>ONLINE v${after}`]);
    expect(outcome.changes.at(-1)?.statusChange).toMatchObject({ customStatus: 'busy', reason: 'CUSTOM_STATUS' });
    expect(story.user).toMatchObject({ customStatus: 'busy', reason: 'CUSTOM_STATUS', lastSeenAt: story.now });
    expect(outcome.session?.status).toBe('ONLINE');
  });
});

describe('activity | PUSH_ONLINE → ONLINE, the same session | RECONNECT', () => {
  it.each(['heartbeat', 'an operation over HTTP', 'attaching'] as const)('%s', (kind) => {
    const { story, id } = phone('PUSH_ONLINE');
    if (kind === 'heartbeat') story.heartbeat(id);
    else if (kind === 'attaching') story.attach(id);
    else story.recordActivity(id);
    expect(story.eventSummaries).toEqual(['RECONNECT PUSH_ONLINE>ONLINE v3']);
    expect(story.changeSummaries).toEqual(['RECONNECT PUSH_ONLINE>ONLINE v3']);
    expect(story.sessionIds).toEqual([id]);
    expect(story.session(id)).toMatchObject({ status: 'ONLINE', pushExpiresAt: null, lastSeenAt: story.now });
    expect(story.nextDeadline).toBe(10 * SECOND + 400 * SECOND);
  });
});

describe('activity | ONLINE → ONLINE, the heartbeat timeout restarts, no event', () => {
  it.each(['heartbeat', 'an operation over HTTP', 'attaching', 'a ping of an attached socket'] as const)(
    '%s',
    (kind) => {
      const { story, id } = phone('ONLINE');
      const link = story.attach(id);
      story.after(5 * SECOND);
      if (kind === 'heartbeat') story.heartbeat(id);
      else if (kind === 'attaching') story.attach(id);
      else story.recordActivity(id, kind === 'a ping of an attached socket' ? link : null);
      expect([story.eventSummaries, story.user.version]).toEqual([[], 1]);
      expect(story.lastOutcome.mustBeDurable).toBe(false);
      expect(story.user.lastSeenAt).toBe(story.now);
      expect(story.nextDeadline).toBe(415 * SECOND);
    },
  );
});

describe.each([
  ['IPHONE', 'PUSH_ONLINE'],
  ['WINDOWS', 'OFFLINE'],
] as const)('%s', (platform, becomes) => {
  it(`last socket closes | ONLINE → ${becomes} | DISCONNECT`, () => {
    const story = new UserScenario();
    const id = story.login(platform);
    const [one, other] = [story.attach(id), story.attach(id)];
    story.after(SECOND).detach(one);
    expect([story.eventSummaries, story.statusOf(id)]).toEqual([[], 'ONLINE']);
    story.after(SECOND).detach(other);
    expect(story.eventSummaries).toEqual([`DISCONNECT ONLINE>${becomes} v2`]);
    expect(story.lastOutcome.session?.id).toBe(id);
    expect(story.lastOutcome.changes[0]?.lostSockets).toEqual([]);
  });

  it(`no activity for the timeout | ONLINE → ${becomes} | HEARTBEAT_TIMEOUT`, () => {
    const story = new UserScenario();
    const id = story.login(platform);
    const link = story.attach(id);
    story.after(400 * SECOND).expire();
    expect(story.eventSummaries).toEqual([`HEARTBEAT_TIMEOUT ONLINE>${becomes} v2`]);
    const ended = becomes === 'OFFLINE';
    expect(story.lastOutcome.changes[0]?.lostSockets).toEqual([
      { socketId: link, sessionId: id, reason: 'HEARTBEAT_TIMEOUT', isSessionEnded: ended },
    ]);
    expect(story.lastOutcome.session).toBeNull();
  });

  it(`in background for the background timeout | ONLINE → ${becomes} | BACKGROUND_TIMEOUT`, () => {
    const story = new UserScenario({ platforms: [{ platform, backgroundTimeoutMs: 30 * SECOND }] });
    const id = story.login(platform);
    const link = story.attach(id);
    story.heartbeat(id, 'BACKGROUND');
    story.after(30 * SECOND).expire();
    expect(story.eventSummaries).toEqual([`BACKGROUND_TIMEOUT ONLINE>${becomes} v2`]);
    const ended = becomes === 'OFFLINE';
    expect(story.lastOutcome.changes[0]?.lostSockets).toEqual([
      { socketId: link, sessionId: id, reason: 'BACKGROUND_TIMEOUT', isSessionEnded: ended },
    ]);
  });
});

it('PUSH_ONLINE for 7 days | PUSH_ONLINE → ended | PUSH_EXPIRED', () => {
  const { story, id } = phone('PUSH_ONLINE');
  const seen = story.user.lastSeenAt;
  story.after(8 * DAY).expire();
  expect(story.eventSummaries).toEqual(['PUSH_EXPIRED PUSH_ONLINE>OFFLINE v3']);
  expect(story.lastOutcome.endedSessions).toMatchObject([
    { session: { id }, reason: 'PUSH_EXPIRED', endedAt: story.now, kickedBy: null },
  ]);
  expect(story.user).toMatchObject({ status: 'OFFLINE', reason: 'PUSH_EXPIRED', lastSeenAt: seen });
});

it('PUSH_ONLINE for 7 days: counted from the time it became PUSH_ONLINE, not from its last activity', () => {
  const story = new UserScenario();
  const link = story.attach(story.login('IPHONE'));
  story.after(300 * SECOND).detach(link);
  expect(story.nextDeadline).toBe(300 * SECOND + PUSH_EXPIRY);
});

it('PUSH_ONLINE for 7 days, then activity before the timer: too late, the session has ended', () => {
  const { story, id } = phone('PUSH_ONLINE');
  story.now = story.session(id)?.pushExpiresAt ?? story.now;
  story.heartbeat(id);
  expect(story.eventSummaries).toEqual(['PUSH_EXPIRED PUSH_ONLINE>OFFLINE v3']);
  expect(story.lastOutcome.session).toBeNull();
});

it('PUSH_ONLINE for 7 days less a millisecond, then activity: the session reconnects', () => {
  const { story, id } = phone('PUSH_ONLINE');
  story.after(PUSH_EXPIRY - 10 * SECOND - 1).heartbeat(id);
  expect(story.eventSummaries).toEqual(['RECONNECT PUSH_ONLINE>ONLINE v3']);
});
