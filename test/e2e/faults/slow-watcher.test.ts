/**
 * Watchers that read one byte a second, or nothing, while the watched users change continuously. The server keeps no
 * queue for them, other watchers miss nothing, and the slow ones get the latest statuses when they read again.
 * Long run: PORCHLIGHT_SLOW_WATCHER_S=600 PORCHLIGHT_SLOW_WATCHER_RATE=1000 (changes per second; without a limit the
 * changes would fill the disk).
 */
import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { dataOf, GraphqlSocket, type GraphqlResult } from '../../support/porchlight-client.ts';
import { readRssMiB, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { SlowSocket, SlowStream, type SlowReader } from '../../support/faults/slow-reader.ts';
import {
  stopCleanly,
  logIn,
  repeatedAliases,
  newUserId,
  NO_RATE_LIMITS,
  SET_CUSTOM_STATUS,
  fetchUser,
  type StatusChange,
  type Status,
} from '../support/users.ts';

const SECONDS = Number(process.env['PORCHLIGHT_SLOW_WATCHER_S'] ?? 2);
/** The minimum number of changes. So many that queued copies could not be mistaken for garbage in memory. */
const MIN_CHANGES = 6_000;
const RATE = Number(process.env['PORCHLIGHT_SLOW_WATCHER_RATE'] ?? Infinity);

const CHANGE = 'userId status version previousStatus customStatus';
const LARGE_SELECTION = repeatedAliases(20);
const LARGE_SELECTION_BYTES = 16_000;
const LONG_TEXT = '\u{1F600}'.repeat(LARGE_SELECTION_BYTES / 20 / 4);
const watch = (fields: string): string =>
  `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { ${fields} } }`;
const WATCH_LARGE = watch(`${CHANGE} ${LARGE_SELECTION}`);

const WRITERS = 10;
const IN_FLIGHT = 8;

let server: PorchlightProcess;
let writers: readonly { readonly user: string; readonly socket: GraphqlSocket }[];
const watched = (): readonly string[] => writers.map(({ user }) => user);

beforeAll(async () => {
  server = await startPorchlight({ env: NO_RATE_LIMITS });
  writers = await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      const device = await logIn(server, newUserId(), 'IPHONE');
      return { user: device.userId, socket: await GraphqlSocket.open(server, device.token) };
    }),
  );
});

afterAll(async () => {
  await stopCleanly(server);
});

interface WriteResult {
  readonly changes: number;
  /** The peak resident memory of the server during the changes, in MiB. */
  readonly peakMiB: number;
}

/** Changes the texts of all watched users for `seconds` at RATE, and finally to `last`. */
const writeTexts = async (seconds: number, last: string): Promise<WriteResult> => {
  const began = performance.now();
  let changes = 0;
  let peakMiB = 0;
  const one = async ({ socket }: { readonly socket: GraphqlSocket }): Promise<void> => {
    for (let pastMs = 0; pastMs < seconds * 1_000 || changes < MIN_CHANGES; pastMs = performance.now() - began) {
      const aheadMs = (changes / RATE) * 1_000 - pastMs;
      if (aheadMs > 5) await new Promise((resolve) => setTimeout(resolve, aheadMs));
      await socket.executeForData(SET_CUSTOM_STATUS, { text: `${changes++} ${LONG_TEXT}` });
      if (changes % 50 === 0) peakMiB = Math.max(peakMiB, readRssMiB(server));
      // The answers are dropped, because there may be very many.
      socket.frames.all.length = 0;
    }
  };
  await Promise.all(writers.flatMap((writer) => Array.from({ length: IN_FLIGHT }, () => one(writer))));
  await Promise.all(writers.map(({ socket }) => socket.executeForData(SET_CUSTOM_STATUS, { text: last })));
  return { changes, peakMiB: Math.max(peakMiB, readRssMiB(server)) };
};

/** Checks the changes that a watcher receives. */
class ChangeChecker {
  /** The number of changes received after the initial statuses. */
  changeCount = 0;
  readonly violations: string[] = [];
  readonly newest = new Map<string, StatusChange>();
  #lists = 0;

  /** Takes over the messages of the reader. */
  constructor(reader: SlowReader) {
    reader.onMessage = (message) => {
      reader.messages.push({ type: message.type });
      if (message.type === 'next')
        this.#receive(dataOf(message.payload as GraphqlResult<{ statusChanges: StatusChange[] }>).statusChanges);
    };
  }

  hasReceived(last: string): boolean {
    return watched().every((user) => this.newest.get(user)?.customStatus === last);
  }

  /** Expects no violation, and the last received statuses to equal those of a query. */
  async expectCorrect(): Promise<void> {
    expect(this.violations).toEqual([]);
    const now = await Promise.all(watched().map((user) => fetchUser(server, user)));
    const summarize = ({
      status,
      version,
      customStatus,
    }: {
      status: Status;
      version: number;
      customStatus: string | null;
    }) => `${status} v${version} ${customStatus}`;
    expect(watched().map((user) => summarize(this.newest.get(user) as StatusChange))).toEqual(now.map(summarize));
  }

  #receive(changes: readonly StatusChange[]): void {
    const isInitial = this.#lists++ === 0;
    for (const change of changes) {
      const before = this.newest.get(change.userId);
      const isValid = isInitial ? before === undefined : before !== undefined && isSuccessor(before, change);
      if (!isValid) this.violations.push(`${change.userId}: ${describeChange(before)}, then ${describeChange(change)}`);
      this.newest.set(change.userId, change);
    }
    if (!isInitial) this.changeCount += changes.length;
  }
}

const describeChange = (change: StatusChange | undefined): string =>
  change === undefined ? 'nothing' : `${change.previousStatus} > ${change.status} v${change.version}`;

const isSuccessor = (before: StatusChange, change: StatusChange): boolean =>
  change.version > before.version && change.previousStatus === before.status;

interface CheckedReader<R extends SlowReader> {
  readonly reader: R;
  readonly checker: ChangeChecker;
}

const overSocket = async (query: string): Promise<CheckedReader<SlowSocket>> => {
  const reader = await SlowSocket.open(server, server.apiKey);
  onTestFinished(() => reader.reset());
  const checker = new ChangeChecker(reader);
  reader.subscribe(query, { userIds: watched() });
  return { reader, checker };
};

const overHttp = (query: string): CheckedReader<SlowStream> => {
  const reader = SlowStream.open(server, server.apiKey, query, { userIds: watched() });
  onTestFinished(() => reader.reset());
  return { reader, checker: new ChangeChecker(reader) };
};

test(
  'watchers that read one byte a second or nothing, over each transport, cost no queue and get the latest statuses later',
  { timeout: 120_000 + 4_000 * SECONDS },
  async ({ annotate }) => {
    const fastWatcher = await overSocket(watch(CHANGE));
    await fastWatcher.reader.messages.nextMatching(({ type }) => type === 'next');
    // First measure the memory without slow watchers.
    const control = await writeTexts(Math.min(SECONDS, 60), 'first');

    const slowSocket = await overSocket(WATCH_LARGE);
    const stoppedSocket = await overSocket(WATCH_LARGE);
    const slowStream = overHttp(WATCH_LARGE);
    const slowWatchers = [slowSocket, stoppedSocket, slowStream];
    for (const { reader } of slowWatchers) await reader.messages.nextMatching(({ type }) => type === 'next');
    slowSocket.reader.setPace('crawl');
    slowStream.reader.setPace('crawl');
    stoppedSocket.reader.setPace('nothing');
    // Pings keep the sockets from being terminated as dead, however little they read.
    const pings = setInterval(() => [slowSocket, stoppedSocket].forEach(({ reader }) => reader.ping()), 5_000);
    onTestFinished(() => clearInterval(pings));
    const slow = await writeTexts(SECONDS, 'last');
    clearInterval(pings);
    await annotate(
      `Without: ${control.changes} changes, ${control.peakMiB.toFixed(0)} MiB at most. With: ${slow.changes} in ${SECONDS} s, ${slow.peakMiB.toFixed(0)} MiB at most.`,
    );

    // Each slow watcher has one list of 160 KB in transit; the rest of the margin is for garbage. Queues would take:
    const queuedMiB = (slowWatchers.length * slow.changes * LARGE_SELECTION_BYTES) / 1024 / 1024;
    expect(queuedMiB).toBeGreaterThan(256);
    expect(slow.peakMiB - control.peakMiB).toBeLessThan(128);

    // The fast watcher was not delayed and missed nothing.
    await expect.poll(() => fastWatcher.checker.hasReceived('last'), { timeout: 10_000 }).toBe(true);
    await fastWatcher.checker.expectCorrect();
    for (const { reader, checker } of slowWatchers) {
      expect(checker.hasReceived('last')).toBe(false);
      reader.setPace('all');
      await expect.poll(() => checker.hasReceived('last'), { timeout: 30_000 }).toBe(true);
      await checker.expectCorrect();
      expect(checker.changeCount).toBeLessThan(slow.changes / 2);
    }
  },
);
