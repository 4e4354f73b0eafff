/** A directory that is kept while servers in it are stopped or killed and started again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ProcessExit, type PorchlightProcess, startPorchlight } from '../porchlight-process.ts';

type Env = Readonly<Record<string, string>>;

export interface RestartHarness extends AsyncDisposable {
  readonly directory: string;
  readonly database: string;
  /** Starts a server; one at a time. `env` is added to the environment of the harness. */
  start(env?: Env): Promise<PorchlightProcess>;
}

/** @param env the environment of every server that is started. */
export const createRestartHarness = (env: Env = {}): RestartHarness => {
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-restart-'));
  const servers: PorchlightProcess[] = [];
  return {
    directory,
    database: join(directory, 'porchlight.db'),
    start: async (also = {}) => {
      const server = await startPorchlight({ directory, env: { ...env, ...also } });
      servers.push(server);
      return server;
    },
    [Symbol.asyncDispose]: async () => {
      for (const server of servers) await server[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};

/** The two ways to end a server. */
export const SHUTDOWN_METHODS: readonly (readonly [string, (server: PorchlightProcess) => Promise<ProcessExit>])[] = [
  ['stopped with SIGTERM', (server) => server.stop()],
  ['killed with SIGKILL', (server) => server.sigkill()],
];
