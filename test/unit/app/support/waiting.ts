/** Helpers for tests of asynchronous code: is it pending, what does it resolve or reject with. */
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

/** Resolves when all pending microtasks have run. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Whether the promise is still pending after all microtasks have run. */
export const isPending = async (promise: Promise<unknown>): Promise<boolean> => {
  let pending = true;
  const done = () => {
    pending = false;
  };
  promise.then(done, done);
  await settled();
  return pending;
};

/** The next value of the stream. Fails when the stream is done. */
export const nextOf = async <T>(stream: PullStream<T>): Promise<T> => {
  const result = await stream.next();
  if (result.done === true) throw new Error('The stream is done.');
  return result.value;
};

/** The error that the promise rejects with. Fails when it resolves. */
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

/** The details of the DomainError that the promise rejects with. */
export const faultOf = async (promise: Promise<unknown>): Promise<ErrorDetails> => {
  const error = await errorOf(promise);
  if (error instanceof DomainError) return error.details;
  throw error;
};

/** The DomainError that a call throws synchronously. */
export const refusalOf = (call: () => unknown): DomainError => {
  try {
    call();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error('Nothing was refused.');
};
