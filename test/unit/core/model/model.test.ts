/**
 * Compares the state machine with an oracle for random histories. A failure prints the seed and the shortest sequence of
 * steps that still fails. `PORCHLIGHT_MODEL_SEED` runs that seed again.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PolicyChange } from '../../../../src/core/policy.ts';
import { commands, type ModelStep } from './commands.ts';
import { policyChange } from './policy-changes.ts';
import { ModelWorld } from './model-world.ts';

/** Mutation testing runs the model very often, so it uses fewer and always the same sequences. */
const MUTATED = process.env.STRYKER_MUTATOR_WORKER !== undefined;
const RUNS = Number(process.env.PORCHLIGHT_MODEL_RUNS ?? (MUTATED ? 300 : 15_000));
const SEED = process.env.PORCHLIGHT_MODEL_SEED ?? (MUTATED ? '1' : undefined);

/** Every possible transition of a session: event reason and new status. */
const TRANSITIONS = [
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

const runSteps = (versionFloor: number, policy: PolicyChange, steps: readonly ModelStep[]): ModelWorld => {
  const world = new ModelWorld(versionFloor);
  world.changePolicy(policy);
  for (const step of steps) step.run(world);
  return world;
};

const findBrokenRule = (...args: Parameters<typeof runSteps>): string | null => {
  try {
    runSteps(...args);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/**
 * Shortens a failing list: removes single items for as long as the rest still fails. The result fails, but no longer
 * fails when any single item is removed.
 */
const findShortestFailure = <T>(items: readonly T[], fails: (items: readonly T[]) => boolean): readonly T[] => {
  let kept = items;
  for (let before = -1; before !== kept.length;) {
    before = kept.length;
    for (let index = kept.length - 1; index >= 0; index--) {
      const without = kept.toSpliced(index, 1);
      if (fails(without)) kept = without;
    }
  }
  return kept;
};

describe('random histories of several users', () => {
  const transitionCounts = new Map<string, number>();

  it(`hold every rule of presence (${RUNS} sequences)`, { timeout: 300_000 }, () => {
    const property = fc.property(fc.constantFrom(0, 41), policyChange, commands, (versionFloor, policy, steps) => {
      for (const [transition, times] of runSteps(versionFloor, policy, steps).transitionCounts)
        transitionCounts.set(transition, (transitionCounts.get(transition) ?? 0) + times);
    });
    const parameters = { numRuns: RUNS, endOnFailure: MUTATED, ...(SEED === undefined ? {} : { seed: Number(SEED) }) };
    const result = fc.check(property, parameters);
    if (!result.failed) return;
    if (result.counterexample === null) throw new Error(fc.defaultReportMessage(result));
    const [versionFloor, policy, found] = result.counterexample;
    const shortest = findShortestFailure(found, (steps) => findBrokenRule(versionFloor, policy, steps) !== null);
    throw new Error(
      [
        `Found after ${result.numRuns} sequences, seed ${result.seed}. Shortest failing sequence:`,
        ...shortest.map((step) => `  ${step.toString()}`),
        findBrokenRule(versionFloor, policy, shortest) ?? 'The failure is not reproducible.',
      ].join('\n'),
    );
  });

  it('include every session transition, and no other', () => {
    expect([...transitionCounts.keys()].toSorted()).toEqual(TRANSITIONS.toSorted());
  });
});

it('findShortestFailure removes every item that the failure does not need', () => {
  const fails = (items: readonly number[]) => items.includes(3) && items.includes(5) && items.includes(1);
  expect(findShortestFailure([1, 2, 3, 4, 5, 6, 5, 3], fails)).toEqual([1, 3, 5]);
});
