/** A receiver of webhooks in a separate process (webhook-receiver.js), which can be killed and restarted. */
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withTimeout } from '../porchlight-process.ts';
// eslint-disable-next-line no-restricted-imports -- the source is JavaScript, because it runs without a build.
import type { Behaviour, ReceivedRequest, Rule } from './webhook-receiver.js';

export type { Behaviour, ReceivedRequest, Rule };

const SCRIPT = fileURLToPath(new URL('./webhook-receiver.js', import.meta.url));
const START_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 20_000;

/** Settings of a server that may send to receivers on this machine. */
export const LOCAL_RECEIVERS = {
  PORCHLIGHT_WEBHOOK_ALLOW_HTTP: 'true',
  PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: '127.0.0.0/8',
} as const;

export class ReceiverProcess implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'porchlight-receiver-'));
  readonly #file = join(this.#directory, 'requests');
  readonly #host: string;
  #child: ChildProcess | null = null;
  #port: number;
  #rules: readonly Rule[] = [];
  #secrets: Readonly<Record<string, Readonly<Record<string, string>>>> = {};
  #lastMessageId = 0;
  #waiters: (() => void)[] = [];
  readonly #requests: ReceivedRequest[] = [];
  /** Bytes of the file that were read, and the incomplete line at its end. */
  #read = 0;
  #rest = Buffer.alloc(0);

  private constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    writeFileSync(this.#file, '');
  }

  /** Answers 200 to all requests until `setRules`. */
  static async start({ host = '127.0.0.1', port = 0 } = {}): Promise<ReceiverProcess> {
    const receiver = new ReceiverProcess(host, port);
    await receiver.restart();
    return receiver;
  }

  url(path: string): string {
    return `http://${this.#host}:${this.#port}${path}`;
  }

  get port(): number {
    return this.#port;
  }

  /** The first matching rule decides; without one: 200. Replaces all previous rules, and resolves when they are active. */
  async setRules(...rules: readonly Rule[]): Promise<void> {
    this.#rules = rules;
    await this.#updateProcess({ rules });
  }

  /** Sets the secrets of a path, by names that the test chooses. Resolves when they are active. */
  async setSecrets(path: string, secrets: Readonly<Record<string, string>>): Promise<void> {
    this.#secrets = { ...this.#secrets, [path]: secrets };
    await this.#updateProcess({ secrets: this.#secrets });
  }

  /** All complete requests in order, whatever the response was. */
  requests(path?: string): readonly ReceivedRequest[] {
    this.#readNewRequests();
    return path === undefined ? this.#requests : this.#requests.filter((request) => request.path === path);
  }

  /** Resolves with the requests to a path as soon as they match. @throws after `ms`. */
  async waitForRequests(
    path: string,
    matches: (requests: readonly ReceivedRequest[]) => boolean,
    ms = REQUEST_TIMEOUT_MS,
  ): Promise<readonly ReceivedRequest[]> {
    const deadline = performance.now() + ms;
    for (;;) {
      const nextRequest = new Promise<void>((resolve) => this.#waiters.push(resolve));
      const requests = this.requests(path);
      if (matches(requests)) return requests;
      await withTimeout(nextRequest, deadline - performance.now(), () => {
        const last = requests.slice(-5).map(({ body, ...request }) => ({ ...request, body: body.slice(0, 500) }));
        return `The ${requests.length} requests to ${path} did not match within ${ms} ms. The last: ${JSON.stringify(last)}`;
      });
    }
  }

  /** Sends SIGKILL. The port is closed until `restart`. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await closed;
  }

  /** Starts again on the same port with the same rules. Limits (`times`) start again. */
  async restart(): Promise<void> {
    const child = fork(SCRIPT, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
    this.#child = child;
    const listening = new Promise<number>((resolve, reject) => {
      child.on('message', (message: { port?: number; received?: true }) => {
        if (message.port !== undefined) resolve(message.port);
        if (message.received) this.#resolveWaiters();
      });
      child.once('close', () => reject(new Error('The receiver has exited.')));
    });
    child.send({
      start: { host: this.#host, port: this.#port, file: this.#file, rules: this.#rules, secrets: this.#secrets },
    });
    this.#port = await withTimeout(listening, START_TIMEOUT_MS, () => 'The receiver does not listen.');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #updateProcess(change: object): Promise<void> {
    const child = this.#child;
    // A killed process gets the new state with `restart`.
    if (child === null) return Promise.resolve();
    const id = ++this.#lastMessageId;
    return new Promise((resolve) => {
      const onMessage = ({ done }: { done?: number }): void => {
        if (done !== id) return;
        child.off('message', onMessage);
        resolve();
      };
      child.on('message', onMessage);
      child.send({ ...change, id });
    });
  }

  #readNewRequests(): void {
    const file = openSync(this.#file, 'r');
    try {
      const chunk = Buffer.allocUnsafe(1 << 20);
      for (let size; (size = readSync(file, chunk, 0, chunk.length, this.#read)) > 0;) {
        this.#read += size;
        this.#rest = Buffer.concat([this.#rest, chunk.subarray(0, size)]);
        const end = this.#rest.lastIndexOf('\n') + 1;
        if (end === 0) continue;
        const lines = this.#rest.toString('utf8', 0, end).trimEnd().split('\n');
        this.#rest = this.#rest.subarray(end);
        for (const line of lines) this.#requests.push(JSON.parse(line) as ReceivedRequest);
      }
    } finally {
      closeSync(file);
    }
  }

  #resolveWaiters(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
