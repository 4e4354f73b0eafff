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

  add(operation: Operation, done: Promise<void>): void {
    const entry = { operation, done };
    this.#entries.add(entry);
    void done.then(() => this.#entries.delete(entry));
  }

  has(which: Which): boolean {
    return this.#these(which).length > 0;
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
    await Promise.all(this.#these(which).map(({ done }) => done));
  }

  #these(which: Which): readonly Entry[] {
    return [...this.#entries].filter(({ operation }) => which(operation));
  }
}
