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

const neverResolve = () => new Promise<never>(() => undefined);

test('endWithError answers a waiting next call with the error as the final result', async () => {
  const { stream, returned, closed } = streamOf(neverResolve);
  const waiting = stream.next();
  stream.endWithError('ended');
  expect(await waiting).toEqual({ done: false, value: failure('ended') });
  expect(await stream.next()).toEqual(done);
  expect([returned.mock.calls.length, closed.mock.calls.length]).toEqual([1, 1]);
});

test('endWithError keeps the first error for a later next call', async () => {
  const { stream } = streamOf(neverResolve);
  stream.endWithError('ended');
  stream.endWithError('again');
  expect(await stream.next()).toEqual({ done: false, value: failure('ended') });
  expect(await stream.next()).toEqual(done);
});

test('a failing source yields one error result and closes the stream once', async () => {
  const { stream, closed } = streamOf(() => Promise.reject(new Error('broken')));
  expect(await stream.next()).toEqual({ done: false, value: failure(new Error('broken')) });
  expect(await stream.next()).toEqual(done);
  expect(closed).toHaveBeenCalledTimes(1);
});

test('return completes a waiting next call and yields no further results', async () => {
  const { stream, returned, closed } = streamOf(neverResolve);
  const waiting = stream.next();
  expect(await stream.return()).toEqual(done);
  expect(await waiting).toEqual(done);
  stream.endWithError('ended');
  expect(await stream.next()).toEqual(done);
  await stream.return();
  expect([returned.mock.calls.length, closed.mock.calls.length]).toEqual([1, 1]);
});

test('results of the source after endWithError are dropped', async () => {
  let resolveSource: ((result: IteratorResult<ExecutionResult>) => void) | undefined;
  const { stream } = streamOf(() => new Promise((resolve) => (resolveSource = resolve)));
  const waiting = stream.next();
  stream.endWithError('ended');
  resolveSource?.({ done: false, value: { data: { late: true } } });
  expect(await waiting).toEqual({ done: false, value: failure('ended') });
  expect(await stream.next()).toEqual(done);
});
