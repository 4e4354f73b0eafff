/** The texts of `--help`. Each ends with a line break. */
import { describeCommandFlags, describeOptionsHelp } from '../config/describe.ts';
import type { CommandFlag } from '../config/flags.ts';
import { TOKEN_FLAGS } from './token.ts';

export type CommandName = 'serve' | 'token' | 'config';

export interface Command {
  readonly usage: string;
  readonly summary: string;
  readonly flags: Readonly<Record<string, CommandFlag>>;
  readonly example: string;
}

const HELP: CommandFlag = { type: 'boolean', description: 'Show this help.' };

export const COMMANDS: Readonly<Record<CommandName, Command>> = {
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
};

const EXIT_CODES = `Exit codes:
  0   done
  1   something went wrong while running, a busy port for instance
  2   bad usage: an unknown command or flag
  78  bad configuration
`;

export const globalHelp = (): string => {
  const commands = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}\n`);
  return [
    'Porchlight, a presence server: is this person reachable right now, and how?\n\n',
    'Usage: porchlight <command> [options]\n\nCommands:\n',
    ...commands,
    '\nporchlight <command> --help tells all about one; porchlight --version tells the version.\n\n',
    EXIT_CODES,
  ].join('');
};

export const commandHelp = (name: CommandName): string => {
  const { usage, summary, flags, example } = COMMANDS[name];
  // Any command reads the same configuration; the whole table stands once, where it is looked for.
  const options =
    name === 'serve'
      ? describeOptionsHelp()
      : 'It reads the same options as the server: see porchlight serve --help.\n';
  return [
    `Usage: ${usage}\n\n${summary}\n\n`,
    `${describeCommandFlags(flags)}\n`,
    `${options}\n`,
    `Example: ${example}\n`,
  ].join('');
};
