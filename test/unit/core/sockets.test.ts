/** Sockets: which close counts, when, and which socket is whose. */
import { describe, expect, it } from 'vitest';
import { asSocketId } from '../../../src/core/ids.ts';
import { Story } from './harness.ts';
import { SECOND } from './tables.ts';

const GRACE = 5 * SECOND;

describe('a late close of an old socket', () => {
  it('of a socket nobody knows changes nothing, and the record stays the same object', () => {
    const story = new Story();
    story.login('IPHONE');
    const before = story.user;
    story.after(SECOND).detach(asSocketId('unknown'));
    expect(story.last).toEqual({ user: before, changes: [], endedSessions: [], session: null, mustBeDurable: false });
    expect(story.user).toBe(before);
  });

  it('never touches the session that has a newer one', () => {
    const story = new Story();
    const id = story.login('IPHONE');
    const old = story.attach(id);
    story.detach(old);
    story.attach(id);
    const before = story.user;
    story.detach(old);
    expect(story.user).toBe(before);
  });

  it('after a timeout closed it under the session: no DISCONNECT as well', () => {
    const story = new Story();
    const id = story.login('IPHONE');
    const link = story.attach(id);
    story.after(400 * SECOND).wake();
    story.detach(link);
    expect([story.told, story.statusOf(id)]).toEqual([[], 'PUSH_ONLINE']);
  });

  it('after a kick: not counted as a DISCONNECT as well', () => {
    const story = new Story();
    const link = story.attach(story.login('IPHONE'));
    story.login('WEB');
    expect(story.last.changes[0]?.lostSockets.map((lost) => lost.socketId)).toEqual([link]);
    story.detach(link);
    expect(story.told).toEqual([]);
  });

  it('its pings are no sign of life', () => {
    const story = new Story();
    const id = story.login('IPHONE');
    const link = story.attach(id);
    story.detach(link);
    const before = story.user;
    story.after(SECOND).live(id, link);
    expect([story.user, story.last.session?.id]).toEqual([before, id]);
    expect(story.user).toBe(before);
  });
});

describe('closed by the server for reasons of its own', () => {
  it('is no DISCONNECT: the heartbeat timeout runs on', () => {
    const story = new Story();
    const id = story.login('WEB');
    const link = story.attach(id);
    story.after(20 * SECOND).detach(link, true);
    expect([story.told, story.statusOf(id)]).toEqual([[], 'ONLINE']);
    expect(story.session(id)?.socketIds).toEqual([]);
    expect(story.nextLook).toBe(60 * SECOND);
  });

  it('starts no grace either', () => {
    const story = new Story({ platforms: [{ platform: 'WEB', disconnectGraceMs: GRACE }] });
    const id = story.login('WEB');
    story.detach(story.attach(id), true);
    expect(story.nextLook).toBe(60 * SECOND);
  });
});

describe('a grace', () => {
  const graceful = (ms = GRACE) => {
    const story = new Story({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: ms }] });
    const id = story.login('IPHONE');
    story.detach(story.attach(id));
    return { story, id };
  };

  it('over without a sign of life: DISCONNECT, not a millisecond earlier', () => {
    const { story, id } = graceful();
    expect([story.told, story.nextLook]).toEqual([[], GRACE]);
    story.after(GRACE - 1).wake();
    expect([story.told, story.statusOf(id)]).toEqual([[], 'ONLINE']);
    story.after(1).wake();
    expect(story.told).toEqual(['DISCONNECT ONLINE>PUSH_ONLINE v2']);
  });

  it.each(['heartbeat', 'HTTP', 'attach'] as const)(
    'a sign of life within it (%s): the close never counted',
    (kind) => {
      const { story, id } = graceful();
      story.after(GRACE - 1);
      if (kind === 'heartbeat') story.beat(id);
      else if (kind === 'HTTP') story.live(id);
      else story.attach(id);
      story.after(2).wake();
      expect([story.told, story.statusOf(id)]).toEqual([[], 'ONLINE']);
      expect(story.nextLook).toBe(GRACE - 1 + 400 * SECOND);
    },
  );

  it('does not start while another socket is open', () => {
    const story = new Story({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: GRACE }] });
    const id = story.login('IPHONE');
    const first = story.attach(id);
    story.attach(id);
    story.detach(first);
    expect(story.nextLook).toBe(400 * SECOND);
  });

  it('longer than the heartbeat timeout: the timeout comes first', () => {
    const { story } = graceful(500 * SECOND);
    expect(story.nextLook).toBe(400 * SECOND);
    story.after(400 * SECOND).wake();
    expect(story.told).toEqual(['HEARTBEAT_TIMEOUT ONLINE>PUSH_ONLINE v2']);
  });

  it('is the one the session was told, whatever the policy says by now', () => {
    const story = new Story({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: GRACE }] });
    const id = story.login('IPHONE');
    const link = story.attach(id);
    story.changePolicy({ platforms: [{ platform: 'IPHONE', disconnectGraceMs: 0 }] });
    story.detach(link);
    expect([story.told, story.nextLook]).toEqual([[], GRACE]);
  });
});

describe('a login over a socket', () => {
  it('attaches it to the new session', () => {
    const story = new Story();
    const link = asSocketId('l');
    const id = story.login('WEB', { link });
    expect(story.session(id)?.socketIds).toEqual([link]);
    story.detach(link);
    expect(story.told).toEqual(['DISCONNECT ONLINE>OFFLINE v2']);
  });

  it('replacing its own session: the socket moves on and is not closed, the others of the old one are', () => {
    const story = new Story();
    const link = asSocketId('l');
    const old = story.login('WEB', { link, device: 'd' });
    const other = story.attach(old);
    const id = story.login('WEB', { link, device: 'd' });
    expect(story.session(id)?.socketIds).toEqual([link]);
    expect(story.last.changes[0]?.lostSockets).toEqual([
      { socketId: other, sessionId: old, reason: 'REPLACED', isSessionEnded: true },
    ]);
    expect(story.last.endedSessions[0]?.session.socketIds).toEqual([other]);
  });

  it('kicking the session it was on: the socket moves on and is not closed', () => {
    const story = new Story();
    const link = asSocketId('l');
    story.login('WEB', { link });
    const id = story.login('IPHONE', { link });
    expect(story.told).toEqual(['LOGIN ONLINE>ONLINE v1', 'KICKED ONLINE>ONLINE v1']);
    expect(story.last.changes[0]?.lostSockets).toEqual([]);
    expect(story.session(id)?.socketIds).toEqual([link]);
  });

  it('leaving a session that stays: no socket closed, so no DISCONNECT; its silence runs on', () => {
    const story = new Story({ multiDevice: { mode: 'MULTI' } });
    const link = asSocketId('l');
    const first = story.login('WEB', { link });
    const kept = story.attach(first);
    const second = story.after(SECOND).login('IPHONE', { link });
    expect(story.told).toEqual(['LOGIN ONLINE>ONLINE v1']);
    expect([story.session(first)?.socketIds, story.session(second)?.socketIds]).toEqual([[kept], [link]]);
    expect(story.nextLook).toBe(60 * SECOND);
    story.live(first, link);
    expect(story.session(first)?.lastSeenAt).toBe(story.now - SECOND);
  });
});

describe('sockets that a session costs when it ends', () => {
  it.each(['LOGOUT', 'REVOKED', 'KICKED', 'REPLACED'] as const)('%s: all of them, each once', (reason) => {
    const story = new Story();
    const id = story.login('IPHONE', { device: 'd' });
    const links = [story.attach(id), story.attach(id)];
    if (reason === 'LOGOUT') story.logout(id);
    else if (reason === 'REVOKED') story.end({ id });
    else story.login(reason === 'KICKED' ? 'WEB' : 'IPHONE', { device: 'd' });
    expect(story.last.changes.flatMap(({ lostSockets: lostLinks }) => lostLinks)).toEqual(
      links.map((link) => ({ socketId: link, sessionId: id, reason, isSessionEnded: true })),
    );
  });
});
