// How each peer is started, and why one cannot be.
import { Buffer } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PUSHER } from '../client/peers/pusher.js';
import { JWT_SECRET } from '../client/tokens.js';
import { XMPP_HOST } from '../client/peers/xmpp.js';
import { start } from './process.js';
import { find, freePort, startProgram } from './program.js';

const FOLDER = fileURLToPath(new URL('../peers', import.meta.url));

/** @param {string} path a script of ours */
const script = (path) => () => start(fileURLToPath(new URL(path, import.meta.url)), [], { env: { JWT_SECRET } });

/** It takes the same libraries as Porchlight, so it does not stand with the installed ones. */
export const startNaive = script('./naive.js');
export const startSocketIo = script('../peers/socket-io.js');

export async function startSoketi() {
  const port = await freePort();
  return start(join(FOLDER, 'node_modules/@soketi/soketi/bin/server.js'), ['start'], {
    env: {
      SOKETI_HOST: '127.0.0.1',
      SOKETI_PORT: String(port),
      SOKETI_METRICS_HOST: '127.0.0.1',
      SOKETI_METRICS_SERVER_PORT: String(await freePort()),
      SOKETI_DEFAULT_APP_KEY: PUSHER.key,
      SOKETI_DEFAULT_APP_SECRET: PUSHER.secret,
      SOKETI_DEFAULT_APP_ENABLE_CLIENT_MESSAGES: '1',
      // A hundred is its default.
      SOKETI_PRESENCE_MAX_MEMBERS: '100000',
      SOKETI_SHUTDOWN_GRACE_PERIOD: '0',
    },
  });
}

/** No client needs a password, nothing is written to the disk, and no delivery waits for another. */
export async function startMosquitto(/** @type {string} */ directory) {
  const port = await freePort();
  const settings = join(directory, 'mosquitto.conf');
  const lines = ['allow_anonymous true', 'persistence false', 'set_tcp_nodelay true', 'log_type error'];
  writeFileSync(settings, [`listener ${port} 127.0.0.1`, `user ${userInfo().username}`, ...lines, ''].join('\n'));
  return startProgram(find('mosquitto') ?? 'mosquitto', ['-c', settings], { port });
}

/** Collects all garbage whenever a line comes in, as the bench asks of servers of Node too. */
const COLLECT =
  'spawn(fun Next() -> case io:get_line("") of eof -> halt(); _ -> ' +
  '[garbage_collect(Process) || Process <- processes()], io:put_chars("collected\\n"), Next() end end).';

/** Without the name of a node, so that no epmd is started; and its schedulers sleep when they have nothing to do. */
export async function startEjabberd(/** @type {string} */ directory) {
  const port = await freePort();
  const key = join(directory, 'key.json');
  writeFileSync(key, JSON.stringify({ kty: 'oct', k: Buffer.from(JWT_SECRET).toString('base64url') }));
  const settings = join(directory, 'ejabberd.yml');
  // YAML as JSON.
  const config = {
    loglevel: 'error',
    hosts: [XMPP_HOST],
    auth_method: ['jwt'],
    jwt_key: key,
    jwt_jid_field: 'sub',
    listen: [{ port, ip: '127.0.0.1', module: 'ejabberd_c2s', backlog: 1_000 }],
    modules: { mod_ping: {}, mod_roster: {} },
  };
  writeFileSync(settings, JSON.stringify(config));
  const idle = ['+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none'];
  const database = ['-mnesia', 'dir', JSON.stringify(join(directory, 'database'))];
  const args = ['-noshell', '-eval', COLLECT, '+K', 'true', '+P', '250000', ...idle, ...database, '-s', 'ejabberd'];
  const env = {
    EJABBERD_CONFIG_PATH: settings,
    EJABBERD_LOG_PATH: join(directory, 'ejabberd.log'),
    ERL_CRASH_DUMP: '/dev/null',
    ERL_LIBS: ejabberdLibrary() ?? '',
    ERL_MAX_PORTS: '32000',
    HOME: directory,
  };
  return startProgram(find('erl') ?? 'erl', args, { port, env, collects: true });
}

/** Where its package puts Erlang's libraries, as its own starter says. */
function ejabberdLibrary() {
  const starter = find('ejabberdctl');
  if (starter === null) return null;
  return /^ERL_LIBS='([^']+)'/m.exec(readFileSync(starter, 'utf8'))?.[1] ?? null;
}

/** From the registry that npm is set to; nothing is installed for those who do not ask for it. */
export function install() {
  const { dependencies } = JSON.parse(readFileSync(join(FOLDER, 'package.json'), 'utf8'));
  if (Object.keys(dependencies).every((name) => existsSync(join(FOLDER, 'node_modules', name)))) return;
  const options = ['--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  spawnSync('npm', ['install', ...options, '--prefix', FOLDER], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** @param {string} name */
export const missingPackage = (name) =>
  existsSync(join(FOLDER, 'node_modules', name)) ? null : `npm could not install ${name}`;

/** @param {string} name */
const missingProgram = (name) => (find(name) === null ? `${name} is not installed (apt-get install ${name})` : null);

export const missingMosquitto = () => missingProgram('mosquitto');
export const missingEjabberd = () =>
  ejabberdLibrary() === null || find('erl') === null
    ? 'ejabberd is not installed where Debian puts it (apt-get install ejabberd)'
    : null;
