/** How far a long command has come, on stderr: one line that is rewritten on a terminal, one a second elsewhere. */

export interface ProgressLine {
  /** @param done from 0 to 1. @param what further words, such as a count. */
  update(done: number, what?: string): void;
  /** Leaves a clean line behind. */
  clear(): void;
}

/** The part of a stream that is used. */
interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const ON_TERMINAL_MS = 100;
const ELSEWHERE_MS = 1_000;
const ERASE_LINE = '\r\u001b[2K';

/** Says nothing where nobody looks, unless it is `wanted`. @param now milliseconds that only rise. */
export const createProgressLine = (out: Output, wanted: boolean, label: string, now: () => number): ProgressLine => {
  const terminal = out.isTTY === true;
  if (!terminal && !wanted) return { update: () => undefined, clear: () => undefined };
  let next = now();
  let shown = false;
  return {
    update: (done, what = '') => {
      if (now() < next) return;
      next = now() + (terminal ? ON_TERMINAL_MS : ELSEWHERE_MS);
      const line = `${label}: ${String(Math.floor(done * 100)).padStart(3)} %${what === '' ? '' : `, ${what}`}`;
      out.write(terminal ? `${ERASE_LINE}${line}` : `${line}\n`);
      shown = true;
    },
    clear: () => {
      if (terminal && shown) out.write(ERASE_LINE);
    },
  };
};
