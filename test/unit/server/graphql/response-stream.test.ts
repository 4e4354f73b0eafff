import type { ExecutionResult } from 'graphql';
import { expect, test, vi } from 'vitest';
import { ResponseStream } from '../../../../src/server/graphql/response-stream.ts';

const done = { done: true, value: undefined } as const;
const failure = (error: unknown): ExecutionResult => ({ data: { failed: String(error) } });

const streamOf = (next: () => Promise<IteratorResult<ExecutionResult>>) => {
  const returned = vi.fn(() => Promise.resolve(done));
  const closed = vi.fn();
  const source: AsyncIterableIterator<ExecutionResult> = {
    next,
    return: returned,
    [Symbol.asyncIterator]: () => source,
  };
  return {
    stream: new ResponseStream({
      source,
      toResult: (event) => event as ExecutionResult,
      toErrorResult: failure,
      onClosed: closed,
    }),
    returned,
    closed,
  };
};

const forEver = () => new Promise<never>(() => undefined);

test('an end is the last word, also to a pull that its source leaves waiting', async () => {
  const { stream, returned, closed } = streamOf(forEver);
  const waiting = stream.next();
  stream.endWithError('over');
  expect(await waiting).toEqual({ done: false, value: failure('over') });
  expect(await stream.next()).toEqual(done);
  expect([returned.mock.calls.length, closed.mock.calls.length]).toEqual([1, 1]);
});

test('an end is kept for a reader who comes late, and is the first one', async () => {
  const { stream } = streamOf(forEver);
  stream.endWithError('over');
  stream.endWithError('again');
  expect(await stream.next()).toEqual({ done: false, value: failure('over') });
  expect(await stream.next()).toEqual(done);
});

test('a source that fails is told of, once', async () => {
  const { stream, closed } = streamOf(() => Promise.reject(new Error('broken')));
  expect(await stream.next()).toEqual({ done: false, value: failure(new Error('broken')) });
  expect(await stream.next()).toEqual(done);
  expect(closed).toHaveBeenCalledTimes(1);
});

test('a reader who returns is told nothing more, and her pull does not wait', async () => {
  const { stream, returned, closed } = streamOf(forEver);
  const waiting = stream.next();
  expect(await stream.return()).toEqual(done);
  expect(await waiting).toEqual(done);
  stream.endWithError('over');
  expect(await stream.next()).toEqual(done);
  await stream.return();
  expect([returned.mock.calls.length, closed.mock.calls.length]).toEqual([1, 1]);
});

test('what a source still tells after the end goes nowhere', async () => {
  let tell: ((result: IteratorResult<ExecutionResult>) => void) | undefined;
  const { stream } = streamOf(() => new Promise((resolve) => (tell = resolve)));
  const waiting = stream.next();
  stream.endWithError('over');
  tell?.({ done: false, value: { data: { late: true } } });
  expect(await waiting).toEqual({ done: false, value: failure('over') });
  expect(await stream.next()).toEqual(done);
});
