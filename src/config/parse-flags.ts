/** The command line: flags of the table of options, and those of one command, read strictly. */
import { parseArgs } from 'node:util';
import { UsageError } from './errors.ts';
import { nearest } from './did-you-mean.ts';
import { OPTION_NAMES, OPTIONS, type Option, type OptionName } from './options.ts';

/** The text given for each option that was given as a flag. */
export type Flags = Readonly<Partial<Record<OptionName, string>>>;

/** A flag that belongs to one command and is no option of the server. */
export interface CommandFlag {
  readonly type: 'string' | 'boolean';
  /** What stands for the value in help: `<id>`. */
  readonly label?: string;
  readonly description: string;
}

export interface CommandLine {
  readonly flags: Flags;
  /** The command's own flags that were given, with every value in order; a boolean one has none. */
  readonly own: ReadonlyMap<string, readonly string[]>;
  /** What is no flag: names of files. */
  readonly operands: readonly string[];
}

const isBoolean = (option: Option): boolean => option.type.label === 'boolean';

/** Flag name → what it sets. A boolean option has two: `--graphiql` and `--no-graphiql`. */
const optionFlags = (): ReadonlyMap<string, { name: OptionName; fixed: string | null }> => {
  const found = new Map<string, { name: OptionName; fixed: string | null }>();
  for (const name of OPTION_NAMES) {
    const option: Option = OPTIONS[name];
    if (option.flag === null) continue;
    found.set(option.flag, { name, fixed: isBoolean(option) ? 'true' : null });
    if (isBoolean(option)) found.set(`no-${option.flag}`, { name, fixed: 'false' });
  }
  return found;
};

const OPTION_FLAGS = optionFlags();

/**
 * Reads `argv` (without the command's name). A flag given twice: the last one counts.
 * @param operands how many arguments there may be that are no flags.
 * @throws UsageError for an unknown flag, a missing value, or an argument too many that is no flag.
 */
export const parseFlags = (
  argv: readonly string[],
  own: Readonly<Record<string, CommandFlag>> = {},
  operands = 0,
): CommandLine => {
  refuseSecrets(argv);
  const flags: Partial<Record<OptionName, string>> = {};
  const ownValues = new Map<string, string[]>();
  const found: string[] = [];
  for (const token of tokensOf(argv, own, operands > 0)) {
    if (token.kind === 'positional') found.push(token.value);
    if (token.kind !== 'option') continue;
    const target = OPTION_FLAGS.get(token.name);
    if (target !== undefined) flags[target.name] = target.fixed ?? token.value ?? '';
    else {
      const values = ownValues.get(token.name) ?? [];
      if (token.value !== undefined) values.push(token.value);
      ownValues.set(token.name, values);
    }
  }
  const surplus = found[operands];
  if (surplus !== undefined) throw new UsageError(`Unexpected argument ${JSON.stringify(surplus)}.`);
  return { flags, own: ownValues, operands: found };
};

const tokensOf = (argv: readonly string[], own: Readonly<Record<string, CommandFlag>>, allowPositionals: boolean) => {
  const options: Record<string, { type: 'string' | 'boolean'; multiple: true; short?: string }> = {};
  for (const [name, { fixed }] of OPTION_FLAGS) {
    options[name] = { type: fixed === null ? 'string' : 'boolean', multiple: true };
  }
  for (const [name, flag] of Object.entries(own)) {
    options[name] = { type: flag.type, multiple: true, ...(name === 'help' && { short: 'h' }) };
  }
  try {
    return parseArgs({ args: [...argv], options, strict: true, tokens: true, allowPositionals }).tokens;
  } catch (error) {
    throw asUsageError(error, Object.keys(options));
  }
};

const asUsageError = (error: unknown, known: readonly string[]): unknown => {
  if (!(error instanceof Error && 'code' in error)) return error;
  if (error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const flag = /'(-[^']*)'/.exec(error.message)?.[1] ?? 'a flag';
    const near = nearest(flag.replace(/^-+/, ''), known);
    return new UsageError(`Unknown option ${flag}; the nearest known one is --${near}.`);
  }
  return String(error.code).startsWith('ERR_PARSE_ARGS_') ? new UsageError(error.message) : error;
};

/** Someone who tries it must learn why, and what to do instead, without the value being repeated. */
const refuseSecrets = (argv: readonly string[]): void => {
  for (const name of OPTION_NAMES) {
    const { secret, env } = OPTIONS[name];
    const flag = `--${env.replace('PORCHLIGHT_', '').toLowerCase().replaceAll('_', '-')}`;
    if (!secret || !argv.some((word) => word === flag || word.startsWith(`${flag}=`))) continue;
    throw new UsageError(
      `There is no ${flag}: a command line can be read by every user of the machine.\n` +
        `Set ${env}, or ${env}_FILE to the path of a file that holds it.`,
    );
  }
};
