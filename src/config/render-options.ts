/** Renders the options for `--help`, for docs/configuration.md and for `porchlight config`. */
import type { ResolvedOption } from './config.ts';
import type { CommandFlag } from './parse-flags.ts';
import { OPTION_GROUPS, OPTION_NAMES, OPTIONS, type Option, type OptionGroup, type OptionName } from './options.ts';
import type { JsonValue } from './value-types.ts';

/** Characters per line of help. */
const WIDTH = 88;
const INDENT = '      ';

/** Breaks a text into indented lines of at most `WIDTH` characters. A longer word has a line of its own. */
const wrapText = (text: string): string => {
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

/** `--port <port>`, or `--graphiql, --no-graphiql` for a boolean. Null for a secret. */
const renderFlag = (option: Option): string | null => {
  if (option.flag === null) return null;
  if (option.type.isFlagValueOptional) return `--${option.flag} [${option.type.label}], --no-${option.flag}`;
  return isBoolean(option) ? `--${option.flag}, --no-${option.flag}` : `--${option.flag} <${option.type.label}>`;
};

const variableNames = (option: Option): string[] => {
  if (option.isSecret) return [option.env, `${option.env}_FILE`];
  return option.envFallback === undefined ? [option.env] : [option.env, option.envFallback];
};

const visibleDefault = (option: Option): string | null =>
  option.default === null || option.default === '' ? null : option.default;

const GROUPS = Object.keys(OPTION_GROUPS) as OptionGroup[];

const optionsOfGroup = (group: OptionGroup): readonly Option[] =>
  OPTION_NAMES.map((name: OptionName): Option => OPTIONS[name]).filter((option) => option.group === group);

/** Every option of the server, for `porchlight serve --help`. Ends with a line break. */
export const renderOptionsHelp = (): string => {
  const groups: string[] = [];
  const secrets: string[] = [];
  for (const group of GROUPS) {
    const flags: string[] = [];
    for (const option of optionsOfGroup(group)) {
      const byDefault = visibleDefault(option) === null ? '' : ` Default: ${visibleDefault(option)}.`;
      const body = wrapText(`${option.description}${byDefault}`);
      const variables = variableNames(option).join(' or ');
      const flag = renderFlag(option);
      if (flag === null) secrets.push(`  ${variables}\n${body}\n`);
      else flags.push(`  ${flag}\n${INDENT}${variables}\n${body}\n`);
    }
    groups.push(`${OPTION_GROUPS[group]}:\n\n${flags.join('\n')}`);
  }
  return [
    'Each option can be set by a flag or by an environment variable. The flag takes precedence.\n\n',
    groups.join('\n'),
    '\nSecrets:\n\n',
    'Secrets have no flag, because every user of the machine can read a command line. Set the\n',
    'variable, or set <variable>_FILE to the path of a file in UTF-8. One line break at the end\n',
    'of the file is ignored. A secret that could be read in two ways is rejected.\n\n',
    secrets.join('\n'),
  ].join('');
};

/** The flags of one command, for its `--help`. Ends with a line break. */
export const renderCommandFlags = (flags: Readonly<Record<string, CommandFlag>>): string =>
  Object.entries(flags)
    .map(([name, flag]) => {
      const short = name === 'help' ? '-h, ' : '';
      const value = flag.valueLabel === undefined ? '' : ` <${flag.valueLabel}>`;
      return `  ${short}--${name}${value}\n${wrapText(flag.description)}\n`;
    })
    .join('\n');

const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``;

/**
 * Every option as Markdown: one heading and one table per group, for docs/configuration.md. The columns are padded as
 * prettier pads them, so that formatting the page changes nothing. Ends with a line break.
 */
export const renderOptionsMarkdown = (): string =>
  GROUPS.map((group) => `### ${OPTION_GROUPS[group]}\n\n${renderTable(optionsOfGroup(group))}`).join('\n');

const renderTable = (options: readonly Option[]): string => {
  const rows = options.map((option) => {
    const flag = renderFlag(option);
    const byDefault = visibleDefault(option);
    return [
      variableNames(option).map(code).join(' or '),
      flag === null ? 'none (secret)' : flag.split(', ').map(code).join(', '),
      byDefault === null ? 'none' : code(byDefault),
      option.description.replaceAll('|', '\\|').replaceAll(/\[\{.*\}\]/g, (json) => code(json)),
    ];
  });
  const [head = [], ...body] = [['Environment variable', 'Flag', 'Default', 'Description'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...[head, ...body].map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[], fill: string): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(' | ')} |\n`;
  return line(head, ' ') + line(['', '', '', ''], '-') + body.map((row) => line(row, ' ')).join('');
};

const formatJsonValue = (value: JsonValue): string => {
  if (value === null || (Array.isArray(value) && value.length === 0)) return '(none)';
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(',');
  return JSON.stringify(value);
};

/** Name, value and origin of every option in aligned columns. Ends with a line break. */
export const renderResolvedOptions = (options: readonly ResolvedOption[]): string => {
  const rows = options.map(({ name, value, origin, source }) => [
    name,
    formatJsonValue(value),
    source === null ? origin : `${origin}: ${source}`,
  ]);
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows
    .map(([name = '', value = '', origin = '']) => `${name.padEnd(width(0))}  ${value.padEnd(width(1))}  ${origin}\n`)
    .join('');
};

/** The resolved options as a JSON object by option name. Ends with a line break. */
export const renderResolvedOptionsJson = (options: readonly ResolvedOption[]): string => {
  const byName = Object.fromEntries(
    options.map(({ name, value, origin, source }) => [name, { value, origin, from: source }]),
  );
  return `${JSON.stringify(byName, null, 2)}\n`;
};
