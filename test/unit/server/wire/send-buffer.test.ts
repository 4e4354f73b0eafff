/** What a socket is sent within one turn, and whoever waits until it is on its way. */
import { describe, expect, test, vi } from 'vitest';
import { PING_FRAME, encodePongFrame, encodeTextFrame, encodeFrames } from '../../../../src/server/wire/frames.ts';
import { SendBuffer, FlushScheduler } from '../../../../src/server/wire/send-buffer.ts';
import { FakeTcpStream, decodeMessages, settleEventLoop } from '../../../integration/server/support/fake-tcp-stream.ts';

describe('frames', () => {
  const texts = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 70_000].flatMap((length) => [
    'x'.repeat(length),
    'é'.repeat(length >> 1),
    '\u{1F600}'.repeat(length >> 2),
  ]);

  test.each(texts.map((text) => [Buffer.byteLength(text), text]))(
    'of %i bytes are what a client reads',
    (_bytes, text) => {
      expect(decodeMessages(encodeTextFrame(text))).toEqual([text]);
      expect(decodeMessages(encodeFrames([text]))).toEqual([text]);
    },
  );

  test('of all kinds stand one after another', () => {
    const parts = [...texts, encodeTextFrame('ready'), PING_FRAME, encodePongFrame(Buffer.from('it')), 'last'];
    expect(decodeMessages(encodeFrames(parts))).toEqual([...texts, 'ready', 'ping ', 'pong it', 'last']);
  });

  test('that are ready and alone are not copied', () => {
    const frame = encodeTextFrame('shared');
    expect(encodeFrames([frame])).toBe(frame);
  });
});

const outboxOn = (line: FakeTcpStream) => {
  let failures = 0;
  const outbox = new SendBuffer(new FlushScheduler(), line as never, { onWriteError: () => void failures++ });
  return { outbox, failures: () => failures };
};

const stateOf = (promise: Promise<void>): { done: boolean } => {
  const state = { done: false };
  void promise.then(() => (state.done = true));
  return state;
};

describe('an outbox', () => {
  test('sends what comes within one turn in one write, in its order', async () => {
    const line = new FakeTcpStream();
    const { outbox } = outboxOn(line);
    void outbox.enqueueWithBackpressure('one');
    outbox.enqueue(encodeTextFrame('two'));
    await Promise.resolve();
    void outbox.enqueueWithBackpressure('three');
    expect(line.written).toEqual([]);
    await settleEventLoop();
    expect(line.written.map((bytes) => decodeMessages(bytes))).toEqual([['one', 'two', 'three']]);
    void outbox.enqueueWithBackpressure('four');
    line.acknowledgeWrite();
    await settleEventLoop();
    expect(line.written.slice(1).map((bytes) => decodeMessages(bytes))).toEqual([['four']]);
  });

  test('lets whoever sends to a slow reader wait until it is on its way', async () => {
    const line = new FakeTcpStream();
    const { outbox } = outboxOn(line);
    const first = stateOf(outbox.enqueueWithBackpressure('one'));
    await settleEventLoop();
    // The client keeps up so far.
    expect(first.done).toBe(true);
    const [second, third] = [
      stateOf(outbox.enqueueWithBackpressure('two')),
      stateOf(outbox.enqueueWithBackpressure('three')),
    ];
    await settleEventLoop();
    const fourth = stateOf(outbox.enqueueWithBackpressure('four'));
    await settleEventLoop();
    line.acknowledgeWrite();
    await settleEventLoop();
    expect([second.done, third.done, fourth.done]).toEqual([false, false, false]);
    line.acknowledgeWrite();
    await settleEventLoop();
    expect([second.done, third.done, fourth.done]).toEqual([true, true, false]);
    line.acknowledgeWrite();
    await settleEventLoop();
    expect(fourth.done).toBe(true);
  });

  test('lets whoever sends very much in one turn wait, too', async () => {
    const line = new FakeTcpStream();
    const { outbox } = outboxOn(line);
    const [little, much, more] = ['x', 'x'.repeat(20_000), 'x'].map((text) =>
      stateOf(outbox.enqueueWithBackpressure(text)),
    );
    await settleEventLoop();
    expect([little?.done, much?.done, more?.done]).toEqual([true, false, false]);
    line.acknowledgeWrite();
    await settleEventLoop();
    expect([much?.done, more?.done]).toEqual([true, true]);
  });

  test('knows how much is unread, of this turn too', async () => {
    const line = new FakeTcpStream();
    const { outbox } = outboxOn(line);
    outbox.enqueue(encodeTextFrame('x'.repeat(98)));
    void outbox.enqueueWithBackpressure('x'.repeat(50));
    expect(outbox.unsentBytes).toBe(150);
    await settleEventLoop();
    expect(outbox.unsentBytes).toBe(152);
    line.acknowledgeWrite();
    await settleEventLoop();
    expect(outbox.unsentBytes).toBe(0);
  });

  test('sends at once what others share, after what was sent before', async () => {
    const line = new FakeTcpStream();
    const { outbox } = outboxOn(line);
    const shared = encodeTextFrame('shared');
    outbox.sendImmediately(shared);
    expect(line.written[0]).toBe(shared);
    line.acknowledgeWrite();
    void outbox.enqueueWithBackpressure('one');
    outbox.sendImmediately(encodeTextFrame('two'));
    expect(line.written.slice(1).map((bytes) => decodeMessages(bytes))).toEqual([['one', 'two']]);
    await settleEventLoop();
    expect(line.written.length).toBe(2);
  });

  test('that is closed has sent everything, and takes nothing more', async () => {
    const line = new FakeTcpStream();
    const { outbox } = outboxOn(line);
    void outbox.enqueueWithBackpressure('last words');
    outbox.addDrainListener({
      onDrain: () => undefined,
      deliverPending: () => outbox.sendImmediately(encodeTextFrame('very last')),
    });
    outbox.flushAndClose();
    expect(line.written.flatMap((bytes) => decodeMessages(bytes))).toEqual(['last words', 'very last']);
    await outbox.enqueueWithBackpressure('too late');
    outbox.enqueue(PING_FRAME);
    outbox.sendImmediately(encodeTextFrame('too late'));
    await settleEventLoop();
    expect(line.written.length).toBe(1);
    expect(outbox.unsentBytes).toBe(line.writableLength);
  });

  test('wakes its feeders when there is room again, those that are still there, once', async () => {
    const line = new FakeTcpStream();
    const { outbox } = outboxOn(line);
    const feeders = Array.from({ length: 3 }, () => ({ onDrain: vi.fn(), deliverPending: vi.fn() }));
    for (const feeder of feeders) outbox.addDrainListener(feeder);
    expect(outbox.isDrained()).toBe(true);
    outbox.sendImmediately(encodeTextFrame('one'));
    void outbox.enqueueWithBackpressure('two');
    await settleEventLoop();
    expect(outbox.isDrained()).toBe(false);
    outbox.removeDrainListener(feeders[1]!);
    line.acknowledgeWrite();
    await settleEventLoop();
    expect(feeders.map(({ onDrain }) => onDrain.mock.calls.length)).toEqual([0, 0, 0]);
    line.acknowledgeWrite();
    await settleEventLoop();
    expect(feeders.map(({ onDrain }) => onDrain.mock.calls.length)).toEqual([1, 0, 1]);
    expect(outbox.isDrained()).toBe(true);
    void outbox.enqueueWithBackpressure('three');
    await settleEventLoop();
    line.acknowledgeWrite();
    await settleEventLoop();
    expect(feeders.map(({ onDrain }) => onDrain.mock.calls.length)).toEqual([1, 0, 1]);
    outbox.removeDrainListener(feeders[0]!);
    outbox.removeDrainListener(feeders[2]!);
    outbox.flushAndClose();
    expect(feeders.map(({ deliverPending }) => deliverPending.mock.calls.length)).toEqual([0, 0, 0]);
  });

  test('is counted while it has something to tell and no room, until it is gone', async () => {
    const counts = { backloggedSockets: 0 };
    const outboxes = new FlushScheduler(counts);
    const lines = [new FakeTcpStream(), new FakeTcpStream(), new FakeTcpStream()];
    const [read, gone, closed] = lines.map(
      (line) => new SendBuffer(outboxes, line as never, { onWriteError: () => undefined }),
    );
    for (const outbox of [read!, gone!, closed!]) {
      outbox.sendImmediately(encodeTextFrame('one'));
      expect([outbox.isDrained(), outbox.isDrained()]).toEqual([false, false]);
    }
    expect(counts.backloggedSockets).toBe(3);
    lines[0]!.acknowledgeWrite();
    await settleEventLoop();
    gone!.discardFurtherMessages();
    closed!.flushAndClose();
    expect(counts.backloggedSockets).toBe(0);
    // Nobody waits for room there any more, and what is written at last changes nothing.
    expect(gone!.isDrained()).toBe(false);
    lines[1]!.acknowledgeWrite();
    await settleEventLoop();
    expect(counts.backloggedSockets).toBe(0);
  });

  test('whose client has gone says so, and keeps nobody waiting', async () => {
    const line = new FakeTcpStream();
    line.on('error', () => undefined);
    const { outbox, failures } = outboxOn(line);
    const sent = outbox.enqueueWithBackpressure('x'.repeat(20_000));
    await settleEventLoop();
    line.acknowledgeWrite(new Error('EPIPE'));
    await sent;
    expect(failures()).toBe(1);
    await outbox.enqueueWithBackpressure('two');
    expect(failures()).toBe(1);
    expect(line.written.length).toBe(1);
  });
});
