/** Options that describe the policy of a new database: device groups and rows of the platform table. */
import { z } from 'zod';
import type { PlatformGroup, PlatformPolicyChange } from '../core/policy.ts';
import { defineValueType, type JsonValue, type ValueType } from './value-types.ts';
import { PLATFORMS } from '../core/enums.ts';

const GROUPS_EXPECTED = `groups such as ANDROID,IPHONE;WEB, of the platforms ${PLATFORMS.join(', ')}`;

const splitGroups = (input: string): string[][] =>
  input.trim() === ''
    ? []
    : input.split(';').map((group) => group.split(',').map((platform) => platform.trim().toUpperCase()));

/** `ANDROID,IPHONE;WEB`: platforms separated by commas, groups by semicolons. An empty text is no group. */
export const deviceGroupsType: ValueType<readonly PlatformGroup[]> = defineValueType({
  label: 'groups',
  schema: z
    .string()
    .transform(splitGroups)
    .pipe(z.array(z.array(z.enum(PLATFORMS, { error: GROUPS_EXPECTED })))),
  formatValue: (groups) => groups.map((group) => group.join(',')).join(';'),
});

// Only the form is checked here. The policy itself checks ranges, and values against each other.
const rowSchema = z.strictObject({
  platform: z.enum(PLATFORMS),
  canBePushOnline: z.boolean().optional(),
  heartbeatIntervalMs: z.number().optional(),
  heartbeatTimeoutMs: z.number().optional(),
  backgroundTimeoutMs: z.number().nullable().optional(),
  disconnectGraceMs: z.number().optional(),
  maxInstances: z.number().optional(),
});

const rowsExpected = (reason: string): string =>
  `a JSON array of objects with the keys ${Object.keys(rowSchema.shape).join(', ')} (${reason})`;

/** `[0].platform: Invalid option …`: where in the JSON value, and what is wrong there. */
const describeIssue = ({ path, message }: z.core.$ZodIssue): string => {
  const place = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('');
  return `${place.replace(/^\./, '') || 'the whole value'}: ${message}`;
};

/** A JSON array of changes to the platform preset. The keys are those of PlatformPolicyInput. */
export const platformRulesType: ValueType<readonly PlatformPolicyChange[]> = defineValueType({
  label: 'json',
  schema: z.string().transform((input, context): readonly PlatformPolicyChange[] => {
    const fail = (reason: string) => {
      context.addIssue({ code: 'custom', message: rowsExpected(reason) });
      return z.NEVER;
    };
    let json: unknown;
    try {
      json = JSON.parse(input);
    } catch (error) {
      return fail(error instanceof Error ? error.message : String(error));
    }
    const rows = z.array(rowSchema).safeParse(json);
    return rows.success ? rows.data : fail(rows.error.issues.map(describeIssue).join('; '));
  }),
  // An omitted key may be undefined, which JSON does not have.
  formatValue: (rows) => JSON.parse(JSON.stringify(rows)) as JsonValue,
});
