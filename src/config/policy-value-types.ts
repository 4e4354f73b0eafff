/** How the seed of the policy is written in an option: device groups and rows of the platform table. */
import { z } from 'zod';
import type { PlatformGroup, PlatformPolicyChange } from '../core/policy.ts';
import type { Json, Parsed, ValueType } from './value-types.ts';
import { PLATFORMS, type Platform } from '../core/enums.ts';

const isPlatform = (name: string): name is Platform => (PLATFORMS as readonly string[]).includes(name);

/** `ANDROID,IPHONE;WEB`: platforms by commas, groups by semicolons. Empty: no group. */
export const deviceGroups: ValueType<readonly PlatformGroup[]> = {
  label: 'groups',
  parse: (input) => {
    if (input.trim() === '') return { ok: true, value: [] };
    const groups = input.split(';').map((group) => group.split(',').map((name) => name.trim().toUpperCase()));
    const known = groups.map((group) => group.filter(isPlatform));
    return groups.every((group, index) => group.length === known[index]?.length)
      ? { ok: true, value: known }
      : {
          ok: false,
          expected: `groups such as ANDROID,IPHONE;WEB, of the platforms ${PLATFORMS.join(', ')}`,
        };
  },
  show: (value) => value.map((group) => group.join(',')).join(';'),
};

// Only form is checked here: ranges, and one cell against another, are the policy's own business.
const rowSchema = z.strictObject({
  platform: z.enum(PLATFORMS),
  canBePushOnline: z.boolean().optional(),
  heartbeatIntervalMs: z.number().optional(),
  heartbeatTimeoutMs: z.number().optional(),
  backgroundTimeoutMs: z.number().nullable().optional(),
  disconnectGraceMs: z.number().optional(),
  maxInstances: z.number().optional(),
});

const KEYS = Object.keys(rowSchema.shape).join(', ');

const parseRows = (input: string): Parsed<readonly PlatformPolicyChange[]> => {
  let json: unknown;
  try {
    json = JSON.parse(input);
  } catch (error) {
    return { ok: false, expected: `a JSON array of objects with the keys ${KEYS} (${reason(error)})` };
  }
  const rows = z.array(rowSchema).safeParse(json);
  if (rows.success) return { ok: true, value: rows.data };
  const issues = rows.error.issues.map((issue) => {
    const where = issue.path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`));
    return `${where.join('').replace(/^\./, '') || 'the whole'}: ${issue.message}`;
  });
  return {
    ok: false,
    expected: `a JSON array of objects with the keys ${KEYS} (${issues.join('; ')})`,
  };
};

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A JSON array of rows to be laid over the preset; the keys are those of PlatformPolicyInput. */
export const platformRows: ValueType<readonly PlatformPolicyChange[]> = {
  label: 'json',
  parse: parseRows,
  // A cell that is left out is undefined or absent; JSON has neither.
  show: (value) => JSON.parse(JSON.stringify(value)) as Json,
};
