// The server that is tried: started, killed, stopped, put to sleep, and looked at from outside.
import { fork, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ADDRESS as RECEIVERS, PATIENCE_MS } from '../webhooks/receiver.js';
import { sleep } from '../time.js';
import { API_KEY, JWT_SECRET } from '../clients/tokens.js';

const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 20_000;
/** The levels that the soak test reports. */
const REPORTED_LEVELS = ['warn', 'error', 'fatal'];

/** @typedef {{ spawnedAt: number, readyAt: number, endedAt: number, how: string }} Epoch */
/** @typedef {{ code: number | null, signal: string | null }} Exit */
/** @typedef {{ level: string, msg: string, line: string }} LogLine */

/** A port that was free a moment ago. @returns {Promise<number>} */
export const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class SoakServer {
  /** @type {Epoch[]} */
  starts = [];
  /** @type {{ from: number, to: number }[]} */
  pauses = [];
  isUp = false;
  port;
  /** @type {(line: LogLine) => void} */
  onWarning = () => undefined;
  /** Every line that it logs. @type {(line: string) => void} */
  onLine = () => undefined;
  /** The process ended although the soak did not end it. @type {(exit: Exit, said: string) => void} */
  onDeath = () => undefined;
  #options;
  /** @type {import('node:child_process').ChildProcess | null} */
  #child = null;
  /** @type {Promise<Exit>} */
  #exited = Promise.resolve({ code: 0, signal: null });
  #isExpectedToEnd = false;
  /** @type {(() => void)[]} */
  #waiting = [];
  #said = '';

  /** @param {{ dist: string, directory: string, port: number, env: Record<string, string> }} options */
  constructor(options) {
    this.#options = options;
    this.port = options.port;
  }

  get database() {
    return join(this.#options.directory, 'porchlight.db');
  }

  get pid() {
    return this.#child?.pid ?? 0;
  }

  /** @param {number} at */
  startAt(at) {
    return this.starts.findLast(({ spawnedAt }) => spawnedAt <= at);
  }

  /** @throws when it does not start */
  async start() {
    const spawnedAt = Date.now();
    const { dist, directory } = this.#options;
    this.#said = '';
    this.#isExpectedToEnd = false;
    const child = spawn(process.execPath, [join(dist, 'cli/cli.js'), 'serve'], {
      cwd: directory,
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    running.add(child);
    /** @type {Epoch} */
    const epoch = { spawnedAt, readyAt: Infinity, endedAt: Infinity, how: '' };
    this.starts.push(epoch);
    this.#exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        running.delete(child);
        this.isUp = false;
        epoch.endedAt = Date.now();
        epoch.how = signal ?? `exit ${code}`;
        if (!this.#isExpectedToEnd && epoch.readyAt !== Infinity)
          this.onDeath({ code, signal }, this.#said.slice(-4_000));
        resolve({ code, signal });
      });
    });
    let rest = '';
    child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#readLine(line);
    });
    child.stdout.resume();
    for (const until = Date.now() + START_WITHIN_MS; Date.now() < until && child.exitCode === null; await sleep(10)) {
      const health = await fetch(`http://127.0.0.1:${this.port}/health/ready`).catch(() => null);
      await health?.body?.cancel();
      if (health?.status !== 200) continue;
      epoch.readyAt = Date.now();
      this.isUp = true;
      for (const wake of this.#waiting.splice(0)) wake();
      return epoch;
    }
    throw new Error(`The server did not become ready:\n${this.#said}`);
  }

  /** @param {'SIGKILL' | 'SIGTERM'} signal @returns {Promise<Exit>} */
  async end(signal) {
    this.#isExpectedToEnd = true;
    this.isUp = false;
    this.#child?.kill(signal);
    const late = sleep(STOP_WITHIN_MS).then(() => /** @type {Exit} */ ({ code: null, signal: 'it did not end' }));
    const exit = await Promise.race([this.#exited, late]);
    if (exit.signal === 'it did not end') this.#child?.kill('SIGKILL');
    return exit;
  }

  /** The process does nothing for a while. @param {() => Promise<unknown>} meanwhile */
  async pauseProcess(meanwhile) {
    const nap = { from: Date.now(), to: Infinity };
    this.pauses.push(nap);
    this.#child?.kill('SIGSTOP');
    try {
      await meanwhile();
    } finally {
      this.#child?.kill('SIGCONT');
      nap.to = Date.now();
    }
  }

  /** Resolves when it is ready to serve. @returns {Promise<void>} */
  up() {
    return this.isUp ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Rejects everything that waits for the process. */
  release() {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /**
   * Another command of the program. Resolves with its exit code and what it said.
   * @param {readonly string[]} args
   * @returns {Promise<{ code: number | null, said: string }>}
   */
  command(args) {
    const { dist, directory } = this.#options;
    const child = fork(join(dist, 'cli/cli.js'), args, { cwd: directory, env: this.environment, stdio: 'pipe' });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text) => (said += text));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, said }));
    });
  }

  /** Without what would change a server. */
  get environment() {
    const own = Object.entries(process.env).filter(
      ([name]) => !name.startsWith('PORCHLIGHT_') && name !== 'PORT' && name !== 'NODE_OPTIONS',
    );
    return {
      ...Object.fromEntries(own),
      NODE_ENV: 'production',
      PORCHLIGHT_PORT: String(this.port),
      PORCHLIGHT_DATABASE: this.database,
      PORCHLIGHT_JWT_SECRET: JWT_SECRET,
      // The devices sign their tokens on this machine, and log in again at once after a revocation.
      PORCHLIGHT_JWT_CLOCK_TOLERANCE: '0s',
      PORCHLIGHT_API_KEYS: API_KEY,
      PORCHLIGHT_LOG_LEVEL: 'warn',
      PORCHLIGHT_LOG_USER_IDS: 'true',
      PORCHLIGHT_WEBHOOK_ALLOW_HTTP: 'true',
      PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: `${RECEIVERS}/32`,
      PORCHLIGHT_WEBHOOK_TIMEOUT: `${PATIENCE_MS}ms`,
      ...this.#options.env,
    };
  }

  /** Open file descriptors. */
  descriptors() {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Memory that it holds, in bytes; null when it is not there. */
  rss() {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(this.#proc('status'))?.[1];
    return kib === undefined ? null : Number(kib) * 1_024;
  }

  /** How long its threads, all together, have been ready to run and had no core, in ms. */
  waitedForCore() {
    let sum = 0;
    for (const thread of this.#threads()) {
      const [, nanoseconds] = this.#proc(`task/${thread}/schedstat`).split(' ');
      sum += Number(nanoseconds ?? 0);
    }
    return sum / 1e6;
  }

  /** CPU time of all of its threads, in ms. */
  cpuMs() {
    const stat = this.#proc('stat');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** @returns {string[]} */
  #threads() {
    try {
      return readdirSync(`/proc/${this.pid}/task`);
    } catch {
      // It is gone.
      return [];
    }
  }

  /** @param {string} file */
  #proc(file) {
    try {
      return readFileSync(`/proc/${this.pid}/${file}`, 'latin1');
    } catch {
      return '';
    }
  }

  /** @param {string} line */
  #readLine(line) {
    this.#said = `${this.#said}${line}\n`.slice(-20_000);
    this.onLine(line);
    /** @type {{ level?: string, msg?: string }} */
    let said;
    try {
      said = JSON.parse(line);
    } catch {
      // No log line: what Node itself says of a process that breaks.
      if (line.trim() !== '') this.onWarning({ level: 'error', msg: line, line });
      return;
    }
    const { level = '', msg = '' } = said;
    if (REPORTED_LEVELS.includes(level)) this.onWarning({ level, msg, line });
  }
}
