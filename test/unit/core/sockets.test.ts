/** Sockets: which closes disconnect a session, and to which session a socket belongs. */
import { describe, expect, it } from 'vitest';
import { asSocketId } from '../../../src/core/ids.ts';
import { UserScenario } from './harness.ts';
import { SECOND } from './tables.ts';

const GRACE = 5 * SECOND;

describe('a late close of an old socket', () => {
  it('changes nothing for an unknown socket, and returns the same record object', () => {
    const story = new UserScenario();
    story.login('IPHONE');
    const before = story.user;
    story.after(SECOND).detach(asSocketId('unknown'));
    expect(story.lastOutcome).toEqual({
      user: before,
      changes: [],
      endedSessions: [],
      session: null,
      mustBeDurable: false,
    });
    expect(story.user).toBe(before);
  });

  it('does not affect a session that has a newer socket', () => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    const old = story.attach(id);
    story.detach(old);
    story.attach(id);
    const before = story.user;
    story.detach(old);
    expect(story.user).toBe(before);
  });

  it('causes no DISCONNECT after a timeout of the session', () => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    const link = story.attach(id);
    story.after(400 * SECOND).expire();
    story.detach(link);
    expect([story.eventSummaries, story.statusOf(id)]).toEqual([[], 'PUSH_ONLINE']);
  });

  it('causes no DISCONNECT after the session was kicked', () => {
    const story = new UserScenario();
    const link = story.attach(story.login('IPHONE'));
    story.login('WEB');
    expect(story.lastOutcome.changes[0]?.lostSockets.map((lost) => lost.socketId)).toEqual([link]);
    story.detach(link);
    expect(story.eventSummaries).toEqual([]);
  });

  it('and pings on it do not count as activity', () => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    const link = story.attach(id);
    story.detach(link);
    const before = story.user;
    story.after(SECOND).recordActivity(id, link);
    expect([story.user, story.lastOutcome.session?.id]).toEqual([before, id]);
    expect(story.user).toBe(before);
  });
});

describe('a close by the server', () => {
  it('causes no DISCONNECT, and the heartbeat timeout continues', () => {
    const story = new UserScenario();
    const id = story.login('WEB');
    const link = story.attach(id);
    story.after(20 * SECOND).detach(link, true);
    expect([story.eventSummaries, story.statusOf(id)]).toEqual([[], 'ONLINE']);
    expect(story.session(id)?.socketIds).toEqual([]);
    expect(story.nextDeadline).toBe(60 * SECOND);
  });

  it('does not start the grace period', () => {
    const story = new UserScenario({ platforms: [{ platform: 'WEB', disconnectGraceMs: GRACE }] });
    const id = story.login('WEB');
    story.detach(story.attach(id), true);
    expect(story.nextDeadline).toBe(60 * SECOND);
  });
});

describe('the disconnect grace period', () => {
  const graceful = (ms = GRACE) => {
    const story = new UserScenario({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: ms }] });
    const id = story.login('IPHONE');
    story.detach(story.attach(id));
    return { story, id };
  };

  it('ends with DISCONNECT, not a millisecond earlier', () => {
    const { story, id } = graceful();
    expect([story.eventSummaries, story.nextDeadline]).toEqual([[], GRACE]);
    story.after(GRACE - 1).expire();
    expect([story.eventSummaries, story.statusOf(id)]).toEqual([[], 'ONLINE']);
    story.after(1).expire();
    expect(story.eventSummaries).toEqual(['DISCONNECT ONLINE>PUSH_ONLINE v2']);
  });

  it.each(['heartbeat', 'HTTP', 'attach'] as const)('is cancelled by activity (%s)', (kind) => {
    const { story, id } = graceful();
    story.after(GRACE - 1);
    if (kind === 'heartbeat') story.heartbeat(id);
    else if (kind === 'HTTP') story.recordActivity(id);
    else story.attach(id);
    story.after(2).expire();
    expect([story.eventSummaries, story.statusOf(id)]).toEqual([[], 'ONLINE']);
    expect(story.nextDeadline).toBe(GRACE - 1 + 400 * SECOND);
  });

  it('does not start while another socket is open', () => {
    const story = new UserScenario({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: GRACE }] });
    const id = story.login('IPHONE');
    const first = story.attach(id);
    story.attach(id);
    story.detach(first);
    expect(story.nextDeadline).toBe(400 * SECOND);
  });

  it('does not apply when the heartbeat timeout is earlier', () => {
    const { story } = graceful(500 * SECOND);
    expect(story.nextDeadline).toBe(400 * SECOND);
    story.after(400 * SECOND).expire();
    expect(story.eventSummaries).toEqual(['HEARTBEAT_TIMEOUT ONLINE>PUSH_ONLINE v2']);
  });

  it('is the one in the timings of the session, not in the current policy', () => {
    const story = new UserScenario({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: GRACE }] });
    const id = story.login('IPHONE');
    const link = story.attach(id);
    story.changePolicy({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: 0 }] });
    story.detach(link);
    expect([story.eventSummaries, story.nextDeadline]).toEqual([[], GRACE]);
  });
});

describe('a login over a socket', () => {
  it('attaches the socket to the new session', () => {
    const story = new UserScenario();
    const link = asSocketId('l');
    const id = story.login('WEB', { link });
    expect(story.session(id)?.socketIds).toEqual([link]);
    story.detach(link);
    expect(story.eventSummaries).toEqual(['DISCONNECT ONLINE>OFFLINE v2']);
  });

  it('that replaces the session of the socket moves the socket, and closes the other sockets of the old session', () => {
    const story = new UserScenario();
    const link = asSocketId('l');
    const old = story.login('WEB', { link, device: 'd' });
    const other = story.attach(old);
    const id = story.login('WEB', { link, device: 'd' });
    expect(story.session(id)?.socketIds).toEqual([link]);
    expect(story.lastOutcome.changes[0]?.lostSockets).toEqual([
      { socketId: other, sessionId: old, reason: 'REPLACED', isSessionEnded: true },
    ]);
    expect(story.lastOutcome.endedSessions[0]?.session.socketIds).toEqual([other]);
  });

  it('that kicks the session of the socket moves the socket and does not close it', () => {
    const story = new UserScenario();
    const link = asSocketId('l');
    story.login('WEB', { link });
    const id = story.login('IPHONE', { link });
    expect(story.eventSummaries).toEqual(['LOGIN ONLINE>ONLINE v1', 'KICKED ONLINE>ONLINE v1']);
    expect(story.lastOutcome.changes[0]?.lostSockets).toEqual([]);
    expect(story.session(id)?.socketIds).toEqual([link]);
  });

  it('that takes the socket from a session that stays causes no DISCONNECT; the heartbeat timeout of that session continues', () => {
    const story = new UserScenario({ multiDevice: { mode: 'MULTI' } });
    const link = asSocketId('l');
    const first = story.login('WEB', { link });
    const kept = story.attach(first);
    const second = story.after(SECOND).login('IPHONE', { link });
    expect(story.eventSummaries).toEqual(['LOGIN ONLINE>ONLINE v1']);
    expect([story.session(first)?.socketIds, story.session(second)?.socketIds]).toEqual([[kept], [link]]);
    expect(story.nextDeadline).toBe(60 * SECOND);
    story.recordActivity(first, link);
    expect(story.session(first)?.lastSeenAt).toBe(story.now - SECOND);
  });
});

describe('the sockets of a session that ends', () => {
  it.each(['LOGOUT', 'REVOKED', 'KICKED', 'REPLACED'] as const)('are all reported as lost, each once: %s', (reason) => {
    const story = new UserScenario();
    const id = story.login('IPHONE', { device: 'd' });
    const links = [story.attach(id), story.attach(id)];
    if (reason === 'LOGOUT') story.logout(id);
    else if (reason === 'REVOKED') story.endSessions({ id });
    else story.login(reason === 'KICKED' ? 'WEB' : 'IPHONE', { device: 'd' });
    expect(story.lastOutcome.changes.flatMap(({ lostSockets: lostLinks }) => lostLinks)).toEqual(
      links.map((link) => ({ socketId: link, sessionId: id, reason, isSessionEnded: true })),
    );
  });
});
