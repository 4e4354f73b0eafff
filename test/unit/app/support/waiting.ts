/** What tests of asynchronous code need to say: not yet, now, and with which fault. */
import type { PullStream } from '../../../../src/app/presence/pull-stream.ts';
import { DomainError, type ErrorDetails } from '../../../../src/core/errors.ts';

export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export const deferred = <T>(): Deferred<T> => {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
};

/** Everything that can go on without new input has gone on: all microtasks, however many, have run. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Does it still wait, when everything that could go on has gone on? */
export const isPending = async (promise: Promise<unknown>): Promise<boolean> => {
  let pending = true;
  const done = () => {
    pending = false;
  };
  promise.then(done, done);
  await settled();
  return pending;
};

/** What the stream tells next; fails when it is done. */
export const nextOf = async <T>(stream: PullStream<T>): Promise<T> => {
  const result = await stream.next();
  if (result.done === true) throw new Error('The stream is done.');
  return result.value;
};

/** The error that it ends with; fails when it ends well. */
export const errorOf = async (promise: Promise<unknown>): Promise<Error> => {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error('What was thrown is no Error.', { cause: error });
  }
  throw new Error(`No error came, but ${JSON.stringify(value)}.`);
};

/** The fault that it is refused with. */
export const faultOf = async (promise: Promise<unknown>): Promise<ErrorDetails> => {
  const error = await errorOf(promise);
  if (error instanceof DomainError) return error.details;
  throw error;
};

/** The refusal that a call throws at once. */
export const refusalOf = (call: () => unknown): DomainError => {
  try {
    call();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error('Nothing was refused.');
};
