/** Valid policy changes, with values for which the timeouts interact. */
import fc from 'fast-check';
import type { PolicyChange } from '../../../../src/core/policy.ts';
import { ALL, DAY, SECOND } from '../tables.ts';
import { PLATFORM_PRESETS, type Platform } from '../../../../src/core/enums.ts';

/** Each platform goes to one of three groups or to none. */
const groups: fc.Arbitrary<readonly (readonly Platform[])[]> = fc
  .array(fc.nat({ max: 3 }), { minLength: ALL.length, maxLength: ALL.length })
  .map((chosen) =>
    [0, 1, 2].map((group) => ALL.filter((_, index) => chosen[index] === group)).filter((group) => group.length > 0),
  );

const multiDevice: fc.Arbitrary<NonNullable<PolicyChange['multiDevice']>> = fc.oneof(
  fc.record({ mode: fc.constantFrom('SINGLE' as const, 'DUAL' as const, 'TRIPLE' as const, 'MULTI' as const) }),
  fc.record({ mode: fc.constant('CUSTOM' as const), groups }),
);

const cells = fc
  .record(
    {
      platform: fc.constantFrom(...ALL),
      canBePushOnline: fc.boolean(),
      heartbeatTimeoutMs: fc.constantFrom(SECOND, 5 * SECOND, 60 * SECOND),
      backgroundTimeoutMs: fc.constantFrom(null, SECOND, 5 * SECOND, 90 * SECOND),
      disconnectGraceMs: fc.constantFrom(0, 1, 5 * SECOND, 120 * SECOND),
      maxInstances: fc.integer({ min: 1, max: 3 }),
    },
    { requiredKeys: ['platform'] },
  )
  // The interval must be less than every possible timeout.
  .map((row) => ('heartbeatTimeoutMs' in row ? { ...row, heartbeatIntervalMs: 500 } : row));

export const policyChange: fc.Arbitrary<PolicyChange> = fc.record(
  {
    multiDevice,
    preset: fc.constantFrom(...PLATFORM_PRESETS),
    platforms: fc.uniqueArray(cells, { maxLength: ALL.length, selector: ({ platform }) => platform }),
    pushOnlineExpiryMs: fc.constantFrom(SECOND, 90 * SECOND, 7 * DAY),
  },
  { requiredKeys: [] },
);
