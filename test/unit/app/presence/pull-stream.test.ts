import { beforeEach, describe, expect, it } from 'vitest';
import { PullStream, type StreamSource } from '../../../../src/app/presence/pull-stream.ts';
import { deferred, errorOf, isPending, settled, type Deferred } from '../support/waiting.ts';

const DONE = { done: true, value: undefined };
const delivered = (value: string) => ({ done: false, value });

/** Each `take` waits until the test answers it. */
class Source implements StreamSource<string> {
  closedTimes = 0;
  takes = 0;
  /** Whether a `take` is running that the test has not answered. */
  #open: Deferred<string | null> | null = null;
  #taken: Deferred<void> = deferred();

  takeNext(): Promise<string | null> {
    if (this.#open !== null) throw new Error('A second take while one is running.');
    this.takes++;
    this.#open = deferred();
    this.#taken.resolve();
    return this.#open.promise;
  }

  onClosed(): void {
    this.closedTimes++;
  }

  async taken(): Promise<void> {
    await this.#taken.promise;
  }

  async answer(value: string | null): Promise<void> {
    (await this.#next()).resolve(value);
  }

  async fail(error: Error): Promise<void> {
    (await this.#next()).reject(error);
  }

  async #next(): Promise<Deferred<string | null>> {
    await this.#taken.promise;
    const open = this.#open;
    if (open === null) throw new Error('No take is running.');
    this.#open = null;
    this.#taken = deferred();
    return open;
  }
}

let source: Source;
let stream: PullStream<string>;

beforeEach(() => {
  source = new Source();
  stream = new PullStream(source);
});

/** A pull that found nothing and is pending. */
const waitingPull = async (): Promise<Promise<IteratorResult<string>>[]> => {
  const pull = stream.next();
  await source.answer(null);
  await settled();
  expect(stream.isPullPending).toBe(true);
  // In a list, because a promise of a promise would be awaited with it.
  return [pull];
};

describe('a pull', () => {
  it('takes nothing before it is made, and then what is available', async () => {
    stream.notifyAvailable();
    await settled();
    expect(source.takes).toBe(0);
    const pull = stream.next();
    await source.answer('a');
    expect(await pull).toEqual(delivered('a'));
    expect(source.takes).toBe(1);
  });

  it('stays pending without another take until it is notified', async () => {
    const [pull] = await waitingPull();
    expect(source.takes).toBe(1);
    stream.notifyAvailable();
    await source.answer('a');
    expect(await pull).toEqual(delivered('a'));
    expect(stream.isPullPending).toBe(false);
  });

  it('stays pending when it is notified and nothing is available', async () => {
    const [pull] = await waitingPull();
    stream.notifyAvailable();
    await source.answer(null);
    expect(await isPending(pull!)).toBe(true);
    expect(source.takes).toBe(2);
    stream.notifyAvailable();
    await source.answer('a');
    expect(await pull).toEqual(delivered('a'));
  });

  it('takes again when a notification came during the take', async () => {
    const pull = stream.next();
    await source.taken();
    stream.notifyAvailable();
    await source.answer(null);
    await source.answer('later');
    expect(await pull).toEqual(delivered('later'));
    expect(source.takes).toBe(2);
  });

  it('counts as pending until it is settled', async () => {
    expect(stream.isPullPending).toBe(false);
    const pull = stream.next();
    await source.taken();
    expect(stream.isPullPending).toBe(true);
    await source.answer('a');
    await pull;
    expect(stream.isPullPending).toBe(false);
    const failing = stream.next();
    await source.fail(new Error('disk full'));
    await errorOf(failing);
    expect(stream.isPullPending).toBe(false);
  });

  it('settles after the pull before it, however many are made at once', async () => {
    const pulls = [stream.next(), stream.next(), stream.next()];
    for (const value of ['a', 'b', 'c']) await source.answer(value);
    expect(await Promise.all(pulls)).toEqual([delivered('a'), delivered('b'), delivered('c')]);
  });

  it('works with for await', async () => {
    const received: string[] = [];
    const reading = (async () => {
      for await (const value of stream) {
        received.push(value);
        if (value === 'b') break;
      }
    })();
    await source.answer('a');
    await source.answer('b');
    await reading;
    expect(received).toEqual(['a', 'b']);
    expect(source.closedTimes).toBe(1);
  });
});

describe('a stream that its reader ends', () => {
  it('closes its source once, however often it is ended', async () => {
    expect(await stream.return()).toEqual(DONE);
    await stream.return();
    stream.end();
    stream.end(new Error('too late'));
    expect(source.closedTimes).toBe(1);
    expect(await stream.next()).toEqual(DONE);
    expect(source.takes).toBe(0);
  });

  it('resolves every pending pull as done', async () => {
    const [pull] = await waitingPull();
    const second = stream.next();
    await stream.return();
    expect(await Promise.all([pull, second])).toEqual([DONE, DONE]);
    expect(source.takes).toBe(1);
  });

  it('delivers nothing of a take that was running', async () => {
    const pull = stream.next();
    await source.taken();
    await stream.return();
    await source.answer('too late');
    expect(await pull).toEqual(DONE);
  });

  it('is done although the running take failed', async () => {
    const pull = stream.next();
    await source.taken();
    await stream.return();
    await source.fail(new Error('too late'));
    expect(await pull).toEqual(DONE);
  });

  it('is done after throw, which rejects with the given error', async () => {
    const [pull] = await waitingPull();
    const error = new Error('the reader’s own');
    expect(await errorOf(stream.throw(error))).toBe(error);
    expect(await pull).toEqual(DONE);
    expect(source.closedTimes).toBe(1);
    expect((await errorOf(stream.throw('no Error'))).message).toBe('no Error');
    expect(source.closedTimes).toBe(1);
  });

  it('takes nothing when it is notified', async () => {
    await stream.return();
    stream.notifyAvailable();
    expect(await stream.next()).toEqual(DONE);
    expect(source.takes).toBe(0);
  });
});

describe('a stream that ends by itself', () => {
  const error = new Error('too slow');

  it('rejects the pending pull with its error, and is done after that', async () => {
    const [pull] = await waitingPull();
    const second = stream.next();
    stream.end(error);
    expect(await errorOf(pull!)).toBe(error);
    expect(await second).toEqual(DONE);
    expect(await stream.next()).toEqual(DONE);
    expect(source.closedTimes).toBe(1);
  });

  it('rejects the next pull once when none is pending', async () => {
    stream.end(error);
    expect(await errorOf(stream.next())).toBe(error);
    expect(await stream.next()).toEqual(DONE);
    expect(source.takes).toBe(0);
  });

  it('rejects the pull whose take was running once, also when the take fails', async () => {
    const pull = stream.next();
    await source.taken();
    stream.end(error);
    await source.fail(new Error('too late'));
    expect(await errorOf(pull)).toBe(error);
    expect(await stream.next()).toEqual(DONE);
  });

  it('keeps its first error', async () => {
    stream.end(error);
    stream.end(new Error('second'));
    expect(await errorOf(stream.next())).toBe(error);
  });

  it('is done without an error when it ends without one', async () => {
    const [pull] = await waitingPull();
    stream.end();
    expect(await pull).toEqual(DONE);
  });

  it('rejects once with the error that its source throws', async () => {
    const pull = stream.next();
    const second = stream.next();
    await source.fail(error);
    expect(await errorOf(pull)).toBe(error);
    expect(await second).toEqual(DONE);
    expect(source.closedTimes).toBe(1);
    expect(source.takes).toBe(1);
  });
});

it('a stream may be ended by its source during a take', async () => {
  const ending: PullStream<string> = new PullStream<string>({
    takeNext: () => {
      ending.end();
      return 'not delivered';
    },
    onClosed: () => undefined,
  });
  expect(await ending.next()).toEqual(DONE);
});
