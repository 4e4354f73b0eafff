/** Abstracts waiting, so that tests can control time. */
export interface Timers {
  /**
   * Resolves after about `ms`, or as soon as the signal is aborted. Never rejects. It may resolve early, so the caller
   * must read the clock again.
   */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** The longest delay of setTimeout, about 24 days. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemTimers: Timers = {
  wait: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, Math.min(ms, MAX_TIMEOUT_MS));
      signal.addEventListener('abort', finish);
    }),
};
