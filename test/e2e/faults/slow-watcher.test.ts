/**
 * Watchers who read a byte a second, or nothing, while those they watch change all the time: the server keeps
 * no queue for them, nobody else misses anything, and when they read again their last word is right.
 * The long form: PORCHLIGHT_SLOW_WATCHER_S=600 PORCHLIGHT_SLOW_WATCHER_RATE=1000 (changes a second; as many
 * as can be made would fill the disk).
 */
import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { dataOf, Socket, type Answer } from '../../support/porchlight-client.ts';
import { rssOf, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { SlowSocket, SlowStream, type SlowReader } from '../../support/faults/slow-reader.ts';
import {
  endWell,
  logIn,
  manyNames,
  newUser,
  NO_RATES,
  SET_CUSTOM_STATUS,
  userSeen,
  type Change,
  type Status,
} from '../support/users.ts';

const SECONDS = Number(process.env['PORCHLIGHT_SLOW_WATCHER_S'] ?? 2);
/** At least, however busy the machine is: what queues for them would take is to be told from garbage. */
const CHANGES = 6_000;
const RATE = Number(process.env['PORCHLIGHT_SLOW_WATCHER_RATE'] ?? Infinity);

const CHANGE = 'userId status version previousStatus customStatus';
const FAT = manyNames(20);
const FAT_BYTES = 16_000;
const LONG = '\u{1F600}'.repeat(FAT_BYTES / 20 / 4);
const watch = (fields: string): string =>
  `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { ${fields} } }`;
const WATCH_FAT = watch(`${CHANGE} ${FAT}`);

const WRITERS = 10;
const IN_FLIGHT = 8;

let server: PorchlightProcess;
let writers: readonly { readonly user: string; readonly socket: Socket }[];
const watched = (): readonly string[] => writers.map(({ user }) => user);

beforeAll(async () => {
  server = await startPorchlight({ env: NO_RATES });
  writers = await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      const device = await logIn(server, newUser(), 'IPHONE');
      return { user: device.userId, socket: await Socket.open(server, device.token) };
    }),
  );
});

afterAll(async () => {
  await endWell(server);
});

interface Written {
  readonly changes: number;
  /** The largest the process was, in MiB, while they were made. */
  readonly peak: number;
}

/** Everybody's text is changed over and over for so long, and so often, and at last to `last`. */
const write = async (seconds: number, last: string): Promise<Written> => {
  const began = performance.now();
  let changes = 0;
  let peak = 0;
  const one = async ({ socket }: { readonly socket: Socket }): Promise<void> => {
    for (let pastMs = 0; pastMs < seconds * 1_000 || changes < CHANGES; pastMs = performance.now() - began) {
      const aheadMs = (changes / RATE) * 1_000 - pastMs;
      if (aheadMs > 5) await new Promise((resolve) => setTimeout(resolve, aheadMs));
      await socket.ask(SET_CUSTOM_STATUS, { text: `${changes++} ${LONG}` });
      if (changes % 50 === 0) peak = Math.max(peak, rssOf(server));
      // What it was answered is not to be kept: there may be very much of it.
      socket.frames.all.length = 0;
    }
  };
  await Promise.all(writers.flatMap((writer) => Array.from({ length: IN_FLIGHT }, () => one(writer))));
  await Promise.all(writers.map(({ socket }) => socket.ask(SET_CUSTOM_STATUS, { text: last })));
  return { changes, peak: Math.max(peak, rssOf(server)) };
};

/** What a watcher has been told, list by list, and what was wrong with it. */
class Ear {
  told = 0;
  readonly wrong: string[] = [];
  readonly newest = new Map<string, Change>();
  #lists = 0;

  /** From now on it hears what the reader is told. */
  constructor(reader: SlowReader) {
    reader.onHeard = (heard) => {
      reader.messages.push({ type: heard.type });
      if (heard.type === 'next') this.#hear(dataOf(heard.payload as Answer<{ statusChanges: Change[] }>).statusChanges);
    };
  }

  hasHeard(last: string): boolean {
    return watched().every((user) => this.newest.get(user)?.customStatus === last);
  }

  /** In order, each from what she was last told, and the last word is what a query says. */
  async expectRight(): Promise<void> {
    expect(this.wrong).toEqual([]);
    const now = await Promise.all(watched().map((user) => userSeen(server, user)));
    const word = ({
      status,
      version,
      customStatus,
    }: {
      status: Status;
      version: number;
      customStatus: string | null;
    }) => `${status} v${version} ${customStatus}`;
    expect(watched().map((user) => word(this.newest.get(user) as Change))).toEqual(now.map(word));
  }

  #hear(changes: readonly Change[]): void {
    const isPresent = this.#lists++ === 0;
    for (const change of changes) {
      const before = this.newest.get(change.userId);
      const fits = isPresent ? before === undefined : before !== undefined && follows(before, change);
      if (!fits) this.wrong.push(`${change.userId}: ${inShort(before)}, then ${inShort(change)}`);
      this.newest.set(change.userId, change);
    }
    if (!isPresent) this.told += changes.length;
  }
}

const inShort = (change: Change | undefined): string =>
  change === undefined ? 'nothing' : `${change.previousStatus} > ${change.status} v${change.version}`;

const follows = (before: Change, change: Change): boolean =>
  change.version > before.version && change.previousStatus === before.status;

interface Watching<R extends SlowReader> {
  readonly reader: R;
  readonly ear: Ear;
}

const overSocket = async (query: string): Promise<Watching<SlowSocket>> => {
  const reader = await SlowSocket.open(server, server.apiKey);
  onTestFinished(() => reader.leave());
  const ear = new Ear(reader);
  reader.subscribe(query, { userIds: watched() });
  return { reader, ear };
};

const overHttp = (query: string): Watching<SlowStream> => {
  const reader = SlowStream.open(server, server.apiKey, query, { userIds: watched() });
  onTestFinished(() => reader.leave());
  return { reader, ear: new Ear(reader) };
};

test(
  'one byte a second, or none, over each door, at full change rate',
  { timeout: 120_000 + 4_000 * SECONDS },
  async ({ annotate }) => {
    const brisk = await overSocket(watch(CHANGE));
    await brisk.reader.messages.find(({ type }) => type === 'next');
    // Without slow ones first: what the work takes by itself.
    const control = await write(Math.min(SECONDS, 60), 'first');

    const crawling = await overSocket(WATCH_FAT);
    const standing = await overSocket(WATCH_FAT);
    const streaming = overHttp(WATCH_FAT);
    const slowOnes = [crawling, standing, streaming];
    for (const { reader } of slowOnes) await reader.messages.find(({ type }) => type === 'next');
    crawling.reader.reads('crawl');
    streaming.reader.reads('crawl');
    standing.reader.reads('nothing');
    // Whoever says that she lives is no dead client to be cut off, however little she reads.
    const pings = setInterval(() => [crawling, standing].forEach(({ reader }) => reader.ping()), 5_000);
    onTestFinished(() => clearInterval(pings));
    const slow = await write(SECONDS, 'last');
    clearInterval(pings);
    await annotate(
      `Without: ${control.changes} changes, ${control.peak.toFixed(0)} MiB at most. With: ${slow.changes} in ${SECONDS} s, ${slow.peak.toFixed(0)} MiB at most.`,
    );

    // Of each slow one there is a list under way, of 160 KB; the rest of this is room for garbage. Queues would take:
    const queued = (slowOnes.length * slow.changes * FAT_BYTES) / 1024 / 1024;
    expect(queued).toBeGreaterThan(256);
    expect(slow.peak - control.peak).toBeLessThan(128);

    // Nobody else was held up by them, nor missed anything.
    await expect.poll(() => brisk.ear.hasHeard('last'), { timeout: 10_000 }).toBe(true);
    await brisk.ear.expectRight();
    for (const { reader, ear } of slowOnes) {
      expect(ear.hasHeard('last')).toBe(false);
      reader.reads('all');
      await expect.poll(() => ear.hasHeard('last'), { timeout: 30_000 }).toBe(true);
      await ear.expectRight();
      expect(ear.told).toBeLessThan(slow.changes / 2);
    }
  },
);
