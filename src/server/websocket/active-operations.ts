/** What clients asked for on one socket and have not had the last answer to. */
import { OperationTypeNode } from 'graphql';
import type { Operation, OperationOutline } from '../graphql/document-cache.ts';

interface Entry {
  /** The client's name for it. */
  readonly id: string;
  readonly operation: Operation;
  /** False: the client has taken its name back, and is told nothing more of it. */
  readonly isWanted: boolean;
}

type Which = (operation: Operation) => boolean;

/** Answers that are made or on their way to one client at once, of those that may be large. */
export const ANSWERS_AT_ONCE = 4;

export const isLogin: Which = ({ rootFields }) => rootFields.has('login');

export const isReply = ({ node }: OperationOutline): boolean => node.operation !== OperationTypeNode.SUBSCRIPTION;

export const isMutation: Which = ({ node }) => node.operation === OperationTypeNode.MUTATION;

/** The subscription that tells why completes by itself when the session has ended. */
export const isReplyOrEnding: Which = (operation) => isReply(operation) || operation.rootFields.has('sessionEnded');

export class UnderWay<E extends Entry> {
  /** A list: there are few, and most sockets have one, or none, for as long as they are open. */
  #entries: E[] | null = null;
  #waiting: { readonly left: Set<E>; readonly resolve: () => void }[] | null = null;
  #answering = 0;
  #inLine: (() => void)[] | null = null;

  get size(): number {
    return this.#entries?.length ?? 0;
  }

  /** A copy. */
  all(): readonly E[] {
    return this.#entries?.slice() ?? [];
  }

  /** The one that the client means by this name. */
  named(id: string): E | undefined {
    return this.#entries?.find((entry) => entry.id === id && entry.isWanted);
  }

  add(entry: E): void {
    if (this.#entries === null) this.#entries = [entry];
    else this.#entries.push(entry);
  }

  /** The last of its answers is written, or cannot be. Again is no matter. */
  over(entry: E): void {
    const at = this.#entries?.indexOf(entry) ?? -1;
    if (this.#entries === null || at < 0) return;
    if (this.#entries.length === 1) this.#entries = null;
    else this.#entries.splice(at, 1);
    if (this.#waiting === null) return;
    for (const { left, resolve } of this.#waiting) if (left.delete(entry) && left.size === 0) resolve();
    this.#waiting = this.#waiting.filter(({ left }) => left.size > 0);
  }

  has(which: Which): boolean {
    return this.#entries?.some(({ operation }) => which(operation)) ?? false;
  }

  /**
   * Before an answer is made that may be large: whoever asks for very many at once and reads none is to fill a
   * few answers' room, not all of theirs. Null: now; else it resolves when it may be made. `answered` is due after it.
   */
  toAnswer(): Promise<void> | null {
    if (this.#answering < ANSWERS_AT_ONCE) {
      this.#answering++;
      return null;
    }
    return new Promise((resolve) => (this.#inLine ??= []).push(resolve));
  }

  /** It is on its way, or nobody is there any more. */
  answered(): void {
    const next = this.#inLine?.shift();
    if (this.#inLine?.length === 0) this.#inLine = null;
    if (next === undefined) this.#answering--;
    else next();
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
  settled(which: Which): Promise<void> {
    const left = new Set(this.all().filter(({ operation }) => which(operation)));
    if (left.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      (this.#waiting ??= []).push({ left, resolve });
    });
  }
}
