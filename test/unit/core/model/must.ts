/** Two assertions cheap enough for millions of calls, which name the rule that broke. */
import { inspect, isDeepStrictEqual } from 'node:util';

const show = (value: unknown): string => inspect(value, { depth: 8, breakLength: 120 });

export const hold = (condition: boolean, rule: string): void => {
  if (!condition) throw new Error(`Rule broken: ${rule}`);
};

export const same = (actual: unknown, expected: unknown, rule: string): void => {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new Error(`Rule broken: ${rule}\n  should be ${show(expected)}\n  but is    ${show(actual)}`);
};
