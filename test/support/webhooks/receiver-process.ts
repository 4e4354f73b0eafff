/** A receiver of webhooks as a process of its own (webhook-receiver.js), which can be killed and comes back. */
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withTimeout } from '../porchlight-process.ts';
// eslint-disable-next-line no-restricted-imports -- that is the source: it runs where there is no TypeScript.
import type { Behaviour, ReceivedRequest, Rule } from './webhook-receiver.js';

export type { Behaviour, ReceivedRequest, Rule };

const SCRIPT = fileURLToPath(new URL('./webhook-receiver.js', import.meta.url));
const LISTENS_WITHIN_MS = 20_000;
const HEARD_WITHIN_MS = 20_000;

/** What a server is started with to be allowed to tell receivers on this machine. */
export const LOCAL_RECEIVERS = {
  PORCHLIGHT_WEBHOOK_ALLOW_HTTP: 'true',
  PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: '127.0.0.0/8',
} as const;

export class ReceiverProcess implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'porchlight-receiver-'));
  readonly #file = join(this.#directory, 'heard');
  readonly #host: string;
  #child: ChildProcess | null = null;
  #port: number;
  #rules: readonly Rule[] = [];
  #secrets: Readonly<Record<string, Readonly<Record<string, string>>>> = {};
  #asked = 0;
  #wake: (() => void)[] = [];
  readonly #heard: ReceivedRequest[] = [];
  /** How much of the file has been read, and the beginning of a line whose end is not there yet. */
  #read = 0;
  #rest = Buffer.alloc(0);

  private constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    writeFileSync(this.#file, '');
  }

  /** Answers everything with 200 until it is told otherwise. */
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

  /** The first that fits a request holds for it; none: 200. Replaces those before, and is in force when it resolves. */
  async setRules(...rules: readonly Rule[]): Promise<void> {
    this.#rules = rules;
    await this.#tell({ rules });
  }

  /** The secrets with which requests to a path may be signed, by names of one's own. In force when it resolves. */
  async setSecrets(path: string, secrets: Readonly<Record<string, string>>): Promise<void> {
    this.#secrets = { ...this.#secrets, [path]: secrets };
    await this.#tell({ secrets: this.#secrets });
  }

  /** Every request that was ever read to its end, in this order, whatever became of it. */
  requests(path?: string): readonly ReceivedRequest[] {
    this.#readOn();
    return path === undefined ? this.#heard : this.#heard.filter((heard) => heard.path === path);
  }

  /** Resolves with the requests to a path as soon as they fit. @throws when they do not in time. */
  async waitForRequests(
    path: string,
    fits: (requests: readonly ReceivedRequest[]) => boolean,
    ms = HEARD_WITHIN_MS,
  ): Promise<readonly ReceivedRequest[]> {
    const deadline = performance.now() + ms;
    for (;;) {
      const heard = new Promise<void>((resolve) => this.#wake.push(resolve));
      const requests = this.requests(path);
      if (fits(requests)) return requests;
      await withTimeout(heard, deadline - performance.now(), () => {
        const last = requests.slice(-5).map(({ body, ...request }) => ({ ...request, body: body.slice(0, 500) }));
        return `Of ${requests.length} requests to ${path} nothing fitted within ${ms} ms. The last: ${JSON.stringify(last)}`;
      });
    }
  }

  /** SIGKILL; its port is closed until it is revived. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Starts it again, on the same port and with the same orders: what was to happen some times only, as often anew. */
  async restart(): Promise<void> {
    const child = fork(SCRIPT, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
    this.#child = child;
    const listening = new Promise<number>((resolve, reject) => {
      child.on('message', (message: { port?: number; heard?: true }) => {
        if (message.port !== undefined) resolve(message.port);
        if (message.heard) this.#wakeAll();
      });
      child.once('close', () => reject(new Error('The receiver has ended.')));
    });
    child.send({
      start: { host: this.#host, port: this.#port, file: this.#file, rules: this.#rules, secrets: this.#secrets },
    });
    this.#port = await withTimeout(listening, LISTENS_WITHIN_MS, () => 'The receiver does not listen.');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #tell(what: object): Promise<void> {
    const child = this.#child;
    // Who is dead hears of it when it is revived.
    if (child === null) return Promise.resolve();
    const id = ++this.#asked;
    return new Promise((resolve) => {
      const hear = ({ done }: { done?: number }): void => {
        if (done !== id) return;
        child.off('message', hear);
        resolve();
      };
      child.on('message', hear);
      child.send({ ...what, id });
    });
  }

  #readOn(): void {
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
        for (const line of lines) this.#heard.push(JSON.parse(line) as ReceivedRequest);
      }
    } finally {
      closeSync(file);
    }
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
