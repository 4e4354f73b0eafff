/** The commands and the texts of `--help`. Each text ends with a line break. */
import { renderCommandFlags, renderOptionsHelp } from '../config/render-options.ts';
import type { CommandFlag } from '../config/parse-flags.ts';
import { BACKUP_FLAGS, DOCTOR_FLAGS, EXPORT_FLAGS } from './maintenance-flags.ts';
import { TOKEN_FLAGS } from './mint-token.ts';

export type CommandName = 'serve' | 'token' | 'config' | 'backup' | 'doctor' | 'export';

export interface CommandDefinition {
  readonly usage: string;
  readonly summary: string;
  readonly flags: Readonly<Record<string, CommandFlag>>;
  /** The maximum number of arguments that are not flags. Default: 0. */
  readonly maxPositionals?: number;
  /** Further lines of help, printed as they are. */
  readonly details?: string;
  readonly example: string;
}

const HELP: CommandFlag = { type: 'boolean', description: 'Show this help.' };

export const COMMANDS: Readonly<Record<CommandName, CommandDefinition>> = {
  serve: {
    usage: 'porchlight serve [options]',
    summary: 'Runs the server until SIGTERM or SIGINT.',
    flags: { help: HELP },
    example: 'porchlight serve --port 8080 --log-level warn',
  },
  token: {
    usage: "porchlight token --user <id> [--ttl <duration>] [--watch <ids>|'*'] [options]",
    summary: 'Prints a user token, signed with the secret of the server.',
    flags: { ...TOKEN_FLAGS, help: HELP },
    example: 'porchlight token --user alice --ttl 1h --watch bob,carol',
  },
  config: {
    usage: 'porchlight config [--json] [options]',
    summary: 'Prints the value of every option and where it came from. Secrets are masked.',
    flags: {
      json: { type: 'boolean', description: 'Print a JSON object by option name.' },
      help: HELP,
    },
    example: 'porchlight config --json',
  },
  backup: {
    usage: 'porchlight backup FILE [--force] [--progress] [--json] [options]',
    summary: 'Copies the database to FILE. The server may be running.',
    maxPositionals: 1,
    flags: { ...BACKUP_FLAGS, help: HELP },
    details: `FILE is a complete database as of one time. Only its owner can read it. It appears under its
name when it is complete. The secrets beside the database (jwt-secret, api-key) are not in it.
To restore a backup: stop the server, replace the database by FILE, remove the files beside it
that end in -wal and -shm, and start the server.
`,
    example: 'porchlight backup /backups/presence-2026-11-21.db',
  },
  doctor: {
    usage: 'porchlight doctor [FILE] [--quick] [--json] [options]',
    summary: 'Checks the database, or FILE, for damage and inconsistencies. It changes nothing.',
    maxPositionals: 1,
    flags: { ...DOCTOR_FLAGS, help: HELP },
    details: `The server may be running. The check reads the database as of one time.
Exit codes: 0 healthy, 1 errors were found, 78 the database cannot be read.
`,
    example: 'porchlight doctor /backups/presence-2026-11-21.db',
  },
  export: {
    usage: 'porchlight export [FILE|-] [--after <cursor>] [--user <id>] [--force] [--progress] [--json] [options]',
    summary: 'Writes the event log as JSON Lines to FILE or stdout. The server may be running.',
    maxPositionals: 1,
    flags: { ...EXPORT_FLAGS, help: HELP },
    details: `Each line is one event, with the field names and formats of PresenceEvent in the GraphQL schema.
The export ends with the last event that existed when it started. The cursor of that event is
printed on stderr. Pass it to --after to continue with the next export.
`,
    example: 'porchlight export events.jsonl --after "$(cat last-cursor)"',
  },
};

const EXIT_CODES = `Exit codes:
  0   success
  1   an error at run time, such as a port that is in use
  2   bad usage: an unknown command or flag
  78  bad configuration, or an unusable database
`;

export const renderGlobalHelp = (): string => {
  const commands = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}\n`);
  return [
    'Porchlight is a presence server. It tracks whether each user is online.\n\n',
    'Usage: porchlight <command> [options]\n\nCommands:\n',
    ...commands,
    '\nporchlight <command> --help describes a command. porchlight --version prints the version.\n\n',
    EXIT_CODES,
  ].join('');
};

export const renderCommandHelp = (name: CommandName): string => {
  const { usage, summary, flags, details, example } = COMMANDS[name];
  // All commands read the same options. Only the help of `serve` contains the list.
  const options =
    name === 'serve'
      ? renderOptionsHelp()
      : 'The command also accepts the options of the server. See porchlight serve --help.\n';
  return [
    `Usage: ${usage}\n\n${summary}\n\n`,
    details === undefined ? '' : `${details}\n`,
    `${renderCommandFlags(flags)}\n`,
    `${options}\n`,
    `Example: ${example}\n`,
  ].join('');
};
