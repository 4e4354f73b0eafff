/** Status changes that are pushed over a WebSocket. */
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

/** A pushed subscription on a fake stream, after its snapshot. */
const openSubscription = async (harness: AppHarness, users: readonly UserId[], stream = new FakeTcpStream()) => {
  const watchers = new StatusWatchers(harness.store);
  const watcher = watchers.watchUsers(users);
  const sendBuffer = new SendBuffer(new FlushScheduler(), stream as never, { onWriteError: () => undefined });
  const documents = new DocumentCache(schema);
  const document = documents.parseDocument(QUERY);
  documents.validateDocument(document);
  const sharedResults = new SharedResultCache((result) => result);
  const operation = documents.selectOperation(document, null);
  const sharedResult = sharedResults.acquireResult({ schema, document }, operation);
  const onPushError = vi.fn();
  const subscription = new PushSubscription(watcher, sharedResult, sharedResults, {
    id: '1',
    operation,
    sendBuffer,
    fanoutScheduler: new FanoutScheduler(),
    onPushError,
  });
  await subscription.readSnapshot();
  expect(subscription.startPushing()).toBe(true);
  return { stream, watchers, watcher, sendBuffer, sharedResults, sharedResult, subscription, onPushError };
};

const readChanges = (stream: FakeTcpStream): string[][] =>
  stream.written
    .flatMap((bytes) => decodeMessages(bytes))
    .map((message) => {
      const { payload } = JSON.parse(message) as {
        payload: { data: { statusChanges: Record<'userId' | 'version' | 'previousStatus' | 'status', string>[] } };
      };
      return payload.data.statusChanges.map(
        ({ userId, version, previousStatus, status }) => `${userId} ${version}: ${previousStatus} → ${status}`,
      );
    });

describe('PushSubscription', () => {
  test('conflates the changes of a blocked client into one list, sent when it reads again', async () => {
    const harness = new AppHarness();
    const { stream } = await openSubscription(harness, ids(ALICE, BOB));
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
    expect(readChanges(stream)).toEqual([first]);
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect(readChanges(stream)).toEqual([first, ['alice 102: ONLINE → OFFLINE', 'bob 1: OFFLINE → ONLINE']]);
    stream.acknowledgeAllWrites();
    await settleEventLoop();
    expect(readChanges(stream).length).toBe(2);
  });

  test('notifies a reader that attaches after a change to the snapshot', async () => {
    const harness = new AppHarness();
    const stream = new FakeTcpStream();
    const watchers = new StatusWatchers(harness.store);
    const watcher = watchers.watchUsers([ALICE]);
    await watcher.takeSnapshot();
    await harness.login(ALICE);
    const reader = { notifyAvailable: vi.fn() };
    watcher.attachReader(reader);
    expect(reader.notifyAvailable).toHaveBeenCalledTimes(1);
    expect(watcher.takeChanges()?.map(({ version }) => version)).toEqual([1]);
    expect(stream.written).toEqual([]);
  });

  test('sends nothing after return, even if a delivery is scheduled', async () => {
    const harness = new AppHarness();
    const { stream, watchers, sendBuffer, sharedResults, subscription } = await openSubscription(harness, ids(ALICE));
    await harness.login(ALICE);
    subscription.return();
    await settleEventLoop();
    const deliverPending = vi.spyOn(subscription, 'deliverPending');
    sendBuffer.flushAndClose();
    expect(deliverPending).not.toHaveBeenCalled();
    expect(readChanges(stream)).toEqual([]);
    expect(subscription.startPushing()).toBe(false);
    for (let again = 0; again < 2; again++) {
      expect([watchers.watchedUserCount, sharedResults.size]).toEqual([0, 0]);
      subscription.return();
    }
  });

  test('delivers pending changes before the socket closes if the buffer is drained', async () => {
    const harness = new AppHarness();
    const drained = await openSubscription(harness, ids(ALICE));
    const blocked = await openSubscription(harness, ids(ALICE));
    blocked.sendBuffer.enqueueAndFlush(drained.sharedResult.encodeNextFrame('1', [], new FanoutScheduler()));
    await harness.login(ALICE);
    for (const { sendBuffer } of [drained, blocked]) sendBuffer.flushAndClose();
    expect(readChanges(drained.stream)).toEqual([['alice 1: OFFLINE → ONLINE']]);
    expect(readChanges(blocked.stream)).toEqual([[]]);
    await settleEventLoop();
    expect(readChanges(drained.stream).length).toBe(1);
  });

  test('reports an error of the encoding to its target', async () => {
    const harness = new AppHarness();
    const { stream, sharedResult, onPushError } = await openSubscription(harness, ids(ALICE));
    const failure = new Error('broken');
    vi.spyOn(sharedResult, 'encodeNextFrame').mockImplementation(() => {
      throw failure;
    });
    await harness.login(ALICE);
    await settleEventLoop();
    expect(onPushError.mock.calls).toEqual([[failure]]);
    expect(stream.written).toEqual([]);
  });
});

const set = (harness: ServerHarness, token: string, text: string) =>
  harness.post('mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }', token, {
    text,
  });

const dataOf = (message: ServerMessage): unknown => message.payload?.['data'];

describe('a subscription to statusChanges over a WebSocket', () => {
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
  ])('resolves %s in the snapshot and in changes', async (_what, query, variables, present, change) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const id = socket.subscribe(query, variables);
    expect(await socket.nextMessage()).toEqual({ id, type: 'next', payload: { data: present } });
    await set(harness, token, 'new');
    expect(await socket.nextMessage()).toEqual({ id, type: 'next', payload: { data: change } });
  });

  test('each subscription receives its own selection under its own id', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const [one, other] = [
      await TestSocket.connect(harness.socketUrl, API_KEY),
      await TestSocket.connect(harness.socketUrl, API_KEY),
    ];
    const document = `subscription T($ids: [ID!]!) { statusChanges(userIds: $ids) { customStatus } }
      subscription V($ids: [ID!]!, $v: Boolean!) { statusChanges(userIds: $ids) { version @include(if: $v) userId } }`;
    const ask = async (socket: TestSocket, id: string, operationName: string, variables: object): Promise<void> => {
      socket.send({ type: 'subscribe', id, payload: { query: document, operationName, variables } });
      expect(await socket.nextMessage()).toMatchObject({ type: 'next', id });
    };
    await ask(one, 'texts', 'T', { ids: ['alice'] });
    await ask(one, 'versions', 'V', { ids: ['bob', 'alice'], v: true });
    await ask(other, 'é "x"', 'V', { ids: ['alice'], v: false });
    await ask(other, 'versions', 'V', { ids: ['alice'], v: true });
    await set(harness, token, 'new');
    const readBoth = async (socket: TestSocket): Promise<unknown> => {
      const messages = [await socket.nextMessage(), await socket.nextMessage()];
      return Object.fromEntries(messages.map((message) => [message.id, dataOf(message)])) as unknown;
    };
    expect(await readBoth(one)).toEqual({
      texts: { statusChanges: [{ customStatus: 'new' }] },
      versions: { statusChanges: [{ version: 2, userId: 'alice' }] },
    });
    expect(await readBoth(other)).toEqual({
      'é "x"': { statusChanges: [{ userId: 'alice' }] },
      versions: { statusChanges: [{ version: 2, userId: 'alice' }] },
    });
    for (const socket of [one, other]) expect(socket.unreadMessages).toEqual([]);
  });

  test('changes of several users arrive in lists without duplicates', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    socket.subscribe('subscription { statusChanges(userIds: ["alice", "bob"]) { userId version } }');
    await socket.nextMessage();
    await Promise.all([harness.login('alice'), harness.login('bob')]);
    const changes: unknown[] = [];
    while (changes.length < 2) {
      const { statusChanges } = dataOf(await socket.nextMessage()) as { statusChanges: unknown[] };
      changes.push(...statusChanges);
    }
    expect(new Set(changes)).toEqual(
      new Set([
        { userId: 'alice', version: 1 },
        { userId: 'bob', version: 1 },
      ]),
    );
    await socket.waitForRoundTrip();
    expect(socket.unreadMessages).toEqual([]);
  });

  test('a completed subscription receives no more changes, and its id can be used again', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const query = 'subscription { statusChanges(userIds: ["alice"]) { customStatus } }';
    const id = socket.subscribe(query);
    await socket.nextMessage();
    socket.send({ type: 'complete', id });
    await socket.waitForRoundTrip();
    expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
    await set(harness, token, 'after complete');
    await socket.waitForRoundTrip();
    expect(socket.unreadMessages).toEqual([]);
    socket.send({ type: 'subscribe', id, payload: { query } });
    expect(dataOf(await socket.nextMessage())).toEqual({ statusChanges: [{ customStatus: 'after complete' }] });
    await set(harness, token, 'after resubscribing');
    expect(dataOf(await socket.nextMessage())).toEqual({ statusChanges: [{ customStatus: 'after resubscribing' }] });
    expect(socket.unreadMessages).toEqual([]);
  });

  test('a duplicate id closes the socket and ends all of its watches', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const payload = { query: 'subscription { statusChanges(userIds: ["alice"]) { version } }' };
    for (let twice = 0; twice < 2; twice++) socket.send({ type: 'subscribe', id: 'x', payload });
    expect((await socket.closed).code).toBe(4409);
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('a watcher receives the end of its own session before the socket closes', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    socket.subscribe('subscription { statusChanges(userIds: ["alice"]) { status } }');
    await socket.nextMessage();
    await harness.post('mutation { logout { userStatus { version } } }', token);
    expect((await socket.closed).code).toBe(4410);
    expect(socket.unreadMessages.map(dataOf)).toEqual([{ statusChanges: [{ status: 'OFFLINE' }] }]);
  });

  test('a committed change is delivered before the server shuts down', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    socket.subscribe('subscription { statusChanges(userIds: ["alice"]) { customStatus } }');
    await socket.nextMessage();
    harness.store.onCommit(() => void harness.server.close());
    void set(harness, token, 'last').catch(() => undefined);
    expect((await socket.closed).code).toBe(1012);
    expect(socket.unreadMessages.map(dataOf)).toEqual([{ statusChanges: [{ customStatus: 'last' }] }]);
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('a failing list ends the subscription with a masked error', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const watch = vi.spyOn(harness.application.statusWatchers, 'watchUsers');
    const id = socket.subscribe('subscription { statusChanges(userIds: ["alice"]) { customStatus } }');
    await socket.nextMessage();
    const watcher = watch.mock.results[0]?.value as StatusWatcher;
    vi.spyOn(watcher, 'takeChanges').mockReturnValueOnce([null] as never);
    await set(harness, token, 'new');
    const onPushError = await socket.nextMessage();
    expect(onPushError).toMatchObject({
      id,
      type: 'next',
      payload: { errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }] },
    });
    expect(JSON.stringify(onPushError)).not.toContain('null for non-nullable');
  });

  test('a change that cannot be encoded fails only the lists with it and is reported once', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const [reads, alsoReads, asksLess, other] = (await Promise.all(
      Array.from({ length: 4 }, () => TestSocket.connect(harness.socketUrl, API_KEY)),
    )) as [TestSocket, TestSocket, TestSocket, TestSocket];
    const watch = (fields: string, user: string) =>
      `subscription { statusChanges(userIds: ["${user}"]) { ${fields} } }`;
    alsoReads.subscribe('{ __typename }');
    for (const message of [await alsoReads.nextMessage(), await alsoReads.nextMessage()]) expect(message.id).toBe('1');
    // The same selection under different ids, another selection, and another user.
    for (const socket of [reads, alsoReads]) socket.subscribe(watch('customStatus version', 'alice'));
    asksLess.subscribe(watch('customStatus', 'alice'));
    other.subscribe(watch('customStatus version', 'bob'));
    for (const socket of [reads, alsoReads, asksLess, other]) await socket.nextMessage();
    // After the watchers are notified and before the delivery, the version becomes invalid.
    let isUnlucky = true;
    harness.store.onCommit(([commit]) => {
      if (isUnlucky) Object.assign(commit?.statusChange ?? {}, { version: 0.5 });
      isUnlucky = false;
    });
    harness.logLines.length = 0;
    await set(harness, token, 'unlucky');
    for (const socket of [reads, alsoReads]) {
      expect((await socket.nextMessage()).payload).toMatchObject({
        errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
      });
    }
    expect(dataOf(await asksLess.nextMessage())).toEqual({ statusChanges: [{ customStatus: 'unlucky' }] });
    expect(harness.logLines.filter((stream) => stream.includes('non-integer value: 0.5'))).toHaveLength(1);
    await harness.login('bob');
    await set(harness, token, 'lucky');
    for (const socket of [reads, alsoReads, asksLess, other]) {
      expect(dataOf(await socket.nextMessage())).toMatchObject({ statusChanges: [{}] });
    }
  });
});
