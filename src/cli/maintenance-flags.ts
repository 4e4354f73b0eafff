/** The flags of `backup`, `doctor` and `export`, and how their values are read. */
import { UsageError } from '../config/errors.ts';
import type { CommandFlag, CommandLine } from '../config/parse-flags.ts';

const PROGRESS: CommandFlag = {
  type: 'boolean',
  description: 'Print the progress on stderr even if it is not a terminal.',
};
const FORCE: CommandFlag = {
  type: 'boolean',
  description: 'Overwrite an existing file, and the .partial file of a killed command.',
};

export const BACKUP_FLAGS = {
  force: FORCE,
  progress: PROGRESS,
  json: { type: 'boolean', description: 'Print the summary as JSON.' },
} as const satisfies Record<string, CommandFlag>;

export const DOCTOR_FLAGS = {
  quick: {
    type: 'boolean',
    description: 'Do not compare indexes with their tables. This takes about half of the time.',
  },
  json: { type: 'boolean', description: 'Print the report as JSON.' },
} as const satisfies Record<string, CommandFlag>;

export const EXPORT_FLAGS = {
  after: {
    type: 'string',
    valueLabel: 'cursor',
    description: 'Start after this cursor. Without it, start with the oldest event.',
  },
  user: { type: 'string', valueLabel: 'id', description: 'Export only the events of this user.' },
  force: FORCE,
  progress: PROGRESS,
  json: { type: 'boolean', description: 'Print the last line on stderr as JSON: {"events": …, "cursor": …}.' },
} as const satisfies Record<string, CommandFlag>;

export const hasFlag = ({ commandFlags }: CommandLine, flag: string): boolean => commandFlags.has(flag);

/** The value of a flag of the command; the last one of several. Null when the flag is not given. */
export const lastFlagValue = ({ commandFlags }: CommandLine, flag: string): string | null =>
  commandFlags.get(flag)?.at(-1) ?? null;

/** @throws UsageError when the command line has no file argument. */
export const requireFileArgument = ({ positionals: [file] }: CommandLine): string => {
  if (file === undefined || file === '') throw new UsageError('FILE is missing. It must be the path of the backup.');
  return file;
};
