#!/usr/bin/env node
/** The entry point of the command line. It runs one command, and the process ends with the exit code of the command. */
import { COMMANDS, renderCommandHelp, type CommandName, renderGlobalHelp } from './help.ts';
import { requireFileArgument, hasFlag, lastFlagValue } from './maintenance-flags.ts';
import { mintToken, parseTokenRequest } from './mint-token.ts';
import { loadConfig, type LoadedConfig } from '../config/config.ts';
import { renderResolvedOptions, renderResolvedOptionsJson } from '../config/render-options.ts';
import { ConfigError, UsageError } from '../config/errors.ts';
import { type CommandLine, parseFlags } from '../config/parse-flags.ts';
import { findClosestMatch } from '../config/did-you-mean.ts';
import { loadOrCreateSecrets } from '../config/generated-secrets.ts';
import { isExistingFile, readSecretFile } from '../config/secret-file.ts';
import { StartupError } from '../process/startup-error.ts';
import { readWallClock } from '../storage/clock.ts';
import { readVersion } from '../process/version.ts';

const writeStdout = (text: string): void => void process.stdout.write(text);
const writeStderr = (text: string): void => void process.stderr.write(text);
const printWarnings = (warnings: readonly string[]): void =>
  warnings.forEach((warning) => writeStderr(`porchlight: warning: ${warning}\n`));

/** After the server has stopped, the process is ended by force after this time. */
const FORCED_EXIT_MS = 1_000;

const isCommand = (name: string): name is CommandName => Object.hasOwn(COMMANDS, name);

/** @returns the exit code. @throws UsageError, ConfigError, StartupError. */
const main = async (argv: readonly string[]): Promise<number> => {
  const [first, ...rest] = argv;
  if (first === undefined) {
    writeStderr(renderGlobalHelp());
    return 2;
  }
  if (first === '--help' || first === '-h') writeStdout(renderGlobalHelp());
  else if (first === '--version') writeStdout(`${readVersion()}\n`);
  else if (isCommand(first)) return await runCommand(first, rest);
  else if (first.startsWith('-')) {
    throw new UsageError(`A command must come first, for example: porchlight serve ${first} …`);
  } else {
    throw new UsageError(
      `Unknown command ${JSON.stringify(first)}; the closest known one is ${findClosestMatch(first, Object.keys(COMMANDS))}.`,
    );
  }
  return 0;
};

const runCommand = async (name: CommandName, argv: readonly string[]): Promise<number> => {
  const line = parseFlags(argv, COMMANDS[name].flags, COMMANDS[name].maxPositionals);
  if (line.commandFlags.has('help')) {
    writeStdout(renderCommandHelp(name));
    return 0;
  }
  return await COMMAND_RUNNERS[name](line);
};

const loadConfigOf = ({ optionFlags }: CommandLine, readsSecrets = true): LoadedConfig => {
  const loaded = loadConfig({ flags: optionFlags, env: process.env, readSecretFile, isExistingFile, readsSecrets });
  printWarnings(loaded.warnings);
  return loaded;
};

/** For commands that need the database alone. They also work for a user who may not read the files of secrets. */
const readDatabaseOption = (line: CommandLine): string => loadConfigOf(line, false).config.database;

const COMMAND_RUNNERS: Readonly<Record<CommandName, (line: CommandLine) => Promise<number>>> = {
  serve: async (line) => {
    const { config, warnings } = loadOrCreateSecrets(loadConfigOf(line).config);
    printWarnings(warnings);
    // Imported here, so that the other commands do not load the whole server.
    const { runServer: serve } = await import('../main.ts');
    try {
      return await serve(config);
    } finally {
      // The timer does not keep the process alive. It ends a process that an open handle keeps alive.
      setTimeout(() => process.exit(), FORCED_EXIT_MS).unref();
    }
  },
  token: async (line) => {
    const request = parseTokenRequest(line);
    const { token, warnings } = await mintToken(loadConfigOf(line).config, request, readWallClock());
    printWarnings(warnings);
    writeStdout(`${token}\n`);
    return 0;
  },
  config: (line) => {
    const { resolvedOptions: settings } = loadConfigOf(line);
    writeStdout(line.commandFlags.has('json') ? renderResolvedOptionsJson(settings) : renderResolvedOptions(settings));
    return Promise.resolve(0);
  },
  backup: async (line) => {
    const file = requireFileArgument(line);
    const database = readDatabaseOption(line);
    const { runBackup: backup } = await import('../maintenance/backup.ts');
    const flags = { force: hasFlag(line, 'force'), progress: hasFlag(line, 'progress'), json: hasFlag(line, 'json') };
    writeStdout(await backup({ database, file, ...flags }));
    return 0;
  },
  doctor: async (line) => {
    const file = line.positionals[0] ?? readDatabaseOption(line);
    const { runDoctor: doctor } = await import('../maintenance/doctor.ts');
    const { text, healthy } = doctor({ file, quick: hasFlag(line, 'quick'), json: hasFlag(line, 'json') });
    writeStdout(text);
    return healthy ? 0 : 1;
  },
  export: async (line) => {
    const [file = '-'] = line.positionals;
    const database = readDatabaseOption(line);
    const { exportEvents } = await import('../maintenance/export.ts');
    const exported = await exportEvents({
      database,
      file: file === '-' ? null : file,
      after: lastFlagValue(line, 'after'),
      user: lastFlagValue(line, 'user'),
      force: hasFlag(line, 'force'),
      progress: hasFlag(line, 'progress'),
    });
    if (exported === null) return 0;
    const { events, cursor } = exported;
    writeStderr(
      hasFlag(line, 'json') ? `${JSON.stringify(exported)}\n` : `Exported ${events} events, through ${cursor}\n`,
    );
    return 0;
  },
};

/** Prints an error that ended a command. @returns the exit code. */
const reportError = (error: unknown): number => {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ConfigError) printWarnings(error.warnings);
  writeStderr(`porchlight: ${message}\n`);
  if (error instanceof UsageError) writeStderr('See porchlight --help.\n');
  // Read directly, because the error may be an invalid configuration.
  const level = process.env.PORCHLIGHT_LOG_LEVEL?.toLowerCase();
  if ((level === 'debug' || level === 'trace') && error instanceof Error) writeStderr(`${error.stack}\n`);
  const hasExitCode = error instanceof UsageError || error instanceof ConfigError || error instanceof StartupError;
  return hasExitCode ? error.exitCode : 1;
};

// A closed pipe (`porchlight config | head -1`) is not an error, and must not stop a server.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exitCode = 1;
  });
}

process.exitCode = await main(process.argv.slice(2)).catch(reportError);
