/**
 * Subscribers that continue over a crash: a follower of the feed, which resumes from its cursor, and watchers, which
 * subscribe again.
 */
import { expect } from 'vitest';
import { EVENT_FIELDS, type LogEvent } from './log-checks.ts';
import { openStream } from './event-stream.ts';
import type { ObservedUser, CrashWitness } from './crash-witness.ts';
import { type GraphqlResult, dataOf, type MessageQueue, GraphqlSocket } from '../porchlight-client.ts';
import type { PorchlightProcess } from '../porchlight-process.ts';

export type StreamTransport = 'socket' | 'events';

interface OpenSubscription<T> {
  readonly inbox: MessageQueue<GraphqlResult<T>>;
  disconnect(): void;
}

/** Subscribes as a backend, over the given transport. */
const openSubscription = async <T>(
  server: PorchlightProcess,
  transport: StreamTransport,
  query: string,
  variables: Readonly<Record<string, unknown>>,
): Promise<OpenSubscription<T>> => {
  if (transport === 'events') return openStream<T>(server, server.apiKey, query, variables);
  const socket = await GraphqlSocket.open(server, server.apiKey);
  return { inbox: socket.subscribe<T>(query, variables), disconnect: () => socket.sendReset() };
};

const FEED = `subscription ($after: Cursor) { presenceEvents(after: $after) { ${EVENT_FIELDS} } }`;

/** Follows the feed over any number of server processes, and keeps all received events in order. */
export class FeedFollower {
  readonly received: LogEvent[] = [];
  readonly #transport: StreamTransport;
  #cursor: string;
  #current: OpenSubscription<{ presenceEvents: LogEvent[] }> | null = null;
  #reading: Promise<void> = Promise.resolve();

  constructor(transport: StreamTransport, cursor: string) {
    this.#transport = transport;
    this.#cursor = cursor;
  }

  async follow(server: PorchlightProcess): Promise<void> {
    const current = await openSubscription<{ presenceEvents: LogEvent[] }>(server, this.#transport, FEED, {
      after: this.#cursor,
    });
    this.#current = current;
    this.#reading = (async () => {
      for (;;) {
        const answer = await current.inbox.next(60_000).catch(() => null);
        if (answer === null) return;
        const events = dataOf(answer).presenceEvents;
        this.received.push(...events);
        this.#cursor = events.at(-1)?.cursor ?? this.#cursor;
      }
    })();
  }

  /** Resolves when the stream has ended and all its events are kept. */
  waitForDisconnect(): Promise<void> {
    return this.#reading;
  }

  stop(): Promise<void> {
    this.#current?.disconnect();
    return this.#reading;
  }
}

const WATCH = `subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) {
  userId status version previousStatus customStatus } }`;

interface ReceivedChange extends ObservedUser {
  readonly previousStatus: string | null;
}

/** Watches the same users over any number of server processes, and checks that no received status is ever revoked. */
export class StatusWatcher {
  readonly #transport: StreamTransport;
  readonly #witness: CrashWitness;
  readonly #lastReceived = new Map<string, ObservedUser>();
  #reading: Promise<void> = Promise.resolve();
  #current: OpenSubscription<{ statusChanges: ReceivedChange[] }> | null = null;

  constructor(transport: StreamTransport, witness: CrashWitness) {
    this.#transport = transport;
    this.#witness = witness;
  }

  /** Resolves when the initial statuses have been received. */
  async watch(server: PorchlightProcess, userIds: readonly string[]): Promise<void> {
    const current = await openSubscription<{ statusChanges: ReceivedChange[] }>(server, this.#transport, WATCH, {
      ids: userIds,
    });
    this.#current = current;
    const present = dataOf(await current.inbox.next()).statusChanges;
    expect(present.map(({ userId }) => userId)).toEqual(userIds);
    for (const user of present) {
      expect(user.previousStatus, 'the initial status is not a change').toBeNull();
      const previous = this.#lastReceived.get(user.userId);
      expect(user.version, 'no received change is lost').toBeGreaterThanOrEqual(previous?.version ?? 0);
      if (user.version === previous?.version) expect(user).toMatchObject({ ...previous, previousStatus: null });
      this.#recordUser(user);
    }
    this.#reading = this.#checkChanges(current);
  }

  /**
   * Resolves when the stream has ended.
   * @throws if a change was received twice, late, or does not follow from the last one.
   */
  waitForDisconnect(): Promise<void> {
    return this.#reading;
  }

  stop(): Promise<void> {
    this.#current?.disconnect();
    return this.#reading;
  }

  async #checkChanges({ inbox }: OpenSubscription<{ statusChanges: ReceivedChange[] }>): Promise<void> {
    for (;;) {
      const answer = await inbox.next(60_000).catch(() => null);
      if (answer === null) return;
      for (const change of dataOf(answer).statusChanges) {
        const previous = this.#lastReceived.get(change.userId);
        expect(change.version, 'a change is received once, and never after a newer one').toBeGreaterThan(
          previous?.version ?? 0,
        );
        expect(change.previousStatus).toBe(previous?.status);
        this.#recordUser(change);
      }
    }
  }

  #recordUser({ userId, status, version, customStatus }: ReceivedChange): void {
    const user = { userId, status, version, customStatus };
    this.#lastReceived.set(userId, user);
    this.#witness.recordUser(user);
  }
}
