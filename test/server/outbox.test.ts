/** What a socket is sent within one turn, and whoever waits until it is on its way. */
import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import * as ws from 'ws';
import { pongFrame, textFrame, wireBytes } from '../../src/server/frames.ts';
import { Outbox, Outboxes } from '../../src/server/outbox.ts';

/** The types do not know it. */
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

/** What a client makes of bytes. */
const read = (bytes: Buffer): string[] => {
  const heard: string[] = [];
  const receiver = new Receiver({ isServer: false });
  receiver.on('message', (data: Buffer, isBinary: boolean) =>
    heard.push(`${isBinary ? 'binary ' : ''}${data.toString()}`),
  );
  receiver.on('pong', (data: Buffer) => heard.push(`pong ${data.toString()}`));
  receiver.on('error', (error: Error) => heard.push(error.message));
  receiver.write(bytes);
  return heard;
};

describe('frames', () => {
  const texts = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 70_000].flatMap((length) => [
    'x'.repeat(length),
    'é'.repeat(length >> 1),
    '\u{1F600}'.repeat(length >> 2),
  ]);

  test.each(texts.map((text) => [Buffer.byteLength(text), text]))(
    'of %i bytes are what a client reads',
    (_bytes, text) => {
      expect(read(textFrame(text))).toEqual([text]);
      expect(read(wireBytes([text]))).toEqual([text]);
    },
  );

  test('of all kinds stand one after another', () => {
    const parts = [...texts, textFrame('ready'), pongFrame(Buffer.from('ping')), 'last'];
    expect(read(wireBytes(parts))).toEqual([...texts, 'ready', 'pong ping', 'last']);
  });

  test('that are ready and alone are not copied', () => {
    const frame = textFrame('shared');
    expect(wireBytes([frame])).toBe(frame);
  });
});

/** A connection whose client reads when it is told to. */
class Line extends Writable {
  readonly written: Buffer[] = [];
  #reads: ((error?: Error) => void)[] = [];

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.written.push(chunk);
    this.#reads.push(done);
  }

  reads(error?: Error): void {
    this.#reads.shift()?.(error);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const outboxOn = (line: Line) => {
  let failures = 0;
  const outbox = new Outbox(new Outboxes(), line as never, () => failures++);
  return { outbox, failures: () => failures };
};

const stateOf = (promise: Promise<void>): { done: boolean } => {
  const state = { done: false };
  void promise.then(() => (state.done = true));
  return state;
};

describe('an outbox', () => {
  test('sends what comes within one turn in one write, in its order', async () => {
    const line = new Line();
    const { outbox } = outboxOn(line);
    void outbox.send('one');
    outbox.put(textFrame('two'));
    await Promise.resolve();
    void outbox.send('three');
    expect(line.written).toEqual([]);
    await turn();
    expect(line.written.map((bytes) => read(bytes))).toEqual([['one', 'two', 'three']]);
    void outbox.send('four');
    line.reads();
    await turn();
    expect(line.written.slice(1).map((bytes) => read(bytes))).toEqual([['four']]);
  });

  test('lets whoever sends wait until it is on its way', async () => {
    const line = new Line();
    const { outbox } = outboxOn(line);
    const first = stateOf(outbox.send('one'));
    const second = stateOf(outbox.send('two'));
    await turn();
    const third = stateOf(outbox.send('three'));
    await turn();
    expect([first.done, second.done, third.done]).toEqual([false, false, false]);
    line.reads();
    await turn();
    expect([first.done, second.done, third.done]).toEqual([true, true, false]);
    line.reads();
    await turn();
    expect(third.done).toBe(true);
  });

  test('knows how much is unread, of this turn too', async () => {
    const line = new Line();
    const { outbox } = outboxOn(line);
    outbox.put(textFrame('x'.repeat(98)));
    void outbox.send('x'.repeat(50));
    expect(outbox.unread).toBe(150);
    await turn();
    expect(outbox.unread).toBe(152);
    line.reads();
    await turn();
    expect(outbox.unread).toBe(0);
  });

  test('sends at once what has to be out before something else', async () => {
    const line = new Line();
    const { outbox } = outboxOn(line);
    void outbox.send('last words');
    outbox.flush();
    expect(line.written.map((bytes) => read(bytes))).toEqual([['last words']]);
    await turn();
    expect(line.written.length).toBe(1);
  });

  test('whose client has gone says so, and keeps nobody waiting', async () => {
    const line = new Line();
    line.on('error', () => undefined);
    const { outbox, failures } = outboxOn(line);
    const sent = outbox.send('one');
    await turn();
    line.reads(new Error('EPIPE'));
    await sent;
    expect(failures()).toBe(1);
    await outbox.send('two');
    expect(failures()).toBe(1);
    expect(line.written.length).toBe(1);
  });
});
