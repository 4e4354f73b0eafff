/** Changes of status over a socket, which nobody pulls. */
import { describe, expect, test, vi } from 'vitest';
import { StatusWatchers, type StatusWatcher } from '../../../../src/app/presence/status-watchers.ts';
import { schema } from '../../../../src/api/schema.ts';
import type { UserId } from '../../../../src/core/ids.ts';
import { DocumentCache } from '../../../../src/server/graphql/document-cache.ts';
import { SendBuffer, FlushScheduler } from '../../../../src/server/wire/send-buffer.ts';
import { PushSubscription } from '../../../../src/server/graphql/push-subscription.ts';
import { FanoutScheduler } from '../../../../src/server/graphql/fanout-scheduler.ts';
import { SharedResultCache } from '../../../../src/server/graphql/shared-results.ts';
import { ALICE, BOB, AppHarness } from '../../app/support/app-harness.ts';
import { API_KEY, ServerHarness } from '../../../integration/server/support/server-harness.ts';
import { FakeTcpStream, decodeMessages, settleEventLoop } from '../../../integration/server/support/fake-tcp-stream.ts';
import { TestSocket, type ServerMessage } from '../../../integration/server/support/test-socket.ts';

const ids = (...users: UserId[]): readonly UserId[] => users;
const QUERY = 'subscription { statusChanges(userIds: []) { userId version previousStatus status } }';

/** One watcher at the end of a line, who has been told the present. */
const watching = async (harness: AppHarness, users: readonly UserId[], line = new FakeTcpStream()) => {
  const watchers = new StatusWatchers(harness.store);
  const watcher = watchers.watchUsers(users);
  const outbox = new SendBuffer(new FlushScheduler(), line as never, { onWriteError: () => undefined });
  const documents = new DocumentCache(schema);
  const document = documents.parseDocument(QUERY);
  documents.validateDocument(document);
  const shapes = new SharedResultCache((result) => result);
  const operation = documents.selectOperation(document, null);
  const shape = shapes.acquire({ schema, document }, operation);
  const failed = vi.fn();
  const pushed = new PushSubscription(watcher, shape, shapes, {
    id: '1',
    operation,
    sendBuffer: outbox,
    fanoutScheduler: new FanoutScheduler(),
    onPushError: failed,
  });
  await pushed.readSnapshot();
  expect(pushed.startPushing()).toBe(true);
  return { line, watchers, watcher, outbox, shapes, shape, pushed, failed };
};

const toldOn = (line: FakeTcpStream): string[][] =>
  line.written
    .flatMap((bytes) => decodeMessages(bytes))
    .map((message) => {
      const { payload } = JSON.parse(message) as {
        payload: { data: { statusChanges: Record<'userId' | 'version' | 'previousStatus' | 'status', string>[] } };
      };
      return payload.data.statusChanges.map(
        ({ userId, version, previousStatus, status }) => `${userId} ${version}: ${previousStatus} → ${status}`,
      );
    });

describe('a watcher', () => {
  test('is told what happens while she reads nothing as one list, when she reads again', async () => {
    const harness = new AppHarness();
    const { line } = await watching(harness, ids(ALICE, BOB));
    const ref = await harness.session(ALICE);
    await settleEventLoop();
    for (let text = 0; text < 100; text++) {
      await harness.tracker.setCustomStatus(ref, String(text));
      if (text % 10 === 0) await settleEventLoop();
    }
    await harness.login(BOB);
    await harness.tracker.logout(ref);
    await settleEventLoop();
    const first = ['alice 1: OFFLINE → ONLINE'];
    expect(toldOn(line)).toEqual([first]);
    line.acknowledgeWrite();
    await settleEventLoop();
    expect(toldOn(line)).toEqual([first, ['alice 102: ONLINE → OFFLINE', 'bob 1: OFFLINE → ONLINE']]);
    line.acknowledgeAllWrites();
    await settleEventLoop();
    expect(toldOn(line).length).toBe(2);
  });

  test('is told of changes that came while the present was on its way', async () => {
    const harness = new AppHarness();
    const line = new FakeTcpStream();
    const watchers = new StatusWatchers(harness.store);
    const watcher = watchers.watchUsers([ALICE]);
    await watcher.takeSnapshot();
    await harness.login(ALICE);
    const reader = { notifyAvailable: vi.fn() };
    watcher.attachReader(reader);
    expect(reader.notifyAvailable).toHaveBeenCalledTimes(1);
    expect(watcher.takeChanges()?.map(({ version }) => version)).toEqual([1]);
    expect(line.written).toEqual([]);
  });

  test('who leaves is told nothing more, though a round was due', async () => {
    const harness = new AppHarness();
    const { line, watchers, outbox, shapes, pushed } = await watching(harness, ids(ALICE));
    await harness.login(ALICE);
    pushed.return();
    await settleEventLoop();
    const tell = vi.spyOn(pushed, 'deliverPending');
    outbox.flushAndClose();
    expect(tell).not.toHaveBeenCalled();
    expect(toldOn(line)).toEqual([]);
    expect(pushed.startPushing()).toBe(false);
    for (let again = 0; again < 2; again++) {
      expect([watchers.watchedUserCount, shapes.size]).toEqual([0, 0]);
      pushed.return();
    }
  });

  test('hears before the socket closes what is due, if she reads', async () => {
    const harness = new AppHarness();
    const reads = await watching(harness, ids(ALICE));
    const stands = await watching(harness, ids(ALICE));
    stands.outbox.sendImmediately(reads.shape.encodeFrame('1', [], new FanoutScheduler()));
    await harness.login(ALICE);
    for (const { outbox } of [reads, stands]) outbox.flushAndClose();
    expect(toldOn(reads.line)).toEqual([['alice 1: OFFLINE → ONLINE']]);
    expect(toldOn(stands.line)).toEqual([[]]);
    await settleEventLoop();
    expect(toldOn(reads.line).length).toBe(1);
  });

  test('whose list cannot be made hears that it failed', async () => {
    const harness = new AppHarness();
    const { line, shape, failed } = await watching(harness, ids(ALICE));
    const failure = new Error('broken');
    vi.spyOn(shape, 'encodeFrame').mockImplementation(() => {
      throw failure;
    });
    await harness.login(ALICE);
    await settleEventLoop();
    expect(failed.mock.calls).toEqual([[failure]]);
    expect(line.written).toEqual([]);
  });
});

const set = (harness: ServerHarness, token: string, text: string) =>
  harness.post('mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }', token, {
    text,
  });

const dataOf = (message: ServerMessage): unknown => message.payload?.['data'];

describe('over a socket', () => {
  test.each<[string, string, Record<string, unknown>, unknown, unknown]>([
    [
      'aliases',
      'subscription { who: statusChanges(userIds: ["alice"]) { text: customStatus again: customStatus } }',
      {},
      { who: [{ text: null, again: null }] },
      { who: [{ text: 'new', again: 'new' }] },
    ],
    [
      'fragments',
      'subscription { ...S } fragment S on Subscription { statusChanges(userIds: ["alice"]) { ...C ... on StatusChange { status } } } fragment C on StatusChange { customStatus }',
      {},
      { statusChanges: [{ customStatus: null, status: 'ONLINE' }] },
      { statusChanges: [{ customStatus: 'new', status: 'ONLINE' }] },
    ],
    [
      '@include and @skip',
      'subscription ($yes: Boolean!, $no: Boolean = false) { statusChanges(userIds: ["alice"]) { version @include(if: $no) status @skip(if: $yes) reason @skip(if: $no) customStatus @include(if: $yes) } }',
      { yes: true },
      { statusChanges: [{ reason: 'LOGIN', customStatus: null }] },
      { statusChanges: [{ reason: 'CUSTOM_STATUS', customStatus: 'new' }] },
    ],
    [
      '__typename',
      'subscription { statusChanges(userIds: ["alice"]) { __typename userId previousStatus } }',
      {},
      { statusChanges: [{ __typename: 'StatusChange', userId: 'alice', previousStatus: null }] },
      { statusChanges: [{ __typename: 'StatusChange', userId: 'alice', previousStatus: 'ONLINE' }] },
    ],
    [
      'a user named by a variable',
      'subscription ($id: ID!) { statusChanges(userIds: [$id, $id]) { version } }',
      { id: 'alice' },
      { statusChanges: [{ version: 1 }] },
      { statusChanges: [{ version: 2 }] },
    ],
  ])('%s are as asked for', async (_what, query, variables, present, change) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const id = wire.subscribe(query, variables);
    expect(await wire.nextMessage()).toEqual({ id, type: 'next', payload: { data: present } });
    await set(harness, token, 'new');
    expect(await wire.nextMessage()).toEqual({ id, type: 'next', payload: { data: change } });
  });

  test('each subscription is told what it asked for, under its own name', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const [one, other] = [
      await TestSocket.connect(harness.socketUrl, API_KEY),
      await TestSocket.connect(harness.socketUrl, API_KEY),
    ];
    const document = `subscription T($ids: [ID!]!) { statusChanges(userIds: $ids) { customStatus } }
      subscription V($ids: [ID!]!, $v: Boolean!) { statusChanges(userIds: $ids) { version @include(if: $v) userId } }`;
    const ask = async (wire: TestSocket, id: string, operationName: string, variables: object): Promise<void> => {
      wire.send({ type: 'subscribe', id, payload: { query: document, operationName, variables } });
      expect(await wire.nextMessage()).toMatchObject({ type: 'next', id });
    };
    await ask(one, 'texts', 'T', { ids: ['alice'] });
    await ask(one, 'versions', 'V', { ids: ['bob', 'alice'], v: true });
    await ask(other, 'é "x"', 'V', { ids: ['alice'], v: false });
    await ask(other, 'versions', 'V', { ids: ['alice'], v: true });
    await set(harness, token, 'new');
    const heard = async (wire: TestSocket): Promise<unknown> => {
      const messages = [await wire.nextMessage(), await wire.nextMessage()];
      return Object.fromEntries(messages.map((message) => [message.id, dataOf(message)])) as unknown;
    };
    expect(await heard(one)).toEqual({
      texts: { statusChanges: [{ customStatus: 'new' }] },
      versions: { statusChanges: [{ version: 2, userId: 'alice' }] },
    });
    expect(await heard(other)).toEqual({
      'é "x"': { statusChanges: [{ userId: 'alice' }] },
      versions: { statusChanges: [{ version: 2, userId: 'alice' }] },
    });
    for (const wire of [one, other]) expect(wire.unreadMessages).toEqual([]);
  });

  test('changes of several users come in lists, none twice', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    wire.subscribe('subscription { statusChanges(userIds: ["alice", "bob"]) { userId version } }');
    await wire.nextMessage();
    await Promise.all([harness.login('alice'), harness.login('bob')]);
    const changes: unknown[] = [];
    while (changes.length < 2) {
      const { statusChanges } = dataOf(await wire.nextMessage()) as { statusChanges: unknown[] };
      changes.push(...statusChanges);
    }
    expect(new Set(changes)).toEqual(
      new Set([
        { userId: 'alice', version: 1 },
        { userId: 'bob', version: 1 },
      ]),
    );
    await wire.waitForRoundTrip();
    expect(wire.unreadMessages).toEqual([]);
  });

  test('a client that unsubscribes is told nothing more, and may use the name again', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const query = 'subscription { statusChanges(userIds: ["alice"]) { customStatus } }';
    const id = wire.subscribe(query);
    await wire.nextMessage();
    wire.send({ type: 'complete', id });
    await wire.waitForRoundTrip();
    expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
    await set(harness, token, 'unheard');
    await wire.waitForRoundTrip();
    expect(wire.unreadMessages).toEqual([]);
    wire.send({ type: 'subscribe', id, payload: { query } });
    expect(dataOf(await wire.nextMessage())).toEqual({ statusChanges: [{ customStatus: 'unheard' }] });
    await set(harness, token, 'heard');
    expect(dataOf(await wire.nextMessage())).toEqual({ statusChanges: [{ customStatus: 'heard' }] });
    expect(wire.unreadMessages).toEqual([]);
  });

  test('a name that is taken closes the socket, and nobody watches any more', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const payload = { query: 'subscription { statusChanges(userIds: ["alice"]) { version } }' };
    for (let twice = 0; twice < 2; twice++) wire.send({ type: 'subscribe', id: 'x', payload });
    expect((await wire.closed).code).toBe(4409);
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('the end of her own session is told to a watcher before the socket closes for it', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    wire.subscribe('subscription { statusChanges(userIds: ["alice"]) { status } }');
    await wire.nextMessage();
    await harness.post('mutation { logout { userStatus { version } } }', token);
    expect((await wire.closed).code).toBe(4410);
    expect(wire.unreadMessages.map(dataOf)).toEqual([{ statusChanges: [{ status: 'OFFLINE' }] }]);
  });

  test('a change that was made is told before the server goes down', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    wire.subscribe('subscription { statusChanges(userIds: ["alice"]) { customStatus } }');
    await wire.nextMessage();
    harness.store.onCommit(() => void harness.server.close());
    void set(harness, token, 'last').catch(() => undefined);
    expect((await wire.closed).code).toBe(1012);
    expect(wire.unreadMessages.map(dataOf)).toEqual([{ statusChanges: [{ customStatus: 'last' }] }]);
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('a list that fails ends the subscription with an error that tells nothing of us', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const watch = vi.spyOn(harness.application.statusWatchers, 'watchUsers');
    const id = wire.subscribe('subscription { statusChanges(userIds: ["alice"]) { customStatus } }');
    await wire.nextMessage();
    const watcher = watch.mock.results[0]?.value as StatusWatcher;
    vi.spyOn(watcher, 'takeChanges').mockReturnValueOnce([null] as never);
    await set(harness, token, 'new');
    const failed = await wire.nextMessage();
    expect(failed).toMatchObject({
      id,
      type: 'next',
      payload: { errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }] },
    });
    expect(JSON.stringify(failed)).not.toContain('null for non-nullable');
  });

  test('a change that cannot be told spoils nothing but its own list, and is reported once', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const [reads, alsoReads, asksLess, other] = (await Promise.all(
      Array.from({ length: 4 }, () => TestSocket.connect(harness.socketUrl, API_KEY)),
    )) as [TestSocket, TestSocket, TestSocket, TestSocket];
    const watch = (fields: string, user: string) =>
      `subscription { statusChanges(userIds: ["${user}"]) { ${fields} } }`;
    alsoReads.subscribe('{ __typename }');
    for (const told of [await alsoReads.nextMessage(), await alsoReads.nextMessage()]) expect(told.id).toBe('1');
    // The same shape under different names, another shape, and another user.
    for (const wire of [reads, alsoReads]) wire.subscribe(watch('customStatus version', 'alice'));
    asksLess.subscribe(watch('customStatus', 'alice'));
    other.subscribe(watch('customStatus version', 'bob'));
    for (const wire of [reads, alsoReads, asksLess, other]) await wire.nextMessage();
    // After those who watch have heard of it, and before they are told: a version that is none.
    let isUnlucky = true;
    harness.store.onCommit(([commit]) => {
      if (isUnlucky) Object.assign(commit?.statusChange ?? {}, { version: 0.5 });
      isUnlucky = false;
    });
    harness.logLines.length = 0;
    await set(harness, token, 'unlucky');
    for (const wire of [reads, alsoReads]) {
      expect((await wire.nextMessage()).payload).toMatchObject({
        errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
      });
    }
    expect(dataOf(await asksLess.nextMessage())).toEqual({ statusChanges: [{ customStatus: 'unlucky' }] });
    expect(harness.logLines.filter((line) => line.includes('non-integer value: 0.5'))).toHaveLength(1);
    await harness.login('bob');
    await set(harness, token, 'lucky');
    for (const wire of [reads, alsoReads, asksLess, other]) {
      expect(dataOf(await wire.nextMessage())).toMatchObject({ statusChanges: [{}] });
    }
  });
});
