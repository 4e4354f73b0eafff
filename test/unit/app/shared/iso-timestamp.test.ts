import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatIsoTimestamp } from '../../../../src/app/shared/iso-timestamp.ts';

const FIRST = -8.64e15;
const LAST = 8.64e15;

test('a timestamp is formatted as Date formats it', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.integer({ min: 1.7e12, max: 1.9e12 }), fc.integer({ min: FIRST, max: LAST })),
      fc.integer({ min: -86_400_001, max: 86_400_001 }),
      (moment, further) => {
        expect(formatIsoTimestamp(moment)).toBe(new Date(moment).toISOString());
        const other = Math.min(Math.max(moment + further, FIRST), LAST);
        expect(formatIsoTimestamp(other)).toBe(new Date(other).toISOString());
      },
    ),
    { numRuns: 2_000 },
  );
  for (const moment of [0, -1, FIRST, LAST, 951_782_400_000, 253_402_300_799_999, 253_402_300_800_000]) {
    expect(formatIsoTimestamp(moment)).toBe(new Date(moment).toISOString());
  }
});

test('a value outside the range of Date is rejected', () => {
  expect(() => formatIsoTimestamp(LAST + 86_400_000)).toThrow(RangeError);
  expect(() => formatIsoTimestamp(Number.NaN)).toThrow(RangeError);
});
