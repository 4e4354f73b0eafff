/**
 * Runs the compiled server as a child process. Tests see only its output, its answers and its exit code. A process that
 * a test does not stop is killed when the test worker exits.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type JWTPayload, SignJWT } from 'jose';

const CLI = fileURLToPath(new URL('../../dist/cli/cli.js', import.meta.url));
const JWT_SECRET = 'the secret that these tests and the app’s backend share';
const API_KEY = 'an-api-key-for-the-tests-alone-0123456789';
const START_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 15_000;

export interface StartOptions {
  /** Added to the environment of the tests, from which all settings of Porchlight are removed. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The data directory. Default: a new one, which is removed when the process is disposed of. */
  readonly directory?: string;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface PorchlightProcess extends AsyncDisposable {
  /** The URL without a path, such as http://127.0.0.1:40123. */
  readonly origin: string;
  readonly port: number;
  readonly directory: string;
  readonly pid: number;
  readonly apiKey: string;
  /** Everything written to stdout and stderr so far. */
  readonly output: () => string;
  readonly exited: Promise<ProcessExit>;
  signal(name: NodeJS.Signals): void;
  /** Sends SIGTERM and waits for the exit. */
  stop(): Promise<ProcessExit>;
  /** Sends SIGKILL and waits for the exit. */
  sigkill(): Promise<ProcessExit>;
}

/** A process of `porchlight serve`, which may also fail to start. */
export interface SpawnedServer {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly output: () => string;
  readonly exited: Promise<ProcessExit>;
  /** Kills the process if it still runs and removes its temporary directory. */
  readonly dispose: () => Promise<void>;
}

const running = new Set<ChildProcess>();
const killRunning = (): void => {
  for (const child of running) child.kill('SIGKILL');
};
process.on('exit', killRunning);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => {
    killRunning();
    process.exit(1);
  });
}

/** Spawns the server without waiting for it to start. */
export const spawnPorchlight = (options: StartOptions = {}): SpawnedServer => {
  const ownsDirectory = options.directory === undefined;
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'porchlight-e2e-'));
  const child = spawn(process.execPath, [CLI, 'serve'], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...withoutSettings(process.env),
      PORCHLIGHT_PORT: '0',
      PORCHLIGHT_DATABASE: join(directory, 'porchlight.db'),
      PORCHLIGHT_JWT_SECRET: JWT_SECRET,
      PORCHLIGHT_API_KEYS: API_KEY,
      // Parallel tests slow the machine down. Tests about load shedding set their own limit.
      PORCHLIGHT_MAX_LAG: '60s',
      ...options.env,
    },
  });
  running.add(child);
  let outputText = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => (outputText += text));
  }
  const exited = new Promise<ProcessExit>((resolve, reject) => {
    child.once('error', reject);
    // 'close' instead of 'exit', because all output has been read by then.
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  return {
    child,
    directory,
    output: () => outputText,
    exited,
    dispose: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
      if (ownsDirectory) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};

/** Starts the server and waits until it is ready. @throws when it is not ready within 20 s. */
export const startPorchlight = async (options: StartOptions = {}): Promise<PorchlightProcess> => {
  const run = spawnPorchlight(options);
  let origin: string;
  try {
    origin = await waitUntilReady(run);
  } catch (error) {
    await run.dispose();
    throw error;
  }
  const end = async (signal: NodeJS.Signals): Promise<ProcessExit> => {
    run.child.kill(signal);
    return withTimeout(
      run.exited,
      STOP_WITHIN_MS,
      () => `The server did not exit after ${signal}. Its output:\n${run.output()}`,
    );
  };
  const { exited, output, directory } = run;
  return {
    origin,
    port: Number(new URL(origin).port),
    directory,
    pid: run.child.pid ?? 0,
    apiKey: options.env?.PORCHLIGHT_API_KEYS?.split(',')[0] ?? API_KEY,
    output,
    exited,
    signal: (name) => void run.child.kill(name),
    stop: () => end('SIGTERM'),
    sigkill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: run.dispose,
  };
};

/** The resident memory of the server process in MiB. */
export const readRssMiB = ({ pid }: Pick<PorchlightProcess, 'pid'>): number => {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
};

/** The default of PORCHLIGHT_JWT_CLOCK_TOLERANCE, in seconds. */
export const CLOCK_TOLERANCE_S = 60;

export interface TokenOptions {
  /** Claims besides `sub`. A claim of `undefined` is left out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Lifetime in seconds from now; may be negative. Default: one hour. */
  readonly expiresInS?: number;
  /** Instead of it: for how many seconds from now a server accepts the token, with its default clock tolerance. */
  readonly acceptedForS?: number;
  /** A text counts as its UTF-8 bytes. */
  readonly secret?: string | Uint8Array;
}

/** Signs a user's JWT as the app's backend does. */
export const mintToken = (userId: string, options: TokenOptions = {}): Promise<string> => {
  const now = Math.floor(Date.now() / 1_000);
  const { acceptedForS, expiresInS = acceptedForS === undefined ? 3_600 : acceptedForS - CLOCK_TOLERANCE_S } = options;
  const claims: JWTPayload = { sub: userId, iat: now, exp: now + expiresInS, ...options.claims };
  const secret = options.secret ?? JWT_SECRET;
  const key = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(key);
};

const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith('PORCHLIGHT_') && name !== 'PORT' && name !== 'NODE_ENV'),
  );

const waitUntilReady = async (run: SpawnedServer): Promise<string> => {
  const deadline = performance.now() + START_WITHIN_MS;
  let hasExited = false;
  run.exited.then(
    () => (hasExited = true),
    () => (hasExited = true),
  );
  while (performance.now() < deadline) {
    // The server chooses its port (0), so the port is read from the output.
    const port = /https?:\/\/[\w.[\]:-]+?:(\d+)/.exec(run.output())?.[1];
    if (port !== undefined) {
      const origin = `http://127.0.0.1:${port}`;
      const health = await fetch(`${origin}/health/ready`).catch(() => null);
      await health?.body?.cancel();
      if (health?.status === 200) return origin;
    }
    if (hasExited) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(
    `The server did not become ready${hasExited ? ' before it exited' : ''}. Its output:\n${run.output()}`,
  );
};

/** @throws an error with the text of `message` when the promise takes longer than `ms`. */
export const withTimeout = async <T>(promise: Promise<T>, ms: number, message: () => string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message())), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
};
