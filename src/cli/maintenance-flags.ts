/** What the operator's commands `backup`, `doctor` and `export` are asked for. */
import { UsageError } from '../config/errors.ts';
import type { CommandFlag, CommandLine } from '../config/parse-flags.ts';

const PROGRESS: CommandFlag = {
  type: 'boolean',
  description: 'Tell the progress on stderr even where that is no terminal.',
};
const FORCE: CommandFlag = {
  type: 'boolean',
  description: 'Overwrite the file if there is one, and the .partial that a killed command has left.',
};

export const BACKUP_FLAGS = {
  force: FORCE,
  progress: PROGRESS,
  json: { type: 'boolean', description: 'Print what was saved as JSON.' },
} as const satisfies Record<string, CommandFlag>;

export const DOCTOR_FLAGS = {
  quick: {
    type: 'boolean',
    description: 'Leave out whether every index has what its table has: about half of the time.',
  },
  json: { type: 'boolean', description: 'Print the report as JSON.' },
} as const satisfies Record<string, CommandFlag>;

export const EXPORT_FLAGS = {
  after: {
    type: 'string',
    valueLabel: 'cursor',
    description: 'Start right after this cursor; without it, with the oldest event that is kept.',
  },
  user: { type: 'string', valueLabel: 'id', description: 'Only the events of this user.' },
  force: FORCE,
  progress: PROGRESS,
  json: { type: 'boolean', description: 'Print the closing line on stderr as JSON: {"events": …, "cursor": …}.' },
} as const satisfies Record<string, CommandFlag>;

export const hasFlag = ({ commandFlags: own }: CommandLine, flag: string): boolean => own.has(flag);
export const lastFlagValue = ({ commandFlags: own }: CommandLine, flag: string): string | null =>
  own.get(flag)?.at(-1) ?? null;

/** @throws UsageError when no file is named. */
export const requireFile = ({ positionals: [file] }: CommandLine): string => {
  if (file === undefined || file === '') throw new UsageError('FILE is missing: where is the backup to be written?');
  return file;
};
