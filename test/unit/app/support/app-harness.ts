/** The use cases over a store whose steps tests can hold, with helpers for common actions. */
import type { SessionRef } from '../../../../src/app/auth/caller.ts';
import type { CredentialFactory } from '../../../../src/app/ports/presence-store.ts';
import { PresenceTracker, type LoginResult, type CommandOrigin } from '../../../../src/app/presence/tracker.ts';
import {
  parseDeviceId,
  asSocketId,
  parseSessionId,
  parseUserId,
  type SessionId,
  type UserId,
} from '../../../../src/core/ids.ts';
import { FakeStore } from './fake-store.ts';
import type { Platform } from '../../../../src/core/enums.ts';

export const ALICE = parseUserId('alice');
export const BOB = parseUserId('bob');
export const CAROL = parseUserId('carol');

export const HTTP: CommandOrigin = { ipAddress: '192.0.2.1', socketId: null };
export const SOCKET: CommandOrigin = { ipAddress: '192.0.2.2', socketId: asSocketId('socket 1') };

/** Creates predictable ids: s1, s2 … and made-1, made-2 … */
class CountingCredentials implements CredentialFactory {
  sessions = 0;
  devices = 0;

  createSessionCredentials(user: UserId) {
    const name = `s${++this.sessions}`;
    return { sessionId: parseSessionId(name), token: `token of ${name} of ${user}`, tokenHash: `hash of ${name}` };
  }

  createDeviceId() {
    return parseDeviceId(`made-${++this.devices}`);
  }
}

export class AppHarness {
  readonly store: FakeStore;
  readonly tracker: PresenceTracker;
  readonly #credentials = new CountingCredentials();

  constructor(store = new FakeStore()) {
    this.store = store;
    this.tracker = new PresenceTracker(store, this.#credentials);
  }

  /** The id of the session that the last login creates, available before it is answered. */
  get lastSession(): SessionId {
    return parseSessionId(`s${this.#credentials.sessions}`);
  }

  login(
    user = ALICE,
    platform: Platform = 'ANDROID',
    device: string | null = 'd1',
    origin = HTTP,
  ): Promise<LoginResult> {
    const request = {
      platform,
      deviceId: device === null ? null : parseDeviceId(device),
      appVersion: null,
      osVersion: null,
    };
    return this.tracker.login(user, null, request, origin);
  }

  /** Logs in and returns the reference of the session. */
  async session(user = ALICE, platform: Platform = 'ANDROID', device: string | null = 'd1'): Promise<SessionRef> {
    const { session } = await this.login(user, platform, device);
    return { userId: user, sessionId: session.id };
  }
}
