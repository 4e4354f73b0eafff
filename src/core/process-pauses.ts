/**
 * Process pauses: times in which the server itself did not run, because its process was stopped or its event loop was
 * blocked. It could not receive activity in that time, so timeouts are extended by the length of the pauses.
 */
import type { Millis } from './ids.ts';

export interface ProcessPause {
  readonly from: Millis;
  readonly until: Millis;
}

/** In ascending order; no two overlap. At most `MAX_PAUSES`. */
export type ProcessPauses = readonly ProcessPause[];

export const NO_PAUSES: ProcessPauses = [];

/** Above this number, the two oldest pauses are merged into one. */
export const MAX_PAUSES = 1_000;

/** How long the server was paused since that time, in milliseconds. */
export const pausedMsSince = (pauses: ProcessPauses, since: Millis): number => {
  let pausedMs = 0;
  for (let index = pauses.length - 1; index >= 0; index--) {
    const { from, until } = pauses[index] as ProcessPause;
    if (until <= since) break;
    pausedMs += until - Math.max(from, since);
  }
  return pausedMs;
};

/** Appends a pause. It must not start before the last one; if it overlaps or touches the last one, both are merged. */
export const addPause = (pauses: ProcessPauses, pause: ProcessPause): ProcessPauses => {
  const last = pauses.at(-1);
  if (last !== undefined && last.until >= pause.from) {
    return [...pauses.slice(0, -1), { from: last.from, until: pause.until }];
  }
  const [first, second, ...rest] = pauses;
  if (pauses.length < MAX_PAUSES || first === undefined || second === undefined) return [...pauses, pause];
  // The merged pause includes the time between the two: a timeout may become late, but never early.
  return [{ from: first.from, until: second.until }, ...rest, pause];
};
