/** Random times of commands: immediately, up to days later, and mostly around deadlines. */
import fc from 'fast-check';
import { DAY, MINUTE, SECOND } from '../tables.ts';
import { firstDeadline } from './oracle-session.ts';
import type { ModelUser, ModelWorld } from './model-world.ts';

export interface Moment {
  readonly text: string;
  readonly wait: (world: ModelWorld, user: ModelUser) => number;
}

const after = (ms: number): Moment => ({ text: ms === 0 ? '' : `(${ms} ms later) `, wait: () => ms });

/** Relative to a deadline of the oracle, not of the state machine. Never in the past. */
const around = (which: number, offset: number): Moment => ({
  text: `(deadline no. ${which + 1}${offset < 0 ? '' : '+'}${offset} ms) `,
  wait: (world, user) => {
    const dates = user.oracle.sessions.map(firstDeadline).toSorted((one, other) => one - other);
    const at = dates[Math.min(which, dates.length - 1)];
    return at === undefined ? 0 : Math.max(0, at + offset - world.now);
  },
});

export const moment: fc.Arbitrary<Moment> = fc.oneof(
  { weight: 10, arbitrary: fc.constant(after(0)) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: SECOND }).map(after) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 10 * MINUTE }).map(after) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 8 * DAY }).map(after) },
  {
    weight: 5,
    arbitrary: fc.tuple(fc.nat({ max: 2 }), fc.constantFrom(0, -1, 1)).map(([which, offset]) => around(which, offset)),
  },
);
