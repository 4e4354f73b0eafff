#!/usr/bin/env node
/** The command line: reads arguments and environment, runs one command, and ends with its exit code. */
import { readFileSync } from 'node:fs';
import { COMMANDS, renderCommandHelp, type CommandName, renderGlobalHelp } from './help.ts';
import { requireFile, hasFlag, lastFlagValue } from './maintenance-flags.ts';
import { mintToken, parseTokenRequest } from './mint-token.ts';
import { loadConfig, type LoadedConfig } from '../config/config.ts';
import { renderResolvedOptions, renderResolvedOptionsJson } from '../config/render-options.ts';
import { ConfigError, UsageError } from '../config/errors.ts';
import { type CommandLine, parseFlags } from '../config/parse-flags.ts';
import { closestMatch } from '../config/did-you-mean.ts';
import { loadOrCreateSecrets } from '../config/generated-secrets.ts';
import { StartupError } from '../process/startup-error.ts';
import { readWallClock } from '../storage/clock.ts';
import { readVersion } from '../process/version.ts';

const out = (text: string): void => void process.stdout.write(text);
const err = (text: string): void => void process.stderr.write(text);
const warn = (warnings: readonly string[]): void =>
  warnings.forEach((warning) => err(`porchlight: warning: ${warning}\n`));

const LINGER_MS = 1_000;

const isCommand = (name: string): name is CommandName => Object.hasOwn(COMMANDS, name);

/** @returns the exit code. @throws UsageError, ConfigError, StartupError. */
const main = async (argv: readonly string[]): Promise<number> => {
  const [first, ...rest] = argv;
  if (first === undefined) {
    err(renderGlobalHelp());
    return 2;
  }
  if (first === '--help' || first === '-h') out(renderGlobalHelp());
  else if (first === '--version') out(`${readVersion()}\n`);
  else if (isCommand(first)) return await run(first, rest);
  else if (first.startsWith('-')) {
    throw new UsageError(`A command comes first: porchlight serve ${first} …, for instance.`);
  } else {
    throw new UsageError(
      `Unknown command ${JSON.stringify(first)}; the nearest known one is ${closestMatch(first, Object.keys(COMMANDS))}.`,
    );
  }
  return 0;
};

const run = async (name: CommandName, argv: readonly string[]): Promise<number> => {
  const line = parseFlags(argv, COMMANDS[name].flags, COMMANDS[name].maxPositionals);
  if (line.commandFlags.has('help')) {
    out(renderCommandHelp(name));
    return 0;
  }
  return await RUN[name](line);
};

const load = ({ optionFlags: flags }: CommandLine): LoadedConfig => {
  const loaded = loadConfig({
    flags,
    env: process.env,
    readFile: (path) => readFileSync(path, 'utf8'),
  });
  warn(loaded.warnings);
  return loaded;
};

const RUN: Readonly<Record<CommandName, (line: CommandLine) => Promise<number>>> = {
  serve: async (line) => {
    const { config, warnings } = await loadOrCreateSecrets(load(line).config);
    warn(warnings);
    // Loaded only now: help, token and config do not wait for a whole server to be read.
    const { serve } = await import('../main.ts');
    try {
      return await serve(config);
    } finally {
      // Unreferenced: a clean shutdown ends at once; something left open cannot keep it from ending.
      setTimeout(() => process.exit(), LINGER_MS).unref();
    }
  },
  token: async (line) => {
    const request = parseTokenRequest(line);
    const { token, warnings } = await mintToken(load(line).config, request, readWallClock());
    warn(warnings);
    out(`${token}\n`);
    return 0;
  },
  config: (line) => {
    const { resolvedOptions: settings } = load(line);
    out(line.commandFlags.has('json') ? renderResolvedOptionsJson(settings) : renderResolvedOptions(settings));
    return Promise.resolve(0);
  },
  backup: async (line) => {
    const file = requireFile(line);
    const { database } = load(line).config;
    const { runBackup: backup } = await import('../maintenance/backup.ts');
    const flags = { force: hasFlag(line, 'force'), progress: hasFlag(line, 'progress'), json: hasFlag(line, 'json') };
    out(await backup({ database, file, ...flags }));
    return 0;
  },
  doctor: async (line) => {
    const file = line.positionals[0] ?? load(line).config.database;
    const { runDoctor: doctor } = await import('../maintenance/doctor.ts');
    const { text, healthy } = doctor({ file, quick: hasFlag(line, 'quick'), json: hasFlag(line, 'json') });
    out(text);
    return healthy ? 0 : 1;
  },
  export: async (line) => {
    const [file = '-'] = line.positionals;
    const { database } = load(line).config;
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
    err(hasFlag(line, 'json') ? `${JSON.stringify(exported)}\n` : `Exported ${events} events, through ${cursor}\n`);
    return 0;
  },
};

/** Tells what went wrong in words. @returns the exit code. */
const report = (error: unknown): number => {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ConfigError) warn(error.warnings);
  err(`porchlight: ${message}\n`);
  if (error instanceof UsageError) err('See porchlight --help.\n');
  // Looked up by hand: the error may be that there is no valid configuration.
  const level = process.env.PORCHLIGHT_LOG_LEVEL?.toLowerCase();
  if ((level === 'debug' || level === 'trace') && error instanceof Error) err(`${error.stack}\n`);
  const known = error instanceof UsageError || error instanceof ConfigError || error instanceof StartupError;
  return known ? error.exitCode : 1;
};

// A reader that has gone (`porchlight config | head -1`) is no fault, and no reason for a server to stop.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exitCode = 1;
  });
}

process.exitCode = await main(process.argv.slice(2)).catch(report);
