/** Two assertions that are cheap enough for millions of calls. The error names the broken rule. */
import { inspect, isDeepStrictEqual } from 'node:util';

const show = (value: unknown): string => inspect(value, { depth: 8, breakLength: 120 });

export const assertRule = (condition: boolean, rule: string): void => {
  if (!condition) throw new Error(`Rule broken: ${rule}`);
};

export const assertEqual = (actual: unknown, expected: unknown, rule: string): void => {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new Error(`Rule broken: ${rule}\n  should be ${show(expected)}\n  but is    ${show(actual)}`);
};
