/** The table of options as people read it: in `--help`, in README, and in `porchlight config`. */
import type { Setting } from './config.ts';
import type { CommandFlag } from './parse-flags.ts';
import { OPTION_NAMES, OPTIONS, type Option } from './options.ts';
import type { Json } from './value-types.ts';

const WIDTH = 88;
const INDENT = '      ';

/** Lines of at most 88 characters, each indented; a longer word stands alone. */
const wrapped = (text: string): string => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && INDENT.length + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => `${INDENT}${each}`).join('\n');
};

const isBoolean = (option: Option): boolean => option.type.label === 'boolean';

const flagOf = (option: Option): string | null => {
  if (option.flag === null) return null;
  return isBoolean(option) ? `--${option.flag}, --no-${option.flag}` : `--${option.flag} <${option.type.label}>`;
};

const variablesOf = (option: Option): string[] => {
  if (option.secret) return [option.env, `${option.env}_FILE`];
  return option.envFallback === undefined ? [option.env] : [option.env, option.envFallback];
};

const defaultOf = (option: Option): string | null =>
  option.default === null || option.default === '' ? null : option.default;

/** Every option of the server, for `porchlight serve --help`. Ends with a line break. */
export const describeOptionsHelp = (): string => {
  const flags: string[] = [];
  const secrets: string[] = [];
  for (const name of OPTION_NAMES) {
    const option: Option = OPTIONS[name];
    const byDefault = defaultOf(option) === null ? '' : ` Default: ${defaultOf(option)}.`;
    const body = wrapped(`${option.description}${byDefault}`);
    const variables = variablesOf(option).join(' or ');
    const flag = flagOf(option);
    if (flag === null) secrets.push(`  ${variables}\n${body}\n`);
    else flags.push(`  ${flag}\n${INDENT}${variables}\n${body}\n`);
  }
  return [
    'Options, each as a flag or as an environment variable; the flag wins:\n\n',
    flags.join('\n'),
    '\nSecrets, by environment variable or file only: a command line can be read by every user\n',
    'of the machine. A line break at the end of the file does not count.\n\n',
    secrets.join('\n'),
  ].join('');
};

/** The flags of one command, for its help. Ends with a line break. */
export const describeCommandFlags = (flags: Readonly<Record<string, CommandFlag>>): string =>
  Object.entries(flags)
    .map(([name, flag]) => {
      const short = name === 'help' ? '-h, ' : '';
      const value = flag.label === undefined ? '' : ` <${flag.label}>`;
      return `  ${short}--${name}${value}\n${wrapped(flag.description)}\n`;
    })
    .join('\n');

const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``;

/**
 * Every option as a table in Markdown, its columns padded as prettier does it, so that neither
 * changes what the other wrote. Ends with a line break.
 */
export const describeOptionsMarkdown = (): string => {
  const rows = OPTION_NAMES.map((name) => {
    const option: Option = OPTIONS[name];
    const flag = flagOf(option);
    const byDefault = defaultOf(option);
    return [
      variablesOf(option).map(code).join(' or '),
      flag === null ? 'none: secret' : flag.split(', ').map(code).join(', '),
      byDefault === null ? 'none' : code(byDefault),
      option.description.replaceAll('|', '\\|').replaceAll(/\[\{.*\}\]/g, (json) => code(json)),
    ];
  });
  const table = [['Environment', 'Flag', 'Default', 'What it does'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[], fill: string): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(' | ')} |\n`;
  const [head = [], ...body] = table;
  return line(head, ' ') + line(['', '', '', ''], '-') + body.map((row) => line(row, ' ')).join('');
};

const textOf = (value: Json): string => {
  if (value === null || (Array.isArray(value) && value.length === 0)) return '(none)';
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(',');
  return JSON.stringify(value);
};

/** Name, value and origin of every option in aligned columns. Ends with a line break. */
export const describeSettings = (settings: readonly Setting[]): string => {
  const rows = settings.map(({ name, value, origin, from }) => [
    name,
    textOf(value),
    from === null ? origin : `${origin}: ${from}`,
  ]);
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows
    .map(([name = '', value = '', from = '']) => `${name.padEnd(width(0))}  ${value.padEnd(width(1))}  ${from}\n`)
    .join('');
};

/** The same for programs: an object by option name. Ends with a line break. */
export const describeSettingsJson = (settings: readonly Setting[]): string => {
  const byName = Object.fromEntries(settings.map(({ name, value, origin, from }) => [name, { value, origin, from }]));
  return `${JSON.stringify(byName, null, 2)}\n`;
};
