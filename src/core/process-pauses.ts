/**
 * Times in which the server itself did not listen: its process was stopped, or kept from its event loop.
 * What clients said then lay unread, or could not be said at all, so nobody was silent in them.
 */
import type { Millis } from './ids.ts';

export interface ProcessPause {
  readonly from: Millis;
  readonly until: Millis;
}

/** In order, none overlapping. */
export type ProcessPauses = readonly ProcessPause[];

export const NO_PAUSES: ProcessPauses = [];

/** More are not told apart. */
export const MAX_PAUSES = 1_000;

/** How long the server has slept since that moment, in milliseconds. */
export const pausedMsSince = (sleeps: ProcessPauses, moment: Millis): number => {
  let slept = 0;
  for (let index = sleeps.length - 1; index >= 0; index--) {
    const { from, until } = sleeps[index] as ProcessPause;
    if (until <= moment) break;
    slept += until - Math.max(from, moment);
  }
  return slept;
};

/** One more, later than all the others. */
export const addPause = (sleeps: ProcessPauses, sleep: ProcessPause): ProcessPauses => {
  const last = sleeps.at(-1);
  if (last !== undefined && last.until >= sleep.from) {
    return [...sleeps.slice(0, -1), { from: last.from, until: sleep.until }];
  }
  const [first, second, ...rest] = sleeps;
  if (sleeps.length < MAX_PAUSES || first === undefined || second === undefined) return [...sleeps, sleep];
  // The two that are longest ago, and what lies between them: so a timeout may be late, but is not early.
  return [{ from: first.from, until: second.until }, ...rest, sleep];
};
