/** Encoding of frames, and batching, backpressure and drain listeners of `SendBuffer`. */
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
    'of %i bytes are decoded by a client',
    (_bytes, text) => {
      expect(decodeMessages(encodeTextFrame(text))).toEqual([text]);
      expect(decodeMessages(encodeFrames([text]))).toEqual([text]);
    },
  );

  test('of all kinds are encoded in order', () => {
    const parts = [...texts, encodeTextFrame('ready'), PING_FRAME, encodePongFrame(Buffer.from('it')), 'last'];
    expect(decodeMessages(encodeFrames(parts))).toEqual([...texts, 'ready', 'ping ', 'pong it', 'last']);
  });

  test('that are encoded and single are returned without a copy', () => {
    const frame = encodeTextFrame('shared');
    expect(encodeFrames([frame])).toBe(frame);
  });
});

const createBuffer = (stream: FakeTcpStream) => {
  let failures = 0;
  const buffer = new SendBuffer(new FlushScheduler(), stream as never, { onWriteError: () => void failures++ });
  return { buffer, failures: () => failures };
};

const stateOf = (promise: Promise<void>): { done: boolean } => {
  const state = { done: false };
  void promise.then(() => (state.done = true));
  return state;
};

describe('SendBuffer', () => {
  test('writes all messages of one loop turn in one write, in order', async () => {
    const stream = new FakeTcpStream();
    const { buffer } = createBuffer(stream);
    void buffer.enqueueWithBackpressure('one');
    buffer.enqueue(encodeTextFrame('two'));
    await Promise.resolve();
    void buffer.enqueueWithBackpressure('three');
    expect(stream.written).toEqual([]);
    await settleEventLoop();
    expect(stream.written.map((bytes) => decodeMessages(bytes))).toEqual([['one', 'two', 'three']]);
    void buffer.enqueueWithBackpressure('four');
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect(stream.written.slice(1).map((bytes) => decodeMessages(bytes))).toEqual([['four']]);
  });

  test('makes a sender wait for a slow reader until its data is written', async () => {
    const stream = new FakeTcpStream();
    const { buffer } = createBuffer(stream);
    const first = stateOf(buffer.enqueueWithBackpressure('one'));
    await settleEventLoop();
    // The client keeps up until now.
    expect(first.done).toBe(true);
    const [second, third] = [
      stateOf(buffer.enqueueWithBackpressure('two')),
      stateOf(buffer.enqueueWithBackpressure('three')),
    ];
    await settleEventLoop();
    const fourth = stateOf(buffer.enqueueWithBackpressure('four'));
    await settleEventLoop();
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect([second.done, third.done, fourth.done]).toEqual([false, false, false]);
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect([second.done, third.done, fourth.done]).toEqual([true, true, false]);
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect(fourth.done).toBe(true);
  });

  test('makes a sender wait that sends much in one turn', async () => {
    const stream = new FakeTcpStream();
    const { buffer } = createBuffer(stream);
    const [little, much, more] = ['x', 'x'.repeat(20_000), 'x'].map((text) =>
      stateOf(buffer.enqueueWithBackpressure(text)),
    );
    await settleEventLoop();
    expect([little?.done, much?.done, more?.done]).toEqual([true, false, false]);
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect([much?.done, more?.done]).toEqual([true, true]);
  });

  test('counts unsent bytes, including messages of the current turn', async () => {
    const stream = new FakeTcpStream();
    const { buffer } = createBuffer(stream);
    buffer.enqueue(encodeTextFrame('x'.repeat(98)));
    void buffer.enqueueWithBackpressure('x'.repeat(50));
    expect(buffer.unsentBytes).toBe(150);
    await settleEventLoop();
    expect(buffer.unsentBytes).toBe(152);
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect(buffer.unsentBytes).toBe(0);
  });

  test('enqueueAndFlush writes a shared frame without a copy, after the queued messages', async () => {
    const stream = new FakeTcpStream();
    const { buffer } = createBuffer(stream);
    const shared = encodeTextFrame('shared');
    buffer.enqueueAndFlush(shared);
    expect(stream.written[0]).toBe(shared);
    stream.acknowledgeWrite();
    void buffer.enqueueWithBackpressure('one');
    buffer.enqueueAndFlush(encodeTextFrame('two'));
    expect(stream.written.slice(1).map((bytes) => decodeMessages(bytes))).toEqual([['one', 'two']]);
    await settleEventLoop();
    expect(stream.written.length).toBe(2);
  });

  test('flushAndClose writes everything pending and drops later messages', async () => {
    const stream = new FakeTcpStream();
    const { buffer } = createBuffer(stream);
    void buffer.enqueueWithBackpressure('queued');
    buffer.addDrainListener({
      onDrain: () => undefined,
      deliverPending: () => buffer.enqueueAndFlush(encodeTextFrame('pending')),
    });
    buffer.flushAndClose();
    expect(stream.written.flatMap((bytes) => decodeMessages(bytes))).toEqual(['queued', 'pending']);
    await buffer.enqueueWithBackpressure('too late');
    buffer.enqueue(PING_FRAME);
    buffer.enqueueAndFlush(encodeTextFrame('too late'));
    await settleEventLoop();
    expect(stream.written.length).toBe(1);
    expect(buffer.unsentBytes).toBe(stream.writableLength);
  });

  test('calls the remaining drain listeners once when all data is written', async () => {
    const stream = new FakeTcpStream();
    const { buffer } = createBuffer(stream);
    const listeners = Array.from({ length: 3 }, () => ({ onDrain: vi.fn(), deliverPending: vi.fn() }));
    for (const listener of listeners) buffer.addDrainListener(listener);
    expect(buffer.isDrained()).toBe(true);
    buffer.enqueueAndFlush(encodeTextFrame('one'));
    void buffer.enqueueWithBackpressure('two');
    await settleEventLoop();
    expect(buffer.isDrained()).toBe(false);
    buffer.removeDrainListener(listeners[1]!);
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect(listeners.map(({ onDrain }) => onDrain.mock.calls.length)).toEqual([0, 0, 0]);
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect(listeners.map(({ onDrain }) => onDrain.mock.calls.length)).toEqual([1, 0, 1]);
    expect(buffer.isDrained()).toBe(true);
    void buffer.enqueueWithBackpressure('three');
    await settleEventLoop();
    stream.acknowledgeWrite();
    await settleEventLoop();
    expect(listeners.map(({ onDrain }) => onDrain.mock.calls.length)).toEqual([1, 0, 1]);
    buffer.removeDrainListener(listeners[0]!);
    buffer.removeDrainListener(listeners[2]!);
    buffer.flushAndClose();
    expect(listeners.map(({ deliverPending }) => deliverPending.mock.calls.length)).toEqual([0, 0, 0]);
  });

  test('is counted as backlogged while a drain listener waits, until it drains or closes', async () => {
    const counts = { backloggedSockets: 0 };
    const scheduler = new FlushScheduler(counts);
    const streams = [new FakeTcpStream(), new FakeTcpStream(), new FakeTcpStream()];
    const [read, discarded, closed] = streams.map(
      (stream) => new SendBuffer(scheduler, stream as never, { onWriteError: () => undefined }),
    );
    for (const buffer of [read!, discarded!, closed!]) {
      buffer.enqueueAndFlush(encodeTextFrame('one'));
      expect([buffer.isDrained(), buffer.isDrained()]).toEqual([false, false]);
    }
    expect(counts.backloggedSockets).toBe(3);
    streams[0]!.acknowledgeWrite();
    await settleEventLoop();
    discarded!.discardFurtherMessages();
    closed!.flushAndClose();
    expect(counts.backloggedSockets).toBe(0);
    // No drain listener waits after the close, so a late write changes nothing.
    expect(discarded!.isDrained()).toBe(false);
    streams[1]!.acknowledgeWrite();
    await settleEventLoop();
    expect(counts.backloggedSockets).toBe(0);
  });

  test('reports a failed write once and resolves the waiting sender', async () => {
    const stream = new FakeTcpStream();
    stream.on('error', () => undefined);
    const { buffer, failures } = createBuffer(stream);
    const sent = buffer.enqueueWithBackpressure('x'.repeat(20_000));
    await settleEventLoop();
    stream.acknowledgeWrite(new Error('EPIPE'));
    await sent;
    expect(failures()).toBe(1);
    await buffer.enqueueWithBackpressure('two');
    expect(failures()).toBe(1);
    expect(stream.written.length).toBe(1);
  });
});
