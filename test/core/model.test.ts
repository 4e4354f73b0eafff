/**
 * The state machine against an oracle, over random lives. A failure prints the seed, the shortest
 * sequence found, and each of its commands as it ran; `PORCHLIGHT_MODEL_SEED` runs that seed again.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commands } from './model/commands.ts';
import { policyChange } from './model/policy-changes.ts';
import { World } from './model/world.ts';

/** A mutant of core need only be caught, and many times over: few sequences, always the same ones, unshrunk. */
const MUTATED = process.env.STRYKER_MUTATOR_WORKER !== undefined;
const RUNS = Number(process.env.PORCHLIGHT_MODEL_RUNS ?? (MUTATED ? 300 : 20_000));
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

describe('random lives of several users', () => {
  const met = new Map<string, number>();

  it(`hold every rule of presence (${RUNS} sequences)`, { timeout: 300_000 }, () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 41), policyChange, commands, (versionFloor, policy, sequence) => {
        const world = new World(versionFloor);
        world.changePolicy(policy);
        fc.modelRun(() => ({ model: world, real: world }), sequence);
        for (const [way, times] of world.met) met.set(way, (met.get(way) ?? 0) + times);
      }),
      { numRuns: RUNS, endOnFailure: MUTATED, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
    );
  });

  it('met every way in which a session changes, and no other', () => {
    expect([...met.keys()].toSorted()).toEqual(WAYS.toSorted());
  });
});
