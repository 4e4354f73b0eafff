// Measured servers of Node, as processes of their own that answer what cannot be seen from outside.
import { fork } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { clearTimeout } from 'node:timers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { API_KEY, JWT_SECRET } from '../client/tokens.js';
import { bound, keep } from './lifetime.js';

const INSIDE = fileURLToPath(new URL('./inside.js', import.meta.url));
const START_WITHIN_MS = 120_000;

/** @typedef {{ port: number, pid: number, ask: (what: string) => Promise<any>, stop: () => Promise<void>, output: () => string, readyMs: number }} Server */

/**
 * The command line of a build. Builds of older commits have it at the top.
 * @param {string} dist
 */
function commandLineOf(dist) {
  const script = ['cli/cli.js', 'cli.js'].map((path) => join(dist, path)).find((path) => existsSync(path));
  if (script === undefined) throw new Error(`There is no build in ${dist}. Run npm run build first.`);
  return script;
}

/**
 * A copy of a build, beside it, so that a build made meanwhile does not change what is measured between two rounds.
 * @param {string} dist
 */
export function keepBuild(dist) {
  commandLineOf(dist);
  const copy = keep(mkdtempSync(join(dirname(dist), '.build-bench-')));
  cpSync(dist, copy, { recursive: true });
  return copy;
}

/**
 * @param {string} script
 * @param {readonly string[]} args
 * @param {{ env: Record<string, string>, cwd?: string }} options
 * @returns {Promise<Server>}
 */
export async function start(script, args, { env, cwd }) {
  const began = performance.now();
  const child = fork(script, args, {
    cwd,
    env: { ...withoutSettings(), NODE_ENV: 'production', ...env },
    execArgv: ['--expose-gc', '--import', pathToFileURL(INSIDE).href],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const { exited, stop } = bound(child);
  let printed = '';
  child.stderr?.setEncoding('utf8').on('data', (text) => (printed += text));
  const port = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${script} did not start:\n${printed}`)), START_WITHIN_MS);
    void exited.then(() => reject(new Error(`${script} ended:\n${printed}`)));
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      printed += text;
      const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(printed)?.[1];
      if (found === undefined) return;
      clearTimeout(late);
      resolve(Number(found));
    });
  });
  return {
    port,
    pid: child.pid ?? 0,
    readyMs: performance.now() - began,
    output: () => printed,
    ask: asking(child),
    stop: () => stop('SIGTERM'),
  };
}

/** @param {import('node:child_process').ChildProcess} child */
function asking(child) {
  let id = 0;
  return (/** @type {string} */ ask) =>
    new Promise((resolve) => {
      const own = ++id;
      const onMessage = (/** @type {any} */ message) => {
        if (message.id !== own) return;
        child.off('message', onMessage);
        resolve(message.answer);
      };
      child.on('message', onMessage);
      child.send({ id: own, ask });
    });
}

/**
 * Ours, as users start it.
 * @param {string} dist
 * @param {{ directory: string, env?: Record<string, string> }} options
 */
export function startPorchlight(dist, { directory, env = {} }) {
  return start(commandLineOf(dist), ['serve'], {
    cwd: directory,
    env: {
      PORCHLIGHT_PORT: '0',
      PORCHLIGHT_DATABASE: join(directory, 'porchlight.db'),
      PORCHLIGHT_JWT_SECRET: JWT_SECRET,
      PORCHLIGHT_API_KEYS: API_KEY,
      PORCHLIGHT_LOG_LEVEL: 'silent',
      // A load comes as fast as it is answered, over few sockets and from one address. What counting costs is measured too.
      PORCHLIGHT_RATE_PER_SESSION: '1000000',
      PORCHLIGHT_RATE_PER_USER: '1000000',
      PORCHLIGHT_RATE_PER_ADDRESS: '10000000',
      PORCHLIGHT_MAX_SOCKETS_PER_ADDRESS: '0',
      PORCHLIGHT_MAX_SOCKETS_PER_USER: '0',
      PORCHLIGHT_MAX_WATCHED_PER_SOCKET: '1000000',
      ...env,
    },
  });
}

/**
 * A floor.
 * @param {'echo' | 'json' | 'statuses' | 'hooks'} kind
 * @param {Record<string, string>} env
 */
export const startFloor = (kind, env) => start(fileURLToPath(new URL(`./${kind}.js`, import.meta.url)), [], { env });

/** The environment without what would change a server. */
function withoutSettings() {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !name.startsWith('PORCHLIGHT_') && name !== 'PORT' && name !== 'NODE_OPTIONS',
    ),
  );
}
