/** Runs Debian's nginx, HAProxy and Caddy as child processes, each in a temporary directory, without root. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../../support/optional-tools.ts';
import { withTimeout } from '../../support/porchlight-process.ts';
import type { Substitutes, TlsFiles } from './configurations.ts';

const START_WITHIN_MS = 30_000;
/** Between the choice of a free port and its use, a parallel test may take it. */
const PORT_ATTEMPTS = 5;

export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** The certificate, which is self-signed for 127.0.0.1. */
  readonly ca: string;
  /** Everything that the proxy has logged. */
  readonly output: () => string;
}

export type Software = 'nginx' | 'haproxy' | 'caddy';

/** The line of the log after which the proxy listens. */
const READY_LINES: Readonly<Record<Software, RegExp>> = {
  nginx: /start worker process \d/,
  haproxy: /Loading success/,
  caddy: /serving initial configuration/,
};

/** Runs the proxy. @param createConfiguration returns the file, for HAProxy complete, for nginx what conf.d/ holds. */
export const startProxy = async (
  software: Software,
  serverPort: number,
  createConfiguration: (substitutes: Substitutes) => string,
): Promise<Proxy> => {
  const directory = mkdtempSync(join(tmpdir(), `porchlight-${software}-`));
  const tls = createCertificate(directory);
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort();
    const configuration = createConfiguration({ port, serverPort, tls });
    const child = SPAWN[software](directory, configuration);
    const proxy = new ProxyProcess(child, directory);
    try {
      await proxy.waitUntilReady(READY_LINES[software]);
      const { output } = proxy;
      return {
        port,
        ca: readFileSync(tls.certificate, 'utf8'),
        output,
        [Symbol.asyncDispose]: async () => {
          await proxy.stop();
          rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
        },
      };
    } catch (error) {
      await proxy.stop();
      if (attempt === PORT_ATTEMPTS || !/in use/i.test(proxy.output())) throw error;
    }
  }
};

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

class ProxyProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #directory: string;
  #output = '';
  #onOutput: (() => void) | null = null;

  constructor(child: ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
    running.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        this.#onOutput?.();
      });
    }
    this.#exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => {
        running.delete(child);
        resolve();
      });
    });
  }

  readonly output = (): string => this.#output;

  /** Waits for a line of the log. @throws with the log when the proxy exits first, or does not log it in time. */
  async waitUntilReady(line: RegExp): Promise<void> {
    const logged = new Promise<void>((resolve) => {
      this.#onOutput = () => {
        if (line.test(this.#output)) resolve();
      };
    });
    const failed = this.#exited.then(() => {
      throw new Error(`The proxy in ${this.#directory} exited. Its output:\n${this.#output}`);
    });
    await withTimeout(
      Promise.race([logged, failed]),
      START_WITHIN_MS,
      () => `The proxy did not start. Its output:\n${this.#output}`,
    );
  }

  /** SIGTERM makes both programs exit at once, with all their connections. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#exited;
  }
}

/** As Debian's nginx.conf, with the paths of a user. */
const spawnNginx = (directory: string, configuration: string): ChildProcess => {
  mkdirSync(join(directory, 'temp'), { recursive: true });
  writeFileSync(join(directory, 'site.conf'), configuration);
  const main = [
    'daemon off;',
    // Otherwise root's nginx runs its workers as a user who cannot read the temporary directory.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'worker_processes 1;',
    `pid ${directory}/nginx.pid;`,
    'error_log stderr notice;',
    'events { worker_connections 512; }',
    'http {',
    '  access_log off;',
    '  gzip on;',
    '  default_type application/octet-stream;',
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `  ${name}_temp_path ${directory}/temp/${name};`,
    ),
    `  include ${directory}/site.conf;`,
    '}',
  ];
  const path = join(directory, 'nginx.conf');
  writeFileSync(path, `${main.join('\n')}\n`);
  return spawnTool('nginx', ['-p', directory, '-e', 'stderr', '-c', path]);
};

const spawnHaproxy = (directory: string, configuration: string): ChildProcess => {
  const path = join(directory, 'haproxy.cfg');
  writeFileSync(path, configuration);
  // -W -db: a master process in the foreground, which logs when its worker listens.
  return spawnTool('haproxy', ['-W', '-db', '-f', path]);
};

const spawnCaddy = (directory: string, configuration: string): ChildProcess => {
  const path = join(directory, 'Caddyfile');
  writeFileSync(path, configuration);
  return spawnTool('caddy', ['run', '--config', path, '--adapter', 'caddyfile'], { HOME: directory });
};

const SPAWN: Readonly<Record<Software, (directory: string, configuration: string) => ChildProcess>> = {
  nginx: spawnNginx,
  haproxy: spawnHaproxy,
  caddy: spawnCaddy,
};

const spawnTool = (software: Software, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess =>
  spawn(software, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env, PATH: toolPath() } });

const createCertificate = (directory: string): TlsFiles => {
  const files = {
    certificate: join(directory, 'certificate.pem'),
    key: join(directory, 'key.pem'),
    bundle: join(directory, 'bundle.pem'),
  };
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  const keyType = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync(
    'openssl',
    ['req', '-x509', ...keyType, ...subject, '-days', '2', '-keyout', files.key, '-out', files.certificate],
    { stdio: 'pipe' },
  );
  writeFileSync(files.bundle, readFileSync(files.certificate, 'utf8') + readFileSync(files.key, 'utf8'), {
    mode: 0o600,
  });
  return files;
};

const findFreePort = async (): Promise<number> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};
