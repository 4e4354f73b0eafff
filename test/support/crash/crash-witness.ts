/**
 * Records what the clients of a server know for certain: answers and received changes. After a crash, the log must
 * contain all of it, in the order in which it became known.
 */
import { expect } from 'vitest';
import type { LogEvent, ReplayedUser } from './log-checks.ts';

/** An acknowledged event, with the ticks at which its request was sent and answered. */
interface AcknowledgedEvent {
  readonly event: Partial<LogEvent>;
  readonly sentAt: number;
  readonly acknowledgedAt: number;
}

/** The status of a user as a client received it. */
export interface ObservedUser {
  readonly userId: string;
  readonly status: string;
  readonly version: number;
  readonly customStatus: string | null;
}

export class CrashWitness {
  /** All session tokens that were issued, by session id. */
  readonly tokens = new Map<string, string>();
  readonly failures: string[] = [];
  /** The number of the policy update last answered, and last sent. */
  policy = { answered: 0, asked: 0 };
  readonly #acknowledged: AcknowledgedEvent[] = [];
  /** Minimum number of reconnects of each session. */
  readonly #reconnects = new Map<string, number>();
  readonly #observed = new Map<string, ObservedUser>();
  #tick = 0;
  #answerCount = 0;
  #waiting: (() => void)[] = [];

  /** Call it before a request is sent. */
  recordSent(): number {
    return ++this.#tick;
  }

  /**
   * Records that the request sent at `sentAt` was answered, so these events have occurred since then (0: at any
   * time).
   */
  recordAcknowledged(sentAt: number, ...events: readonly Partial<LogEvent>[]): void {
    const acknowledgedAt = ++this.#tick;
    for (const event of events) this.#acknowledged.push({ event, sentAt, acknowledgedAt });
    this.#answerCount++;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Records that activity of a session was answered after the session was seen PUSH_ONLINE. */
  recordReconnect(sessionId: string): void {
    this.#reconnects.set(sessionId, (this.#reconnects.get(sessionId) ?? 0) + 1);
    this.recordAcknowledged(0);
  }

  recordUser({ userId, status, version, customStatus }: ObservedUser): void {
    if (version > 0) {
      const observed = { userId, status, version, customStatus };
      this.#observed.set(JSON.stringify(observed), observed);
    }
  }

  get answerCount(): number {
    return this.#answerCount;
  }

  /** Resolves in the same turn of the event loop in which this many requests have been answered. */
  async waitForAnswers(answers: number): Promise<void> {
    while (this.#answerCount < answers) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Checks that each acknowledged event is in the log once, in an order consistent with the answers. */
  expectLogged(log: readonly LogEvent[]): void {
    const bySession = new Map<string, LogEvent[]>();
    for (const event of log) bySession.set(event.sessionId, [...(bySession.get(event.sessionId) ?? []), event]);
    const indexes = new Map(log.map((event, index) => [event.cursor, index]));
    const found = this.#acknowledged.map((acknowledged) => {
      const { event: expected } = acknowledged;
      const same = (bySession.get(expected.sessionId ?? '') ?? []).filter((event) =>
        Object.entries(expected).every(([name, value]) => event[name as keyof LogEvent] === value),
      );
      expect(same.length, `logged once: ${JSON.stringify(expected)}`).toBe(1);
      const [event] = same as [LogEvent];
      return { ...acknowledged, userId: event.userId, at: indexes.get(event.cursor) ?? -1 };
    });
    for (const [sessionId, times] of this.#reconnects) {
      const logged = (bySession.get(sessionId) ?? []).filter(({ reason }) => reason === 'RECONNECT');
      expect(logged.length, `RECONNECT of ${sessionId}`).toBeGreaterThanOrEqual(times);
    }
    found.sort((one, other) => one.at - other.at);
    const latestSentAt = new Map<string, number>();
    for (const { userId, sentAt, acknowledgedAt, event } of found) {
      const latest = latestSentAt.get(userId) ?? 0;
      expect(
        acknowledgedAt,
        `logged after an event whose request was sent after its answer: ${JSON.stringify(event)}`,
      ).toBeGreaterThan(latest);
      latestSentAt.set(userId, Math.max(latest, sentAt));
    }
  }

  /** Checks that each observed status is what the log says of that version. */
  expectObservedLogged(users: ReadonlyMap<string, ReplayedUser>): void {
    for (const { userId, version, status, customStatus } of this.#observed.values()) {
      const logged = users.get(userId)?.versions.get(version);
      expect(logged, `${userId} was observed with version ${version}`).toEqual({ status, customStatus });
    }
  }
}
