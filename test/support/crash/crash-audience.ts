/** Those who are told over a crash: a follower of the feed, who goes on from its cursor, and watchers, who ask anew. */
import { expect } from 'vitest';
import { EVENT_FIELDS, type LogEvent } from './crash-log.ts';
import { openStream } from './crash-stream.ts';
import type { ObservedUser, CrashWitness } from './crash-witness.ts';
import { type GraphqlResult, dataOf, type MessageQueue, GraphqlSocket } from '../porchlight-client.ts';
import type { PorchlightProcess } from '../porchlight-process.ts';

export type StreamTransport = 'socket' | 'events';

interface OpenSubscription<T> {
  readonly inbox: MessageQueue<GraphqlResult<T>>;
  disconnect(): void;
}

/** As a backend, over one of the two doors. */
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

/** Follows the feed through any number of servers, and keeps all that it was told, in order. */
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

  /** Resolves when the stream is over: all that came out of it has been kept. */
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

/** Watches the same users through any number of servers; what she was told never becomes untrue. */
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

  /** Resolves when the present has been told. */
  async watch(server: PorchlightProcess, userIds: readonly string[]): Promise<void> {
    const current = await openSubscription<{ statusChanges: ReceivedChange[] }>(server, this.#transport, WATCH, {
      ids: userIds,
    });
    this.#current = current;
    const present = dataOf(await current.inbox.next()).statusChanges;
    expect(present.map(({ userId }) => userId)).toEqual(userIds);
    for (const user of present) {
      expect(user.previousStatus, 'the present is no change').toBeNull();
      const told = this.#lastReceived.get(user.userId);
      expect(user.version, 'nothing that was told is forgotten').toBeGreaterThanOrEqual(told?.version ?? 0);
      if (user.version === told?.version) expect(user).toMatchObject({ ...told, previousStatus: null });
      this.#recordUser(user);
    }
    this.#reading = this.#checkChanges(current);
  }

  /** Resolves when the stream is over. @throws when something was told twice, too late, or does not fit. */
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
        const told = this.#lastReceived.get(change.userId);
        expect(change.version, 'a change is told once, and none after a newer one').toBeGreaterThan(told?.version ?? 0);
        expect(change.previousStatus).toBe(told?.status);
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
