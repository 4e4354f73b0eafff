/** The use cases over a store that tests can hold, and a few words to make things happen in it. */
import type { SessionRef } from '../../../../src/app/auth/caller.ts';
import type { Credentials } from '../../../../src/app/ports/presence-store.ts';
import { Tracker, type LoggedIn, type Origin } from '../../../../src/app/presence/tracker.ts';
import { deviceId, linkId, sessionId, userId, type SessionId, type UserId } from '../../../../src/core/ids.ts';
import { FakeStore } from './fake-store.ts';
import type { Platform } from '../../../../src/core/enums.ts';

export const ALICE = userId('alice');
export const BOB = userId('bob');
export const CAROL = userId('carol');

export const HTTP: Origin = { ipAddress: '192.0.2.1', link: null };
export const SOCKET: Origin = { ipAddress: '192.0.2.2', link: linkId('socket 1') };

/** Makes what can be guessed: s1, s2 … and made-1, made-2 … */
class CountingCredentials implements Credentials {
  sessions = 0;
  devices = 0;

  newSession(user: UserId) {
    const name = `s${++this.sessions}`;
    return { sessionId: sessionId(name), token: `token of ${name} of ${user}`, tokenHash: `hash of ${name}` };
  }

  newDeviceId() {
    return deviceId(`made-${++this.devices}`);
  }
}

export class AppHarness {
  readonly store: FakeStore;
  readonly tracker: Tracker;
  readonly #credentials = new CountingCredentials();

  constructor(store = new FakeStore()) {
    this.store = store;
    this.tracker = new Tracker(store, this.#credentials);
  }

  /** The id of the session that the last login makes, known before it is answered. */
  get lastSession(): SessionId {
    return sessionId(`s${this.#credentials.sessions}`);
  }

  login(user = ALICE, platform: Platform = 'ANDROID', device: string | null = 'd1', origin = HTTP): Promise<LoggedIn> {
    const request = {
      platform,
      deviceId: device === null ? null : deviceId(device),
      appVersion: null,
      osVersion: null,
    };
    return this.tracker.login(user, null, request, origin);
  }

  /** Logged in, as whoever acts in the session's name knows it. */
  async session(user = ALICE, platform: Platform = 'ANDROID', device: string | null = 'd1'): Promise<SessionRef> {
    const { session } = await this.login(user, platform, device);
    return { userId: user, sessionId: session.id };
  }
}
