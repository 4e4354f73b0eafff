// Measured servers that are programs of the system: started on a port of their own, and gone when the bench is.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { sleep } from '../os.js';
import { bound } from './lifetime.js';

const START_WITHIN_MS = 60_000;
/** Daemons stand where a user's PATH does not lead. */
const ALSO_IN = ['/usr/sbin', '/usr/local/sbin'];

/**
 * Where a program stands, null where it is not installed.
 * @param {string} name
 */
export function find(name) {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...ALSO_IN];
  return folders.map((folder) => join(folder, name)).find(isProgram) ?? null;
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * A free port, for servers that cannot choose one.
 * @returns {Promise<number>}
 */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0));
    });
  });
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ port: number, env?: Record<string, string>, collects?: boolean }} options ready when something
 *   listens on `port`. One that `collects` answers a line by collecting its garbage, and with a line.
 * @returns {Promise<import('./process.js').Server>}
 */
export async function startProgram(program, args, { port, env = {}, collects = false }) {
  const began = performance.now();
  // The kernel ends it even when the bench is killed and clears nothing up; its pid stays the same.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const output of [child.stdout, child.stderr]) output.setEncoding('utf8').on('data', (text) => (printed += text));
  // Written to after its end: a caller that waits for it receives the error.
  child.stdin.on('error', () => undefined);
  let ended = false;
  const { exited, stop } = bound(child);
  child.once('error', (error) => (printed += error.message));
  void exited.then(() => (ended = true));
  while (!(await listens(port))) {
    if (ended) throw new Error(`${program} ended:\n${printed}`);
    if (performance.now() - began > START_WITHIN_MS) {
      await stop('SIGKILL');
      throw new Error(`${program} did not start:\n${printed}`);
    }
    await sleep(20);
  }
  return {
    port,
    pid: child.pid ?? 0,
    readyMs: performance.now() - began,
    output: () => printed,
    // There is nothing else to be seen inside.
    ask: async (what) => {
      if (!collects || what !== 'collect') return;
      const answered = once(child.stdout, 'data');
      child.stdin.write('collect\n');
      await Promise.race([answered, exited]);
    },
    // Nothing is worth keeping.
    stop: () => stop('SIGKILL'),
  };
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
