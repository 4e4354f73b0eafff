/** Notifies the sockets and streams of a session that it has ended. */
import type { EventReason, Platform } from '../../core/enums.ts';
import type { Millis, SessionId } from '../../core/ids.ts';
import type { PresenceEvent } from '../../core/records.ts';
import type { SessionRef } from '../auth/caller.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import { PullStream } from './pull-stream.ts';

export interface SessionEnd {
  readonly sessionId: SessionId;
  readonly reason: EventReason;
  /** For KICKED: the platform of the login that kicked it. */
  readonly kickedBy: Platform | null;
  readonly endedAt: Millis;
}

type SessionEndListener = (end: SessionEnd) => void;

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

  /** The number of sessions with at least one listener. */
  get awaitedSessionCount(): number {
    return this.#listeners.size;
  }

  /** Calls `listener` once, when the session ends. @returns a function that removes the listener. */
  onSessionEnd(id: SessionId, listener: SessionEndListener): () => void {
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener));
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.#listeners.delete(id);
    };
  }

  /** Delivers one value when the session ends, also if it has ended already; then the stream is done. */
  streamSessionEnd({ userId, sessionId }: SessionRef): PullStream<SessionEnd> {
    let end: SessionEnd | null = null;
    let isDelivered = false;
    let isStoreChecked = false;
    const removeListener = this.onSessionEnd(sessionId, (sessionEnd) => {
      end = sessionEnd;
      stream.notifyAvailable();
    });
    const stream = new PullStream<SessionEnd>({
      onClosed: removeListener,
      takeNext: async () => {
        if (isDelivered) {
          stream.end();
          return null;
        }
        if (!isStoreChecked) {
          isStoreChecked = true;
          const ended = await this.#store.findEndedSession(userId, sessionId);
          if (ended !== null) {
            const { reason, kickedBy, endedAt } = ended;
            end ??= { sessionId, reason, kickedBy, endedAt };
          }
        }
        isDelivered = end !== null;
        return end;
      },
    });
    return stream;
  }

  #notifyListeners({ sessionId, reason, kickedBy, occurredAt }: PresenceEvent): void {
    const listeners = this.#listeners.get(sessionId);
    if (listeners === undefined) return;
    const end = { sessionId, reason, kickedBy, endedAt: occurredAt };
    // Listeners that are added or removed during the loop are not called.
    for (const listener of [...listeners]) if (listeners.has(listener)) listener(end);
  }
}
