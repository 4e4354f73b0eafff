/**
 * The compiled server as a process of its own, known only by what it prints, serves and exits with. No process
 * outlives the tests: what a test forgets to stop dies with the worker that started it.
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
  /** Laid over the environment of the tests, from which every setting of Porchlight has been taken out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where its data is; a fresh directory, removed when the process is disposed of, when there is none. */
  readonly directory?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface PorchlightProcess extends AsyncDisposable {
  /** Without a path, such as http://127.0.0.1:40123. */
  readonly origin: string;
  readonly port: number;
  readonly directory: string;
  readonly pid: number;
  readonly apiKey: string;
  /** What it has printed so far, on both streams. */
  readonly output: () => string;
  readonly exited: Promise<Exit>;
  signal(name: NodeJS.Signals): void;
  /** SIGTERM; waits until it is gone. */
  stop(): Promise<Exit>;
  /** SIGKILL; waits until it is gone. */
  kill9(): Promise<Exit>;
}

/** A run of `porchlight serve` that may also fail to start. */
export interface Run {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly output: () => string;
  readonly exited: Promise<Exit>;
  /** Removes what it made on disk, and the process if it still runs. */
  readonly dispose: () => Promise<void>;
}

const running = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of running) child.kill('SIGKILL');
};
process.on('exit', killAll);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => {
    killAll();
    process.exit(1);
  });
}

/** Spawns the server and waits for nothing. */
export const spawnPorchlight = (options: StartOptions = {}): Run => {
  const own = options.directory === undefined;
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
      // A machine that runs many tests at once is late by itself; those about lateness say so.
      PORCHLIGHT_MAX_LAG: '60s',
      ...options.env,
    },
  });
  running.add(child);
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => (printed += text));
  }
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    // Not 'exit': what it printed last has been read by then.
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  return {
    child,
    directory,
    output: () => printed,
    exited,
    dispose: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
      if (own) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};

/** Starts the server and waits until it says that it is ready. */
export const startPorchlight = async (options: StartOptions = {}): Promise<PorchlightProcess> => {
  const run = spawnPorchlight(options);
  let origin: string;
  try {
    origin = await readyAt(run);
  } catch (error) {
    await run.dispose();
    throw error;
  }
  const end = async (signal: NodeJS.Signals): Promise<Exit> => {
    run.child.kill(signal);
    return within(run.exited, STOP_WITHIN_MS, () => `The server did not stop at ${signal}:\n${run.output()}`);
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
    kill9: () => end('SIGKILL'),
    [Symbol.asyncDispose]: run.dispose,
  };
};

/** The memory that the server's process takes now, in MiB. */
export const rssOf = ({ pid }: Pick<PorchlightProcess, 'pid'>): number => {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
};

export interface TokenOptions {
  /** Claims beside `sub`; one of undefined is left out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** From now, in seconds; may be negative. One hour, if it is not said. */
  readonly expiresInS?: number;
  readonly secret?: string;
}

/** A user's JWT, as the app's backend would sign it. */
export const mintToken = (userId: string, options: TokenOptions = {}): Promise<string> => {
  const now = Math.floor(Date.now() / 1_000);
  const claims: JWTPayload = { sub: userId, iat: now, exp: now + (options.expiresInS ?? 3_600), ...options.claims };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(options.secret ?? JWT_SECRET));
};

const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith('PORCHLIGHT_') && name !== 'PORT' && name !== 'NODE_ENV'),
  );

const readyAt = async (run: Run): Promise<string> => {
  const deadline = performance.now() + START_WITHIN_MS;
  let gone = false;
  run.exited.then(
    () => (gone = true),
    () => (gone = true),
  );
  while (performance.now() < deadline) {
    // Port 0 was asked for, so where it listens is what it says.
    const port = /https?:\/\/[\w.[\]:-]+?:(\d+)/.exec(run.output())?.[1];
    if (port !== undefined) {
      const origin = `http://127.0.0.1:${port}`;
      const health = await fetch(`${origin}/health/ready`).catch(() => null);
      await health?.body?.cancel();
      if (health?.status === 200) return origin;
    }
    if (gone) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`The server did not become ready${gone ? ', it ended' : ''}. It said:\n${run.output()}`);
};

/** @throws an error with these words when the promise takes longer. */
export const within = async <T>(promise: Promise<T>, ms: number, words: () => string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(words())), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
};
