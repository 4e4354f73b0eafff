/** Resolves in a later turn of the event loop, after pending I/O has been handled. */
export const yieldToEventLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
