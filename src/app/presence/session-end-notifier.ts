/** Tells a session's own client, and whoever acts in its name, that it has ended. */
import type { SessionId } from '../../core/ids.ts';
import type { Millis } from '../../core/ids.ts';
import type { PresenceEvent } from '../../core/records.ts';
import type { SessionRef } from '../auth/caller.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import { PullStream } from './pull-stream.ts';
import type { EventReason, Platform } from '../../core/enums.ts';

export interface SessionEnd {
  readonly sessionId: SessionId;
  readonly reason: EventReason;
  readonly kickedBy: Platform | null;
  readonly endedAt: Millis;
}

type SessionEndListener = (ending: SessionEnd) => void;

export class SessionEndNotifier {
  readonly #store: PresenceStore;
  readonly #listeners = new Map<SessionId, Set<SessionEndListener>>();

  constructor(store: PresenceStore) {
    this.#store = store;
    store.onCommit((changes) => {
      for (const { events } of changes) {
        for (const event of events) {
          if (event.sessionStatus === 'OFFLINE') this.#notifyListeners(event);
        }
      }
    });
  }

  /** How many sessions have somebody who waits for their end. */
  get awaitedSessionCount(): number {
    return this.#listeners.size;
  }

  /** Calls `listener` when the session ends, once. Returns the function that takes it back. */
  onSessionEnd(id: SessionId, listener: SessionEndListener): () => void {
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener));
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.#listeners.delete(id);
    };
  }

  /** One message when the session ends, also when it ended just before; then the stream is done. */
  streamSessionEnd({ userId, sessionId }: SessionRef): PullStream<SessionEnd> {
    let ending: SessionEnd | null = null;
    let told = false;
    let looked = false;
    const stop = this.onSessionEnd(sessionId, (heard) => {
      ending = heard;
      stream.notifyAvailable();
    });
    const stream = new PullStream<SessionEnd>({
      onClosed: stop,
      takeNext: async () => {
        if (told) {
          stream.end();
          return null;
        }
        if (!looked) {
          looked = true;
          const before = await this.#store.findEndedSession(userId, sessionId);
          if (before !== null) {
            const { reason, kickedBy, endedAt } = before;
            ending ??= { sessionId, reason, kickedBy, endedAt };
          }
        }
        told = ending !== null;
        return ending;
      },
    });
    return stream;
  }

  #notifyListeners({ sessionId, reason, kickedBy, occurredAt }: PresenceEvent): void {
    const listeners = this.#listeners.get(sessionId);
    if (listeners === undefined) return;
    const ending = { sessionId, reason, kickedBy, endedAt: occurredAt };
    // Those who listen now: not one that comes meanwhile, nor one that was taken back meanwhile.
    for (const listener of [...listeners]) if (listeners.has(listener)) listener(ending);
  }
}
