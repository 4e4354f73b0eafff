/** The operations of one socket whose last result is not written yet. */
import type { Operation, OperationPredicate } from '../graphql/operation.ts';

interface ActiveOperation {
  /** The id that the client gave the operation. */
  readonly id: string;
  readonly operation: Operation;
  /** False once the client has cancelled the operation. It then receives no further results, and its id is free. */
  readonly isActive: boolean;
}

/** Responses of one socket that may be computed or written at once. Mutations are exempt: their responses are short. */
export const MAX_CONCURRENT_RESPONSES = 4;

export class ActiveOperations<O extends ActiveOperation> {
  /** An array, or null, because most sockets have one operation or none for most of their lifetime. */
  #operations: O[] | null = null;
  #waiters: { readonly remaining: Set<O>; readonly resolve: () => void }[] | null = null;
  #responsesInProgress = 0;
  #slotWaiters: (() => void)[] | null = null;

  get size(): number {
    return this.#operations?.length ?? 0;
  }

  /** A copy. */
  toArray(): readonly O[] {
    return this.#operations?.slice() ?? [];
  }

  /** The operation that currently uses this id. A cancelled one does not. */
  findById(id: string): O | undefined {
    return this.#operations?.find((operation) => operation.id === id && operation.isActive);
  }

  add(operation: O): void {
    if (this.#operations === null) this.#operations = [operation];
    else this.#operations.push(operation);
  }

  /** Removes an operation that is finished. Can be called again. */
  remove(operation: O): void {
    const index = this.#operations?.indexOf(operation) ?? -1;
    if (this.#operations === null || index < 0) return;
    if (this.#operations.length === 1) this.#operations = null;
    else this.#operations.splice(index, 1);
    if (this.#waiters === null) return;
    for (const { remaining, resolve } of this.#waiters) {
      if (remaining.delete(operation) && remaining.size === 0) resolve();
    }
    this.#waiters = this.#waiters.filter(({ remaining }) => remaining.size > 0);
  }

  hasMatching(predicate: OperationPredicate): boolean {
    return this.#operations?.some(({ operation }) => predicate(operation)) ?? false;
  }

  /**
   * Call before computing a response that may be large, and `releaseResponseSlot` after it. This bounds the memory
   * that a client can fill by requesting many responses and reading none.
   * @returns null if a slot is free, otherwise a promise that resolves with a slot.
   */
  acquireResponseSlot(): Promise<void> | null {
    if (this.#responsesInProgress < MAX_CONCURRENT_RESPONSES) {
      this.#responsesInProgress++;
      return null;
    }
    return new Promise((resolve) => (this.#slotWaiters ??= []).push(resolve));
  }

  releaseResponseSlot(): void {
    const next = this.#slotWaiters?.shift();
    if (this.#slotWaiters?.length === 0) this.#slotWaiters = null;
    if (next === undefined) this.#responsesInProgress--;
    else next();
  }

  /** Waits for all current operations that match, at most `timeoutMs`. */
  async waitForCompletionOrTimeout(predicate: OperationPredicate, timeoutMs: number): Promise<void> {
    if (!this.hasMatching(predicate)) return;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.waitForCompletion(predicate), timeout]);
    clearTimeout(timer);
  }

  /** Waits for all current operations that match, without a timeout. Once the socket is closed, nothing blocks them. */
  waitForCompletion(predicate: OperationPredicate): Promise<void> {
    const remaining = new Set(this.toArray().filter(({ operation }) => predicate(operation)));
    if (remaining.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      (this.#waiters ??= []).push({ remaining, resolve });
    });
  }
}
