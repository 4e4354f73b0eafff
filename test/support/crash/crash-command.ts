/** The compiled command in a folder of its own, with nothing in its environment but what is given. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const CLI = fileURLToPath(new URL('../../../dist/cli/cli.js', import.meta.url));

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface RunningCommand {
  readonly result: Promise<CommandResult>;
  /** Resolves with its match when the command has printed something that fits. @throws when it ends without. */
  waitForOutput(pattern: RegExp): Promise<RegExpExecArray>;
  readonly getOutput: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
}

type Env = Readonly<Record<string, string>>;

/** Starts any program; what it leaves running dies with this process. */
export const startProgram = (command: readonly string[], cwd: string, env: Env = {}): RunningCommand => {
  const [program = '', ...argv] = command;
  let ended = false;
  // A group of its own, so that a signal reaches what a shell has started too, as Ctrl-C does.
  const child = spawn(program, argv, { cwd, detached: true, env: { PATH: process.env['PATH'], HOME: cwd, ...env } });
  const send = (signal: NodeJS.Signals): void => {
    if (!ended && child.pid !== undefined) process.kill(-child.pid, signal);
  };
  const kill = (): void => send('SIGKILL');
  process.once('exit', kill);
  let out = '';
  let err = '';
  let heard: () => void = () => undefined;
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
    heard();
  });
  child.stderr.on('data', (chunk) => {
    err += String(chunk);
    heard();
  });
  const ran = new Promise<CommandResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('exit', kill);
      ended = true;
      heard();
      resolve({ code, signal, out, err });
    });
  });
  return {
    result: ran,
    getOutput: () => out + err,
    kill: send,
    waitForOutput: async (pattern) => {
      for (;;) {
        const match = pattern.exec(out + err);
        if (match !== null) return match;
        if (ended) throw new Error(`It ended without having printed ${String(pattern)}:\n${out}${err}`);
        await new Promise<void>((resolve) => (heard = resolve));
      }
    },
  };
};

export const startPorchlightCommand = (argv: readonly string[], cwd: string, env: Env = {}): RunningCommand =>
  startProgram([process.execPath, CLI, ...argv], cwd, env);

/** A stack trace, of whatever kind: nothing that a person who starts a server should have to read. */
export const STACK_TRACE = /\n\s+at .*[:(]\d+|node:internal|Node\.js v\d/;
