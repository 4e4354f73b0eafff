/** What clients asked for on one socket and have not had the last answer to. */
import { OperationTypeNode } from 'graphql';
import type { Operation } from './documents.ts';

interface Entry {
  readonly operation: Operation;
  /** The last of its answers is written, or cannot be. */
  readonly done: Promise<void>;
}

type Which = (operation: Operation) => boolean;

export const isLogin: Which = ({ rootFields }) => rootFields.has('login');

export const isReply: Which = ({ node }) => node.operation !== OperationTypeNode.SUBSCRIPTION;

/** The subscription that tells why completes by itself when the session has ended. */
export const isReplyOrEnding: Which = (operation) => isReply(operation) || operation.rootFields.has('sessionEnded');

export class UnderWay {
  readonly #entries = new Set<Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** @param failed hears of what kept it from being answered. */
  add(operation: Operation, delivered: Promise<void>, failed: (error: unknown) => void): void {
    const over = (): void => {
      this.#entries.delete(entry);
    };
    const done = delivered.then(over, (error: unknown) => {
      over();
      failed(error);
    });
    const entry: Entry = { operation, done };
    this.#entries.add(entry);
  }

  has(which: Which): boolean {
    for (const { operation } of this.#entries) if (which(operation)) return true;
    return false;
  }

  /** Waits for those that are under way now, at most `boundMs`: nobody can hold it up for ever. */
  async drained(which: Which, boundMs: number): Promise<void> {
    if (!this.has(which)) return;
    let timer: NodeJS.Timeout | undefined;
    const bound = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, boundMs);
    });
    await Promise.race([this.settled(which), bound]);
    clearTimeout(timer);
  }

  /** Waits for those that are under way now, as long as it takes: without a socket nothing holds them up. */
  async settled(which: Which): Promise<void> {
    const these = [...this.#entries].filter(({ operation }) => which(operation));
    await Promise.all(these.map(({ done }) => done));
  }
}
