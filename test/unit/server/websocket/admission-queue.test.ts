/** Sockets that come all at once are let in one after another, and nobody who is in already waits for them. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { AdmissionQueue } from '../../../../src/server/websocket/admission-queue.ts';
import { ServerHarness } from '../../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../../integration/server/support/test-socket.ts';

const never = (): boolean => false;

describe('The gate', () => {
  it('lets in some in a turn of the loop, in the order in which they came', async () => {
    const gate = new AdmissionQueue({ maxPerLoopTurn: 3, maxConcurrentAttachments: 10, maxQueued: 100 });
    const entered: number[] = [];
    for (let index = 0; index < 8; index++) void gate.admit(never).then((may) => may && entered.push(index));
    await Promise.resolve();
    expect(entered).toEqual([0, 1, 2]);
    await turn();
    expect(entered).toEqual([0, 1, 2, 3, 4, 5]);
    await turn();
    expect(entered).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    await turn();
    expect(await Promise.all([gate.admit(never), gate.admit(never), gate.admit(never)])).toEqual([true, true, true]);
  });

  it('spends no turn on those who are gone, and takes no more than may wait', async () => {
    const gate = new AdmissionQueue({ maxPerLoopTurn: 1, maxConcurrentAttachments: 10, maxQueued: 3 });
    const answers = [false, true, true, false].map((gone) => gate.admit(() => gone));
    expect(await gate.admit(never)).toBe(false);
    await turn();
    expect(await Promise.all(answers)).toEqual([true, false, false, true]);
  });

  it('lets nobody in while enough are being attached, whether that succeeds or not', async () => {
    const gate = new AdmissionQueue({ maxPerLoopTurn: 10, maxConcurrentAttachments: 1, maxQueued: 10 });
    let done: (error?: Error) => void = () => undefined;
    const attach = () =>
      new Promise<void>((resolve, reject) => (done = (error) => (error === undefined ? resolve() : reject(error))));
    const first = gate.trackAttachment(attach);
    const entered: string[] = [];
    void gate.admit(never).then(() => entered.push('second'));
    await turn();
    await turn();
    expect(entered).toEqual([]);
    done();
    await first;
    await turn();
    expect(entered).toEqual(['second']);
    const failing = gate.trackAttachment(attach);
    void gate.admit(never).then(() => entered.push('third'));
    done(new Error('not attached'));
    await expect(failing).rejects.toThrow('not attached');
    await turn();
    expect(entered).toEqual(['second', 'third']);
  });
});

describe('Who waits at the gate', () => {
  it('for longer than a client would is told to come back later, which is no DISCONNECT', async () => {
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

    // Her RECONNECT has to be written.
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

  it('with too many others is told so at once', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { maxPerLoopTurn: 0, maxQueued: 0 } });
    const { token } = await harness.login('alice', 'ANDROID');
    const wire = new TestSocket(harness.socketUrl);
    await wire.sendInit({ authorization: `Bearer ${token}` });
    expect(await wire.closed).toEqual({ code: 1013, reason: 'Too many clients are connecting' });
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });
});
