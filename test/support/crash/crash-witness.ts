/**
 * What the clients of a server know for certain: what they were answered and what they were told. After a crash all
 * of it must be found in the log again, in the order in which it became certain.
 */
import { expect } from 'vitest';
import type { LogEvent, ReplayedUser } from './crash-log.ts';

/** An event that was acknowledged: it began (was sent) and became certain (was answered) at these ticks. */
interface AcknowledgedEvent {
  readonly event: Partial<LogEvent>;
  readonly sentAt: number;
  readonly acknowledgedAt: number;
}

/** Something about a user that somebody was told. */
export interface ObservedUser {
  readonly userId: string;
  readonly status: string;
  readonly version: number;
  readonly customStatus: string | null;
}

export class CrashWitness {
  /** Every token that was handed out, by its session. */
  readonly tokens = new Map<string, string>();
  readonly failures: string[] = [];
  /** The policy's marker: what was answered last, and what was asked for last. */
  policy = { answered: 0, asked: 0 };
  readonly #acknowledged: AcknowledgedEvent[] = [];
  /** How often a session is known to have come back, at least. */
  readonly #reconnects = new Map<string, number>();
  readonly #observed = new Map<string, ObservedUser>();
  #tick = 0;
  #answerCount = 0;
  #waiting: (() => void)[] = [];

  /** To be called before a request is sent. */
  recordSent(): number {
    return ++this.#tick;
  }

  /** The request that began then was answered: these events have happened, since then (0: at any time). */
  recordAcknowledged(began: number, ...events: readonly Partial<LogEvent>[]): void {
    const certain = ++this.#tick;
    for (const what of events) this.#acknowledged.push({ event: what, sentAt: began, acknowledgedAt: certain });
    this.#answerCount++;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** A sign of life of a session that was seen PUSH_ONLINE was answered. */
  recordReconnect(sessionId: string): void {
    this.#reconnects.set(sessionId, (this.#reconnects.get(sessionId) ?? 0) + 1);
    this.recordAcknowledged(0);
  }

  recordUser({ userId, status, version, customStatus }: ObservedUser): void {
    if (version > 0) {
      const what = { userId, status, version, customStatus };
      this.#observed.set(JSON.stringify(what), what);
    }
  }

  get answerCount(): number {
    return this.#answerCount;
  }

  /** Resolves in the very turn in which that many requests have been answered. */
  async waitForAnswers(answers: number): Promise<void> {
    while (this.#answerCount < answers) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Each certain event is in the log once, in an order that those who waited for the answers can believe. */
  expectLogged(log: readonly LogEvent[]): void {
    const bySession = new Map<string, LogEvent[]>();
    for (const event of log) bySession.set(event.sessionId, [...(bySession.get(event.sessionId) ?? []), event]);
    const places = new Map(log.map((event, index) => [event.cursor, index]));
    const found = this.#acknowledged.map((certain) => {
      const { event: what } = certain;
      const same = (bySession.get(what.sessionId ?? '') ?? []).filter((event) =>
        Object.entries(what).every(([name, value]) => event[name as keyof LogEvent] === value),
      );
      expect(same.length, `logged once: ${JSON.stringify(what)}`).toBe(1);
      const [event] = same as [LogEvent];
      return { ...certain, userId: event.userId, at: places.get(event.cursor) ?? -1 };
    });
    for (const [sessionId, times] of this.#reconnects) {
      const logged = (bySession.get(sessionId) ?? []).filter(({ reason }) => reason === 'RECONNECT');
      expect(logged.length, `RECONNECT of ${sessionId}`).toBeGreaterThanOrEqual(times);
    }
    found.sort((one, other) => one.at - other.at);
    const latestBegin = new Map<string, number>();
    for (const { userId, sentAt: began, acknowledgedAt: certain, event: what } of found) {
      const latest = latestBegin.get(userId) ?? 0;
      expect(certain, `logged behind what began after its answer: ${JSON.stringify(what)}`).toBeGreaterThan(latest);
      latestBegin.set(userId, Math.max(latest, began));
    }
  }

  /** Whatever anybody was told is what the log says of that version. */
  expectObservedLogged(users: ReadonlyMap<string, ReplayedUser>): void {
    for (const { userId, version, status, customStatus } of this.#observed.values()) {
      const logged = users.get(userId)?.versions.get(version);
      expect(logged, `${userId} was told to have version ${version}`).toEqual({ status, customStatus });
    }
  }
}
