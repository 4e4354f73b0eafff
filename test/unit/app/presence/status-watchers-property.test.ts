/** Whatever the order of commits, reads and pulls, a watcher receives the right statuses. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SessionRef } from '../../../../src/app/auth/caller.ts';
import type { PullStream } from '../../../../src/app/presence/pull-stream.ts';
import { StatusWatchers, type StatusWatcher } from '../../../../src/app/presence/status-watchers.ts';
import type { UserId } from '../../../../src/core/ids.ts';
import type { StatusChange } from '../../../../src/core/records.ts';
import { FakeStore } from '../support/fake-store.ts';
import { ALICE, BOB, CAROL, AppHarness } from '../support/app-harness.ts';
import { isPending, settled } from '../support/waiting.ts';
import type { Status } from '../../../../src/core/enums.ts';

const USERS = [ALICE, BOB, CAROL] as const;

const userIndex = fc.nat({ max: USERS.length - 1 });
const act = fc.oneof(
  fc.record({ do: fc.constantFrom('login', 'logout', 'text', 'silence'), user: userIndex, value: fc.nat({ max: 3 }) }),
  fc.record({ do: fc.constantFrom('pull', 'pull', 'settle'), user: userIndex, value: fc.constant(0) }),
);
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

/** Keeps the last status of each user, and checks that every change fits it. */
class Believer {
  readonly believed = new Map<UserId, { version: number; status: Status; text: string | null }>();
  #lists = 0;

  protected believe(changes: readonly StatusChange[]): void {
    const users = changes.map(({ userId }) => userId);
    expect(new Set(users).size).toBe(users.length);
    if (this.#lists++ === 0) expect(users).toEqual(USERS);
    for (const change of changes) this.#believe(change);
  }

  #believe({ userId, version, status, previousStatus, customStatus }: StatusChange): void {
    const before = this.believed.get(userId);
    if (before !== undefined) expect(version).toBeGreaterThan(before.version);
    expect(previousStatus).toBe(before === undefined ? null : before.status);
    this.believed.set(userId, { version, status, text: customStatus });
  }
}

/** Reads by pulling. */
class Reader extends Believer {
  readonly #stream: PullStream<readonly StatusChange[]>;
  readonly #pulls: Promise<void>[] = [];

  constructor(watcher: StatusWatcher) {
    super();
    this.#stream = watcher[Symbol.asyncIterator]();
  }

  pull(): void {
    this.#pulls.push(this.#read());
  }

  /** Reads until no change is pending. */
  async readOut(): Promise<void> {
    for (;;) {
      const reading = this.#read();
      if (await isPending(reading)) break;
      await reading;
    }
    await this.#stream.return();
    await Promise.all(this.#pulls);
  }

  async #read(): Promise<void> {
    const result = await this.#stream.next();
    if (result.done !== true) this.believe(result.value);
  }
}

/** Is notified, and takes what is available later. */
class Listener extends Believer {
  readonly #watcher: StatusWatcher;
  #present: Promise<void> | null = null;
  #isNotified = false;

  constructor(watcher: StatusWatcher) {
    super();
    this.#watcher = watcher;
  }

  pull(): void {
    if (this.#present === null) this.#present = this.#begin();
    else if (this.#isNotified) {
      this.#isNotified = false;
      const changes = this.#watcher.takeChanges();
      expect(changes).not.toBeNull();
      this.believe(changes ?? []);
    }
  }

  async readOut(): Promise<void> {
    await (this.#present ??= this.#begin());
    this.pull();
    expect(this.#watcher.takeChanges()).toBeNull();
    this.#watcher.onClosed();
  }

  async #begin(): Promise<void> {
    this.believe(await this.#watcher.takeSnapshot());
    this.#watcher.attachReader({ notifyAvailable: () => (this.#isNotified = true) });
  }
}

const run = async (harness: AppHarness, acts: readonly Act[], afterEach: () => Promise<void>): Promise<void> => {
  const watchers = new StatusWatchers(harness.store);
  const readers = [new Reader(watchers.watchUsers(USERS)), new Listener(watchers.watchUsers(USERS))];
  const commands: Promise<unknown>[] = [];
  const sessions = new Map<UserId, SessionRef>();
  for (const { do: what, user: index, value } of acts) {
    const user = USERS[index]!;
    const ref = sessions.get(user);
    if (what === 'pull') for (const reader of readers) reader.pull();
    else if (what === 'settle') await settled();
    else if (what === 'login') {
      // The counting credentials give the id before the login is answered.
      commands.push(harness.login(user, 'ANDROID', `d${value}`));
      sessions.set(user, { userId: user, sessionId: harness.lastSession });
    } else if (ref === undefined) continue;
    else if (what === 'text') commands.push(harness.tracker.setCustomStatus(ref, 'x'.repeat(value)).catch(() => null));
    else if (what === 'logout') commands.push(harness.tracker.logout(ref).catch(() => null));
    else {
      harness.store.passes(400_000);
      commands.push(harness.tracker.expireDueUsers([user]));
    }
    await afterEach();
  }
  await Promise.all(commands);
  for (const reader of readers) await reader.readOut();
  for (const user of USERS) {
    const { version, status, customStatus: text } = harness.store.user(user);
    for (const { believed } of readers) expect(believed.get(user)).toEqual({ version, status, text });
  }
  expect(watchers.watchedUserCount).toBe(0);
};

describe('versions rise, each change starts at the last delivered status, and the last status is right', () => {
  it('when every step has finished before the next', () =>
    fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), (acts) => run(new AppHarness(), acts, settled)),
      { numRuns: 100 },
    ));

  it('when all steps run at once, in any order of their parts', () =>
    fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(act, { maxLength: 40 }), async (scheduler, acts) => {
        const store = new FakeStore((place) => scheduler.schedule(Promise.resolve(), place));
        const running = run(new AppHarness(store), acts, () => Promise.resolve());
        await scheduler.waitFor(running);
      }),
      { numRuns: 300 },
    ));
});
