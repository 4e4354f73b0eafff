/** A directory that outlives the servers in it, which are stopped or killed and started again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ProcessExit, type PorchlightProcess, startPorchlight } from '../porchlight-process.ts';

type Env = Readonly<Record<string, string>>;

export interface RestartHarness extends AsyncDisposable {
  readonly directory: string;
  readonly database: string;
  /** One server at a time; what is given is laid over the environment of the place. */
  start(env?: Env): Promise<PorchlightProcess>;
}

/** @param env for every server that is started there. */
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

/** The two ways in which a server ends. */
export const SHUTDOWN_METHODS: readonly (readonly [string, (server: PorchlightProcess) => Promise<ProcessExit>])[] = [
  ['stopped with SIGTERM', (server) => server.stop()],
  ['killed with SIGKILL', (server) => server.sigkill()],
];
