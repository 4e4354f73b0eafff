/** Order, capacity and rejections of the admission queue. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { AdmissionQueue } from '../../../../src/server/websocket/admission-queue.ts';
import { ServerHarness } from '../../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../../integration/server/support/test-socket.ts';

const notCancelled = (): boolean => false;

describe('AdmissionQueue', () => {
  it('admits maxPerLoopTurn sockets per loopTurn of the event loop, in order', async () => {
    const queue = new AdmissionQueue({ maxPerLoopTurn: 3, maxConcurrentAttachments: 10, maxQueued: 100 });
    const admitted: number[] = [];
    for (let index = 0; index < 8; index++)
      void queue.waitForAdmission(notCancelled).then((isAdmitted) => isAdmitted && admitted.push(index));
    await Promise.resolve();
    expect(admitted).toEqual([0, 1, 2]);
    await loopTurn();
    expect(admitted).toEqual([0, 1, 2, 3, 4, 5]);
    await loopTurn();
    expect(admitted).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    await loopTurn();
    expect(
      await Promise.all([
        queue.waitForAdmission(notCancelled),
        queue.waitForAdmission(notCancelled),
        queue.waitForAdmission(notCancelled),
      ]),
    ).toEqual([true, true, true]);
  });

  it('uses no capacity for cancelled sockets and rejects sockets beyond maxQueued', async () => {
    const queue = new AdmissionQueue({ maxPerLoopTurn: 1, maxConcurrentAttachments: 10, maxQueued: 3 });
    const answers = [false, true, true, false].map((isCancelled) => queue.waitForAdmission(() => isCancelled));
    expect(await queue.waitForAdmission(notCancelled)).toBe(false);
    await loopTurn();
    expect(await Promise.all(answers)).toEqual([true, false, false, true]);
  });

  it('admits no socket while maxConcurrentAttachments are in progress, whether they succeed or fail', async () => {
    const queue = new AdmissionQueue({ maxPerLoopTurn: 10, maxConcurrentAttachments: 1, maxQueued: 10 });
    let finishAttachment: (error?: Error) => void = () => undefined;
    const attach = () =>
      new Promise<void>(
        (resolve, reject) => (finishAttachment = (error) => (error === undefined ? resolve() : reject(error))),
      );
    const first = queue.trackAttachment(attach);
    const admitted: string[] = [];
    void queue.waitForAdmission(notCancelled).then(() => admitted.push('second'));
    await loopTurn();
    await loopTurn();
    expect(admitted).toEqual([]);
    finishAttachment();
    await first;
    await loopTurn();
    expect(admitted).toEqual(['second']);
    const failing = queue.trackAttachment(attach);
    void queue.waitForAdmission(notCancelled).then(() => admitted.push('third'));
    finishAttachment(new Error('not attached'));
    await expect(failing).rejects.toThrow('not attached');
    await loopTurn();
    expect(admitted).toEqual(['second', 'third']);
  });
});

describe('a queued socket', () => {
  it('is closed with 1013 after initTimeoutMs, without a DISCONNECT event', async () => {
    const disk = { held: Promise.resolve() };
    const harness = await ServerHarness.open({
      connectionSettings: { maxConcurrentAttachments: 1, initTimeoutMs: 500 },
      beforeCommit: () => disk.held,
    });
    const [alice, bob] = [await harness.login('alice', 'ANDROID'), await harness.login('bob', 'ANDROID')];
    const before = await TestSocket.connect(harness.socketUrl, alice.token);
    before.webSocket.close();
    await before.closed;
    await vi.waitFor(async () => expect(await harness.status('alice')).toBe('PUSH_ONLINE'));
    let release: () => void = () => undefined;
    disk.held = new Promise((resolve) => (release = resolve));

    // The RECONNECT of alice waits for the disk.
    const first = new TestSocket(harness.socketUrl);
    await first.sendInit({ authorization: `Bearer ${alice.token}` });
    await vi.waitFor(() => expect(harness.store.getWriteBacklog().pendingChanges).toBe(1));
    const second = new TestSocket(harness.socketUrl);
    await second.sendInit({ authorization: `Bearer ${bob.token}` });
    expect((await second.closed).code).toBe(1013);
    expect((await first.closed).code).toBe(1013);
    expect(second.unreadMessages).toEqual([]);
    release();
    await TestSocket.connect(harness.socketUrl, bob.token);
    expect(await harness.reasons('bob')).toEqual(['LOGIN']);
    expect(await harness.status('bob')).toBe('ONLINE');
  });

  it('is closed with 1013 at once when the queue is full', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { maxPerLoopTurn: 0, maxQueued: 0 } });
    const { token } = await harness.login('alice', 'ANDROID');
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ authorization: `Bearer ${token}` });
    expect(await socket.closed).toEqual({ code: 1013, reason: 'Too many clients are connecting' });
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });
});
