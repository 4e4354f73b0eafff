/**
 * The kinds of value that an option can have. A zod schema reads the text; `formatValue` shows the value again.
 * This file does not know which options exist.
 */
import { z } from 'zod';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export type ParseResult<T> =
  /** `warning` completes a sentence that begins with the name. */
  | { readonly ok: true; readonly value: T; readonly warning?: string }
  /**
   * `expected` completes the sentence "NAME is "…", but must be …". With `problem`, the sentence is "NAME <problem>, but
   * must be …", which does not show the value.
   */
  | { readonly ok: false; readonly expected: string; readonly problem?: string };

export interface ValueType<T> {
  /** The placeholder in help, such as `<port>`. */
  readonly label: string;
  /** True: a flag without a value means `true`, and the flag also has a `--no-` form that means `false`. */
  readonly isFlagValueOptional?: boolean;
  parseText(text: string): ParseResult<T>;
  /** Parses the content of a file. Only secrets have it. */
  parseFile?(bytes: Buffer): ParseResult<T>;
  /** The value as `porchlight config` shows it. A secret is masked. */
  formatValue(value: T): JsonValue;
}

export const SECRET_MASK = '********';

interface ValueTypeDefinition<T> {
  readonly label: string;
  readonly isFlagValueOptional?: boolean;
  /** The message of each issue completes the sentence "NAME is "…", but must be …". */
  readonly schema: z.ZodType<T, string>;
  readonly formatValue: (value: T) => JsonValue;
}

export const defineValueType = <T>(definition: ValueTypeDefinition<T>): ValueType<T> => ({
  label: definition.label,
  isFlagValueOptional: definition.isFlagValueOptional ?? false,
  parseText: (input) => {
    const parsed = definition.schema.safeParse(input);
    if (!parsed.success) return { ok: false, expected: parsed.error.issues[0]?.message ?? 'a valid value' };
    return { ok: true, value: parsed.data };
  },
  formatValue: definition.formatValue,
});

// A control character in a name or path is a quoting mistake. It could also forge lines of a log.
const CONTROL = /\p{Cc}/u;

/** Any text of at least one character, without control characters. */
export const textType = (label: string): ValueType<string> =>
  defineValueType({
    label,
    schema: z.string().refine((input) => input.trim() !== '' && !CONTROL.test(input), {
      error: 'a text that is not empty, without control characters',
    }),
    formatValue: (value) => value,
  });

/** A whole number in decimal digits, from `min` to `max`, both included. */
export const wholeNumberType = (label: string, min: number, max: number): ValueType<number> => {
  const error = `a whole number from ${min} to ${max}`;
  return defineValueType({
    label,
    schema: z
      .string()
      .regex(/^\d{1,15}$/, { error })
      .transform(Number)
      .pipe(z.number().min(min, { error }).max(max, { error })),
    formatValue: (value) => value,
  });
};

export const booleanTextSchema = z.stringbool({
  truthy: ['true', '1', 'yes', 'on'],
  falsy: ['false', '0', 'no', 'off'],
  error: 'true or false',
});

export const booleanType: ValueType<boolean> = defineValueType({
  label: 'boolean',
  schema: booleanTextSchema,
  formatValue: (value) => value,
});

/**
 * One of several words. Case is ignored, and `_` may replace `-`.
 * @param words the words that a person writes, each with its value.
 */
export const choiceType = <T extends string>(words: Readonly<Record<string, T>>): ValueType<T> => {
  const names = Object.keys(words);
  const valueOf = new Map(Object.entries(words));
  return defineValueType<T>({
    label: names.join('|'),
    schema: z
      .string()
      .transform((input) => valueOf.get(input.toLowerCase().replaceAll('_', '-')))
      .refine((value) => value !== undefined, { error: `one of ${names.join(', ')}` }),
    formatValue: (value) => names.find((name) => words[name] === value) ?? value,
  });
};

const UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
type Unit = keyof typeof UNITS;

/** The shortest form of a duration: 90000 is "90s", 604800000 is "7d". */
export const formatDuration = (durationMs: number): string => {
  for (const [unit, unitMs] of Object.entries(UNITS)) {
    if (durationMs >= unitMs && durationMs % unitMs === 0) return `${durationMs / unitMs}${unit}`;
  }
  return `${durationMs}ms`;
};

const DURATION = /^(\d{1,15})(ms|s|m|h|d)$/;

/** A whole number with a unit (ms, s, m, h or d), in milliseconds, from `minMs` to `maxMs`, both included. */
export const durationType = (minMs: number, maxMs: number): ValueType<number> => {
  const error =
    'a whole number with a unit (ms, s, m, h or d) ' +
    `from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as 90s or 7d`;
  return defineValueType({
    label: 'duration',
    schema: z
      .string()
      .regex(DURATION, { error })
      .transform((input) => {
        const [, count, unit] = DURATION.exec(input) ?? [];
        return Number(count) * UNITS[unit as Unit];
      })
      .pipe(z.number().min(minMs, { error }).max(maxMs, { error })),
    formatValue: formatDuration,
  });
};

/** The path of a database file. ':memory:' is rejected, because acknowledged changes must survive a crash. */
export const databaseFileType: ValueType<string> = defineValueType({
  label: 'path',
  schema: z
    .string()
    .refine((input) => input.trim() !== '' && input !== ':memory:', {
      error: 'the path of a file: a database in memory loses acknowledged changes',
    })
    .refine((input) => !input.startsWith('file:'), { error: 'a plain path, not a file: URL' })
    .refine((input) => !CONTROL.test(input), { error: 'a path without control characters' })
    .refine((input) => !/[\\/]$/.test(input), { error: 'the path of a file, not of a directory' }),
  formatValue: (value) => value,
});

/**
 * Masks the user name, the password and the query of a URL in a text, which may contain credentials. A text without `//`
 * is not changed.
 */
export const maskUrlSecrets = (text: string): string =>
  text.replace(/\/\/.*@/, `//${SECRET_MASK}@`).replace(/(\/\/[^?#]*)\?.+/s, `$1?${SECRET_MASK}`);

const isHttpUrl = (input: string): boolean =>
  URL.canParse(input) && ['http:', 'https:'].includes(new URL(input).protocol);

/** An http or https URL without a user name or password. */
export const httpUrlType: ValueType<URL> = defineValueType({
  label: 'url',
  schema: z
    .string()
    .refine(isHttpUrl, { error: 'an http or https URL' })
    .transform((input) => new URL(input))
    // fetch rejects such a URL, and `porchlight config` would print the password.
    .refine(({ username, password }) => username === '' && password === '', {
      error: 'a URL without a user name or password in it',
    }),
  // A query may contain a token of the publisher.
  formatValue: (value) => maskUrlSecrets(value.href),
});

/** Splits a list, trims each item and removes empty ones. */
export const splitList = (input: string, separator: RegExp | string = ','): string[] =>
  input
    .split(separator)
    .map((item) => item.trim())
    .filter((item) => item !== '');

export const removeDuplicates = <T>(items: readonly T[]): readonly T[] => [...new Set(items)];
