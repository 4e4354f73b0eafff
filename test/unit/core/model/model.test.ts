/**
 * The state machine against an oracle, over random lives. A failure prints the seed, the fewest
 * commands that still fail, and each of them as it ran; `PORCHLIGHT_MODEL_SEED` runs that seed again.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PolicyChange } from '../../../../src/core/policy.ts';
import { commands, type Act } from './commands.ts';
import { policyChange } from './policy-changes.ts';
import { shortest } from './shortest-path.ts';
import { ModelWorld } from './model-world.ts';

/** A mutant of core need only be caught, and many times over: few sequences, always the same ones. */
const MUTATED = process.env.STRYKER_MUTATOR_WORKER !== undefined;
const RUNS = Number(process.env.PORCHLIGHT_MODEL_RUNS ?? (MUTATED ? 300 : 15_000));
const SEED = process.env.PORCHLIGHT_MODEL_SEED ?? (MUTATED ? '1' : undefined);

/** Every way in which a session can change. */
const WAYS = [
  'LOGIN ONLINE',
  'RECONNECT ONLINE',
  'LOGOUT OFFLINE',
  'DISCONNECT PUSH_ONLINE',
  'DISCONNECT OFFLINE',
  'HEARTBEAT_TIMEOUT PUSH_ONLINE',
  'HEARTBEAT_TIMEOUT OFFLINE',
  'BACKGROUND_TIMEOUT PUSH_ONLINE',
  'BACKGROUND_TIMEOUT OFFLINE',
  'PUSH_EXPIRED OFFLINE',
  'KICKED OFFLINE',
  'REPLACED OFFLINE',
  'REVOKED OFFLINE',
  'CUSTOM_STATUS ONLINE',
];

const live = (versionFloor: number, policy: PolicyChange, acts: readonly Act[]): ModelWorld => {
  const world = new ModelWorld(versionFloor);
  world.changePolicy(policy);
  for (const act of acts) act.run(world);
  return world;
};

const brokenRule = (...life: Parameters<typeof live>): string | null => {
  try {
    live(...life);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

describe('random lives of several users', () => {
  const met = new Map<string, number>();

  it(`hold every rule of presence (${RUNS} sequences)`, { timeout: 300_000 }, () => {
    const property = fc.property(fc.constantFrom(0, 41), policyChange, commands, (versionFloor, policy, acts) => {
      for (const [way, times] of live(versionFloor, policy, acts).met) met.set(way, (met.get(way) ?? 0) + times);
    });
    const parameters = { numRuns: RUNS, endOnFailure: MUTATED, ...(SEED === undefined ? {} : { seed: Number(SEED) }) };
    const result = fc.check(property, parameters);
    if (!result.failed) return;
    if (result.counterexample === null) throw new Error(fc.defaultReportMessage(result));
    const [versionFloor, policy, found] = result.counterexample;
    const fewest = shortest(found, (acts) => brokenRule(versionFloor, policy, acts) !== null);
    throw new Error(
      [
        `Found after ${result.numRuns} sequences, seed ${result.seed}. It takes:`,
        ...fewest.map((act) => `  ${act.toString()}`),
        brokenRule(versionFloor, policy, fewest) ?? 'It does not fail twice.',
      ].join('\n'),
    );
  });

  it('met every way in which a session changes, and no other', () => {
    expect([...met.keys()].toSorted()).toEqual(WAYS.toSorted());
  });
});

it('a failure is told by the fewest commands that still fail', () => {
  const fails = (items: readonly number[]) => items.includes(3) && items.includes(5) && items.includes(1);
  expect(shortest([1, 2, 3, 4, 5, 6, 5, 3], fails)).toEqual([1, 3, 5]);
});
