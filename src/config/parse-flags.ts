/** Parses the command line: the flags of all options, and the flags of one command. Unknown flags are rejected. */
import { parseArgs } from 'node:util';
import { UsageError } from './errors.ts';
import { findClosestMatch } from './did-you-mean.ts';
import { OPTION_NAMES, OPTIONS, type Option, type OptionName } from './options.ts';

/** The text of each option that was set by a flag. */
export type OptionFlags = Readonly<Partial<Record<OptionName, string>>>;

/** A flag of one command that is not an option of the server. */
export interface CommandFlag {
  readonly type: 'string' | 'boolean';
  /** The placeholder for the value in help, such as `<id>`. */
  readonly valueLabel?: string;
  readonly description: string;
}

export interface CommandLine {
  readonly optionFlags: OptionFlags;
  /** The flags of the command that were given, with their values in order. A boolean flag has no values. */
  readonly commandFlags: ReadonlyMap<string, readonly string[]>;
  /** The arguments that are not flags: names of files. */
  readonly positionals: readonly string[];
}

const isBoolean = (option: Option): boolean => option.type.label === 'boolean';

/** Maps a flag to its option. `fixed` is the value of a flag without a value, such as `--graphiql` and `--no-graphiql`. */
const mapOptionFlags = (): ReadonlyMap<string, { name: OptionName; fixed: string | null }> => {
  const byFlag = new Map<string, { name: OptionName; fixed: string | null }>();
  for (const name of OPTION_NAMES) {
    const option: Option = OPTIONS[name];
    if (option.flag === null) continue;
    byFlag.set(option.flag, { name, fixed: isBoolean(option) ? 'true' : null });
    if (isBoolean(option) || option.type.isFlagValueOptional) byFlag.set(`no-${option.flag}`, { name, fixed: 'false' });
  }
  return byFlag;
};

const OPTION_FLAGS = mapOptionFlags();

/**
 * Parses `argv` without the name of the command. If an option is given twice, the last one counts.
 * @param maxPositionals the number of arguments that are not flags.
 * @throws UsageError for an unknown flag, a missing value, or too many arguments.
 */
export const parseFlags = (
  argv: readonly string[],
  commandFlags: Readonly<Record<string, CommandFlag>> = {},
  maxPositionals = 0,
): CommandLine => {
  rejectSecretFlags(argv);
  const flags: Partial<Record<OptionName, string>> = {};
  const commandValues = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokenize(argv, commandFlags, maxPositionals > 0)) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const target = OPTION_FLAGS.get(token.name);
    if (target !== undefined) flags[target.name] = target.fixed ?? token.value ?? '';
    else {
      const values = commandValues.get(token.name) ?? [];
      if (token.value !== undefined) values.push(token.value);
      commandValues.set(token.name, values);
    }
  }
  const unexpected = positionals[maxPositionals];
  if (unexpected !== undefined) throw new UsageError(`Unexpected argument ${JSON.stringify(unexpected)}.`);
  return { optionFlags: flags, commandFlags: commandValues, positionals };
};

const tokenize = (
  argv: readonly string[],
  commandFlags: Readonly<Record<string, CommandFlag>>,
  allowPositionals: boolean,
) => {
  const options: Record<string, { type: 'string' | 'boolean'; multiple: true; short?: string }> = {};
  for (const [name, { fixed }] of OPTION_FLAGS) {
    options[name] = { type: fixed === null ? 'string' : 'boolean', multiple: true };
  }
  for (const [name, flag] of Object.entries(commandFlags)) {
    options[name] = { type: flag.type, multiple: true, ...(name === 'help' && { short: 'h' }) };
  }
  try {
    return parseArgs({ args: addOptionalValues(argv), options, strict: true, tokens: true, allowPositionals }).tokens;
  } catch (error) {
    throw toUsageError(error, Object.keys(options));
  }
};

const FLAGS_WITH_OPTIONAL_VALUE = OPTION_NAMES.map((name): Option => OPTIONS[name])
  .filter(({ type }) => type.isFlagValueOptional)
  .map(({ flag }) => `--${flag}`);

/** Adds `=true` to a flag with an optional value when no value follows. */
const addOptionalValues = (argv: readonly string[]): string[] =>
  argv.map((argument, index) => {
    const isAlone = argv[index + 1]?.startsWith('-') ?? true;
    return isAlone && FLAGS_WITH_OPTIONAL_VALUE.includes(argument) ? `${argument}=true` : argument;
  });

const toUsageError = (error: unknown, known: readonly string[]): unknown => {
  if (!(error instanceof Error && 'code' in error)) return error;
  if (error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const flag = /'(-[^']*)'/.exec(error.message)?.[1] ?? 'a flag';
    const suggestion = findClosestMatch(flag.replace(/^-+/, ''), known);
    return new UsageError(`Unknown option ${flag}; the closest known one is --${suggestion}.`);
  }
  return String(error.code).startsWith('ERR_PARSE_ARGS_') ? new UsageError(error.message) : error;
};

/** Rejects a flag for a secret with an explanation. The message does not repeat the value. */
const rejectSecretFlags = (argv: readonly string[]): void => {
  for (const name of OPTION_NAMES) {
    const { isSecret, env } = OPTIONS[name];
    const flag = `--${env.replace('PORCHLIGHT_', '').toLowerCase().replaceAll('_', '-')}`;
    if (!isSecret || !argv.some((word) => word === flag || word.startsWith(`${flag}=`))) continue;
    throw new UsageError(
      `There is no ${flag}, because every user of the machine can read a command line.\n` +
        `Set ${env}, or set ${env}_FILE to the path of a file with the secret.`,
    );
  }
};
