/** How time is waited for: tests let it pass themselves. */
export interface Timers {
  /** Resolves after about so many ms, or as soon as the signal is aborted; never rejects. Whoever waits looks at the clock again. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** A timer's most, about 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

export const timers: Timers = {
  wait: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const over = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', over);
        resolve();
      };
      const timer = setTimeout(over, Math.min(ms, LONGEST_MS));
      signal.addEventListener('abort', over);
    }),
};
