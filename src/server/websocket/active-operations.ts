/** What clients asked for on one socket and have not had the last answer to. */
import type { Operation, OperationPredicate } from '../graphql/operation.ts';

interface ActiveOperation {
  /** The client's name for it. */
  readonly id: string;
  readonly operation: Operation;
  /** False: the client has taken its name back, and is told nothing more of it. */
  readonly isActive: boolean;
}

/** Answers that are made or on their way to one client at once, of those that may be large. */
export const MAX_CONCURRENT_RESPONSES = 4;

export class ActiveOperations<E extends ActiveOperation> {
  /** A list: there are few, and most sockets have one, or none, for as long as they are open. */
  #entries: E[] | null = null;
  #waiting: { readonly left: Set<E>; readonly resolve: () => void }[] | null = null;
  #answering = 0;
  #inLine: (() => void)[] | null = null;

  get size(): number {
    return this.#entries?.length ?? 0;
  }

  /** A copy. */
  toArray(): readonly E[] {
    return this.#entries?.slice() ?? [];
  }

  /** The one that the client means by this name. */
  findById(id: string): E | undefined {
    return this.#entries?.find((entry) => entry.id === id && entry.isActive);
  }

  add(entry: E): void {
    if (this.#entries === null) this.#entries = [entry];
    else this.#entries.push(entry);
  }

  /** The last of its answers is written, or cannot be. Again is no matter. */
  remove(entry: E): void {
    const at = this.#entries?.indexOf(entry) ?? -1;
    if (this.#entries === null || at < 0) return;
    if (this.#entries.length === 1) this.#entries = null;
    else this.#entries.splice(at, 1);
    if (this.#waiting === null) return;
    for (const { left, resolve } of this.#waiting) if (left.delete(entry) && left.size === 0) resolve();
    this.#waiting = this.#waiting.filter(({ left }) => left.size > 0);
  }

  hasMatching(which: OperationPredicate): boolean {
    return this.#entries?.some(({ operation }) => which(operation)) ?? false;
  }

  /**
   * Before an answer is made that may be large: whoever asks for very many at once and reads none is to fill a
   * few answers' room, not all of theirs. Null: now; else it resolves when it may be made. `answered` is due after it.
   */
  acquireResponseSlot(): Promise<void> | null {
    if (this.#answering < MAX_CONCURRENT_RESPONSES) {
      this.#answering++;
      return null;
    }
    return new Promise((resolve) => (this.#inLine ??= []).push(resolve));
  }

  /** It is on its way, or nobody is there any more. */
  releaseResponseSlot(): void {
    const next = this.#inLine?.shift();
    if (this.#inLine?.length === 0) this.#inLine = null;
    if (next === undefined) this.#answering--;
    else next();
  }

  /** Waits for those that are under way now, at most `boundMs`: nobody can hold it up for ever. */
  async waitForMatchingUpTo(which: OperationPredicate, boundMs: number): Promise<void> {
    if (!this.hasMatching(which)) return;
    let timer: NodeJS.Timeout | undefined;
    const bound = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, boundMs);
    });
    await Promise.race([this.waitForMatching(which), bound]);
    clearTimeout(timer);
  }

  /** Waits for those that are under way now, as long as it takes: without a socket nothing holds them up. */
  waitForMatching(which: OperationPredicate): Promise<void> {
    const left = new Set(this.toArray().filter(({ operation }) => which(operation)));
    if (left.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      (this.#waiting ??= []).push({ left, resolve });
    });
  }
}
