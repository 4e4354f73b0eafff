/** Those who are told over a crash: a follower of the feed, who goes on from its cursor, and watchers, who ask anew. */
import { expect } from 'vitest';
import { EVENT_FIELDS, type LogEvent } from './crash-log.ts';
import { openStream } from './crash-stream.ts';
import type { UserSeen, Witness } from './crash-witness.ts';
import { type Answer, dataOf, type Inbox, Socket } from '../porchlight-client.ts';
import type { PorchlightProcess } from '../porchlight-process.ts';

export type Door = 'socket' | 'events';

interface Subscription<T> {
  readonly inbox: Inbox<Answer<T>>;
  cut(): void;
}

/** As a backend, over one of the two doors. */
const subscribe = async <T>(
  server: PorchlightProcess,
  door: Door,
  query: string,
  variables: Readonly<Record<string, unknown>>,
): Promise<Subscription<T>> => {
  if (door === 'events') return openStream<T>(server, server.apiKey, query, variables);
  const socket = await Socket.open(server, server.apiKey);
  return { inbox: socket.subscribe<T>(query, variables), cut: () => socket.rst() };
};

const FEED = `subscription ($after: Cursor) { presenceEvents(after: $after) { ${EVENT_FIELDS} } }`;

/** Follows the feed through any number of servers, and keeps all that it was told, in order. */
export class Follower {
  readonly told: LogEvent[] = [];
  readonly #door: Door;
  #cursor: string;
  #current: Subscription<{ presenceEvents: LogEvent[] }> | null = null;
  #reading: Promise<void> = Promise.resolve();

  constructor(door: Door, cursor: string) {
    this.#door = door;
    this.#cursor = cursor;
  }

  async follow(server: PorchlightProcess): Promise<void> {
    const current = await subscribe<{ presenceEvents: LogEvent[] }>(server, this.#door, FEED, { after: this.#cursor });
    this.#current = current;
    this.#reading = (async () => {
      for (;;) {
        const answer = await current.inbox.next(60_000).catch(() => null);
        if (answer === null) return;
        const events = dataOf(answer).presenceEvents;
        this.told.push(...events);
        this.#cursor = events.at(-1)?.cursor ?? this.#cursor;
      }
    })();
  }

  /** Resolves when the stream is over: all that came out of it has been kept. */
  broken(): Promise<void> {
    return this.#reading;
  }

  stop(): Promise<void> {
    this.#current?.cut();
    return this.#reading;
  }
}

const WATCH = `subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) {
  userId status version previousStatus customStatus } }`;

interface ChangeSeen extends UserSeen {
  readonly previousStatus: string | null;
}

/** Watches the same users through any number of servers; what she was told never becomes untrue. */
export class Watcher {
  readonly #door: Door;
  readonly #witness: Witness;
  readonly #last = new Map<string, UserSeen>();
  #reading: Promise<void> = Promise.resolve();
  #current: Subscription<{ statusChanges: ChangeSeen[] }> | null = null;

  constructor(door: Door, witness: Witness) {
    this.#door = door;
    this.#witness = witness;
  }

  /** Resolves when the present has been told. */
  async watch(server: PorchlightProcess, userIds: readonly string[]): Promise<void> {
    const current = await subscribe<{ statusChanges: ChangeSeen[] }>(server, this.#door, WATCH, { ids: userIds });
    this.#current = current;
    const present = dataOf(await current.inbox.next()).statusChanges;
    expect(present.map(({ userId }) => userId)).toEqual(userIds);
    for (const user of present) {
      expect(user.previousStatus, 'the present is no change').toBeNull();
      const told = this.#last.get(user.userId);
      expect(user.version, 'nothing that was told is forgotten').toBeGreaterThanOrEqual(told?.version ?? 0);
      if (user.version === told?.version) expect(user).toMatchObject({ ...told, previousStatus: null });
      this.#keep(user);
    }
    this.#reading = this.#read(current);
  }

  /** Resolves when the stream is over. @throws when something was told twice, too late, or does not fit. */
  broken(): Promise<void> {
    return this.#reading;
  }

  stop(): Promise<void> {
    this.#current?.cut();
    return this.#reading;
  }

  async #read({ inbox }: Subscription<{ statusChanges: ChangeSeen[] }>): Promise<void> {
    for (;;) {
      const answer = await inbox.next(60_000).catch(() => null);
      if (answer === null) return;
      for (const change of dataOf(answer).statusChanges) {
        const told = this.#last.get(change.userId);
        expect(change.version, 'a change is told once, and none after a newer one').toBeGreaterThan(told?.version ?? 0);
        expect(change.previousStatus).toBe(told?.status);
        this.#keep(change);
      }
    }
  }

  #keep({ userId, status, version, customStatus }: ChangeSeen): void {
    const user = { userId, status, version, customStatus };
    this.#last.set(userId, user);
    this.#witness.see(user);
  }
}
