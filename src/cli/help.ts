/** The texts of `--help`. Each ends with a line break. */
import { renderCommandFlags, renderOptionsHelp } from '../config/render-options.ts';
import type { CommandFlag } from '../config/parse-flags.ts';
import { BACKUP_FLAGS, DOCTOR_FLAGS, EXPORT_FLAGS } from './maintenance-flags.ts';
import { TOKEN_FLAGS } from './mint-token.ts';

export type CommandName = 'serve' | 'token' | 'config' | 'backup' | 'doctor' | 'export';

export interface CommandDefinition {
  readonly usage: string;
  readonly summary: string;
  readonly flags: Readonly<Record<string, CommandFlag>>;
  /** How many arguments it may have that are no flags. */
  readonly maxPositionals?: number;
  /** What else must be known of it, in lines as they are printed. */
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
    summary: "Prints a user's token, signed with the server's secret.",
    flags: { ...TOKEN_FLAGS, help: HELP },
    example: 'porchlight token --user alice --ttl 1h --watch bob,carol',
  },
  config: {
    usage: 'porchlight config [--json] [options]',
    summary: 'Prints every option, its value and where it came from; secrets are masked.',
    flags: {
      json: { type: 'boolean', description: 'Print JSON: an object by option name.' },
      help: HELP,
    },
    example: 'porchlight config --json',
  },
  backup: {
    usage: 'porchlight backup FILE [--force] [--progress] [--json] [options]',
    summary: 'Saves the database to FILE while a server serves it.',
    maxPositionals: 1,
    flags: { ...BACKUP_FLAGS, help: HELP },
    details: `FILE is a whole database as of one instant, for its owner alone to read; it is there when it is
complete, and not before. The secrets beside the database (jwt-secret, api-key) are not in it.
To restore: stop the server, put FILE in the place of the database, remove the files that end
in -wal and -shm beside it, start the server.
`,
    example: 'porchlight backup /backups/presence-2026-11-21.db',
  },
  doctor: {
    usage: 'porchlight doctor [FILE] [--quick] [--json] [options]',
    summary: 'Looks for damage and contradictions in the database, or in FILE; changes nothing.',
    maxPositionals: 1,
    flags: { ...DOCTOR_FLAGS, help: HELP },
    details: `A server may serve the file meanwhile: what is looked at is one instant.
Exit codes: 0 healthy, 1 something was found, 78 there is no database to be read.
`,
    example: 'porchlight doctor /backups/presence-2026-11-21.db',
  },
  export: {
    usage: 'porchlight export [FILE|-] [--after <cursor>] [--user <id>] [--force] [--progress] [--json] [options]',
    summary: 'Writes the event log as JSON Lines to FILE or stdout, while a server serves it.',
    maxPositionals: 1,
    flags: { ...EXPORT_FLAGS, help: HELP },
    details: `Each line is one event, with the names and formats of PresenceEvent in the GraphQL schema. It
ends with the event that was the last when it began; the cursor told on stderr is where the
next export goes on.
`,
    example: 'porchlight export events.jsonl --after "$(cat last-cursor)"',
  },
};

const EXIT_CODES = `Exit codes:
  0   done
  1   something went wrong while running, a busy port for instance
  2   bad usage: an unknown command or flag
  78  bad configuration, or a database that cannot be used
`;

export const renderGlobalHelp = (): string => {
  const commands = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}\n`);
  return [
    'Porchlight, a presence server: is this person reachable right now, and how?\n\n',
    'Usage: porchlight <command> [options]\n\nCommands:\n',
    ...commands,
    '\nporchlight <command> --help tells all about one; porchlight --version tells the version.\n\n',
    EXIT_CODES,
  ].join('');
};

export const renderCommandHelp = (name: CommandName): string => {
  const { usage, summary, flags, details, example } = COMMANDS[name];
  // Any command reads the same configuration; the whole table stands once, where it is looked for.
  const options =
    name === 'serve' ? renderOptionsHelp() : 'It reads the same options as the server: see porchlight serve --help.\n';
  return [
    `Usage: ${usage}\n\n${summary}\n\n`,
    details === undefined ? '' : `${details}\n`,
    `${renderCommandFlags(flags)}\n`,
    `${options}\n`,
    `Example: ${example}\n`,
  ].join('');
};
