/** Runs the compiled command in a given directory, with only the given environment. */
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
  /**
   * Resolves with the match when the output matches the pattern.
   * @throws if the command ends without it.
   */
  waitForOutput(pattern: RegExp): Promise<RegExpExecArray>;
  readonly getOutput: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
}

type Env = Readonly<Record<string, string>>;

/** Starts any program. Its whole process group is killed when this process exits. */
export const startProgram = (command: readonly string[], cwd: string, env: Env = {}): RunningCommand => {
  const [program = '', ...argv] = command;
  let ended = false;
  // Its own process group, so that a signal also reaches programs started by a shell, as Ctrl-C does.
  const child = spawn(program, argv, { cwd, detached: true, env: { PATH: process.env['PATH'], HOME: cwd, ...env } });
  const send = (signal: NodeJS.Signals): void => {
    if (!ended && child.pid !== undefined) process.kill(-child.pid, signal);
  };
  const kill = (): void => send('SIGKILL');
  process.once('exit', kill);
  let out = '';
  let err = '';
  let onChange: () => void = () => undefined;
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
    onChange();
  });
  child.stderr.on('data', (chunk) => {
    err += String(chunk);
    onChange();
  });
  const ran = new Promise<CommandResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('exit', kill);
      ended = true;
      onChange();
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
        await new Promise<void>((resolve) => (onChange = resolve));
      }
    },
  };
};

export const startPorchlightCommand = (argv: readonly string[], cwd: string, env: Env = {}): RunningCommand =>
  startProgram([process.execPath, CLI, ...argv], cwd, env);

/** Matches a stack trace, which no operator should have to read. */
export const STACK_TRACE = /\n\s+at .*[:(]\d+|node:internal|Node\.js v\d/;
