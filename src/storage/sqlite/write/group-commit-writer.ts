/**
 * The main thread's end of the writer: group commit. What arrives while one commit is being written
 * goes into the next, in the order of arrival, so that one fsync serves hundreds. When more is waiting
 * than one commit takes, the next ones are sent ahead, so that the writer's thread is never idle while
 * this one puts in force what the last commit wrote.
 */
import { Worker } from 'node:worker_threads';
import type { Workload } from '../../../app/ports/presence-store.ts';
import { workerUrl } from '../../../process/worker-url.ts';
import { Commits } from './commit-metrics.ts';
import { NotWritten, StoreFailure } from '../file/errors.ts';
import type { Batch, Order, PurgeOrder, Purged, Reply, WriterData } from './writer-messages.ts';

/** How entries become rows, and what is to be done when they are on disk, or are not. */
export interface WriterHandlers<Entry> {
  /** Called right before the batch is sent. Batches before it may still be being written, and fail without it. */
  encode(entries: readonly Entry[]): Batch;
  /** The batch is durable. */
  committed(entries: readonly Entry[]): void;
  /** Nothing of the batch was written. */
  failed(entries: readonly Entry[], error: StoreFailure | NotWritten): void;
  /** The writer is dead: every entry was, and each later one will be, told so by `failed`. */
  died(error: StoreFailure): void;
}

interface Question {
  readonly settle: (reply: Extract<Reply, { kind: 'done' | 'closed' }>) => void;
  readonly refuse: (error: StoreFailure | NotWritten) => void;
}

/** What will be one commit. */
interface Portion<Entry> {
  readonly entries: Entry[];
  /** When the first of them came. */
  readonly since: number;
}

/** Bounds the time that one commit takes on either thread, and with it how long everybody else waits: some ms. */
const MAX_ENTRIES = 256;
/** Full commits sent and not answered yet. With less than a full one waiting, one is sent at a time. */
const MAX_SENT = 2;

const WORKER_URL = workerUrl(import.meta.url, './writer-worker.js');

export class Writer<Entry> {
  readonly commits = new Commits();
  readonly #worker: Worker;
  readonly #handlers: WriterHandlers<Entry>;
  /** Asked and not answered yet; answers come in this order. */
  readonly #questions: Question[] = [];
  readonly #now: () => number;
  /** All but the last are full. */
  #waiting: Portion<Entry>[] = [];
  /** Commits sent and not answered yet, the oldest first. */
  readonly #sent: Portion<Entry>[] = [];
  #scheduled = false;
  #dead: StoreFailure | null = null;
  /** When dead: the thread is gone, and with it its hold on the file. */
  #ended: Promise<unknown> | undefined;
  #closed = false;

  private constructor(worker: Worker, handlers: WriterHandlers<Entry>, now: () => number) {
    this.#worker = worker;
    this.#handlers = handlers;
    this.#now = now;
    worker.on('message', (reply: Reply) => this.#answered(reply));
    worker.on('error', (error) => this.#die(new StoreFailure('DEAD', 'The writer thread failed.', { cause: error })));
    worker.on('exit', (code) => {
      if (!this.#closed) this.#die(new StoreFailure('DEAD', `The writer thread ended by itself (exit code ${code}).`));
    });
  }

  /**
   * @param now milliseconds, never set back.
   * @throws the reason why the thread, or its connection, could not be opened.
   */
  static start<Entry>(data: WriterData, handlers: WriterHandlers<Entry>, now: () => number): Promise<Writer<Entry>> {
    const worker = new Worker(WORKER_URL, { workerData: data });
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', () => {
        worker.off('error', reject);
        resolve(new Writer(worker, handlers, now));
      });
    });
  }

  /** Adds an entry to the next commit. */
  submit(entry: Entry): void {
    const dead = this.#dead;
    if (dead !== null) {
      // Not at once: those who waited for this entry are to fail one after another, not one within the other.
      queueMicrotask(() => this.#handlers.failed([entry], dead));
      return;
    }
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.entries.length < MAX_ENTRIES) last.entries.push(entry);
    else this.#waiting.push({ entries: [entry], since: this.#now() });
    this.#schedule();
  }

  /** What was submitted and not answered yet. */
  workload(): Workload {
    const oldest = this.#sent[0] ?? this.#waiting[0];
    if (oldest === undefined) return { waiting: 0, waitedMs: 0 };
    let waiting = Math.max(this.#waiting.length - 1, 0) * MAX_ENTRIES + (this.#waiting.at(-1)?.entries.length ?? 0);
    for (const { entries } of this.#sent) waiting += entries.length;
    return { waiting, waitedMs: this.#now() - oldest.since };
  }

  /** Does one portion of the retention's work. */
  purge(purge: PurgeOrder): Promise<Purged> {
    return new Promise((resolve, reject) => {
      this.#ask(
        { kind: 'purge', purge },
        {
          settle: (reply) => {
            if (reply.kind === 'done' && reply.purged !== null) resolve(reply.purged);
            else reject(new StoreFailure('DEAD', 'The writer thread answered what was not asked.'));
          },
          refuse: reject,
        },
      );
    });
  }

  /** Looks whether the file that is written to is still there. @throws StoreFailure; the writer is dead then. */
  check(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ask({ kind: 'check' }, { settle: () => resolve(), refuse: reject });
    });
  }

  /** Nothing is written any more: somebody else has found out that the file cannot be trusted. */
  abandon(why: StoreFailure): void {
    this.#die(why);
  }

  /** Folds the write-ahead log into the file and closes it. To be called when nothing is waiting. */
  async close(): Promise<void> {
    if (this.#dead !== null) await this.#ended;
    else await this.#close();
  }

  #close(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ask(
        { kind: 'close' },
        {
          settle: () => {
            this.#closed = true;
            resolve();
          },
          refuse: (error) => {
            this.#closed = true;
            reject(error);
          },
        },
      );
    });
  }

  /** At the end of this turn of the event loop, so that what one turn brings is one commit. */
  #schedule(): void {
    if (this.#scheduled || !this.#mayCommit()) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#commit();
    });
  }

  #mayCommit(): boolean {
    if (this.#dead !== null) return false;
    const [next] = this.#waiting;
    if (next === undefined || this.#sent.length === 0) return next !== undefined;
    return this.#sent.length < MAX_SENT && next.entries.length >= MAX_ENTRIES;
  }

  /** One at a time: what more there is to be sent is sent in a turn of its own. */
  #commit(): void {
    const portion = this.#mayCommit() ? this.#waiting.shift() : undefined;
    if (portion === undefined) return;
    const { entries } = portion;
    this.#sent.push(portion);
    const answered = this.commits.begin(entries.length);
    const then = (isDurable: boolean, tell: () => void): void => {
      this.#sent.shift();
      answered(isDurable);
      tell();
      // At once: nothing is being written now.
      if (this.#sent.length === 0) this.#commit();
      this.#schedule();
    };
    this.#ask(
      { kind: 'commit', batch: this.#handlers.encode(entries) },
      {
        settle: () => then(true, () => this.#handlers.committed(entries)),
        refuse: (error) => then(false, () => this.#handlers.failed(entries, error)),
      },
    );
    this.#schedule();
  }

  #ask(order: Order, question: Question): void {
    if (this.#dead !== null) {
      question.refuse(this.#dead);
      return;
    }
    this.#questions.push(question);
    this.#worker.postMessage(order);
  }

  #answered(reply: Reply): void {
    if (reply.kind === 'ready') return;
    const question = this.#questions.shift();
    if (question === undefined) return;
    if (reply.kind === 'failed') {
      const error = reply.fatal
        ? new StoreFailure('DEAD', `The database cannot be trusted any more: ${reply.message}.`)
        : new NotWritten(`The database could not be written: ${reply.message}.`);
      question.refuse(error);
      if (error instanceof StoreFailure) this.#die(error);
      return;
    }
    question.settle(reply);
  }

  #die(error: StoreFailure): void {
    if (this.#dead !== null) return;
    this.#dead = error;
    for (const question of this.#questions.splice(0)) question.refuse(error);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { entries } of waiting) this.#handlers.failed(entries, error);
    this.#handlers.died(error);
    this.#ended = this.#worker.terminate();
  }
}
