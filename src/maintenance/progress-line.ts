/** Shows the progress of a long command: one line that is rewritten on a terminal, one line per second elsewhere. */

export interface ProgressLine {
  /** @param done from 0 to 1. @param details further text, such as a count. */
  update(done: number, details?: string): void;
  /** Erases the line from a terminal. */
  clear(): void;
}

/** The part of a stream that is used. */
interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const TERMINAL_INTERVAL_MS = 100;
const LOG_INTERVAL_MS = 1_000;
const ERASE_LINE = '\r\u001b[2K';

/**
 * Writes nothing if the output is not a terminal, unless `isForced`.
 * @param now monotonic time in milliseconds.
 */
export const createProgressLine = (out: Output, isForced: boolean, label: string, now: () => number): ProgressLine => {
  const isTerminal = out.isTTY === true;
  if (!isTerminal && !isForced) return { update: () => undefined, clear: () => undefined };
  let nextAt = now();
  let isShown = false;
  return {
    update: (done, details = '') => {
      if (now() < nextAt) return;
      nextAt = now() + (isTerminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS);
      const line = `${label}: ${String(Math.floor(done * 100)).padStart(3)} %${details === '' ? '' : `, ${details}`}`;
      out.write(isTerminal ? `${ERASE_LINE}${line}` : `${line}\n`);
      isShown = true;
    },
    clear: () => {
      if (isTerminal && isShown) out.write(ERASE_LINE);
    },
  };
};
