/**
 * Who is sent away while the server is behind with what it has taken on, or short of memory: whoever brings new work
 * that can wait. What keeps somebody online, or ends something, always goes through, and so does whatever is cheap.
 */
import type { WriteBacklog } from '../../app/ports/presence-store.ts';
import { DomainError } from '../../core/errors.ts';
import type { OperationInfo } from './operation.ts';

/** Nobody is shown a wrong status for want of these. */
const NEWCOMERS: ReadonlySet<string> = new Set(['login', 'statusChanges', 'presenceEvents']);
/** Nor of these; but they do not wait for what is written, so a slow disk is no reason to refuse them. */
const LISTS: ReadonlySet<string> = new Set(['userStatuses', 'onlineUsers', 'events', 'webhookDeliveries']);

/** Even with nothing but the last few ahead, a client that comes back at once comes back too early. */
const SHORTEST_RETRY_MS = 500;
/** Longer than that nobody waits for a login, however far behind we were for a moment. */
const LONGEST_RETRY_MS = 10_000;

/**
 * Whether what can wait is refused. Once it is, until half of the lag is gone: otherwise each one let in
 * would be the reason to refuse the next.
 */
export const isLagExcessive = (wasOverloaded: boolean, lagMs: number, maxLagMs: number): boolean =>
  lagMs > (wasOverloaded ? maxLagMs / 2 : maxLagMs);

/** The more is ahead the later, and not everybody at once. @param random from 0 to below 1. */
export const overloadRetryAfterMs = (lagMs: number, random: number): number =>
  Math.round(Math.min(SHORTEST_RETRY_MS + 2 * lagMs, LONGEST_RETRY_MS) * (0.5 + random));

/**
 * Logins that are under way however late the loop is: were there none, the refusing alone could keep it late, and
 * nobody would come in any more, ever. Few enough to cost one turn some milliseconds.
 */
const LET_IN_AT_LEAST = 64;

/** So many refusals are made ahead of any number of them: an error costs more than everything else about one. */
const REFUSALS = 32;

export interface LoadShedderOptions {
  readonly maxLagMs: number;
  /** How late the event loop is, in milliseconds. */
  readonly readLoopLagMs: () => number;
  readonly readWriteBacklog: () => WriteBacklog;
  /** Is there hardly any room left in memory? */
  readonly isMemoryLow: () => boolean;
}

export class LoadShedder {
  readonly #options: LoadShedderOptions;
  #overloaded = false;
  /** Told in turn, each with a jitter of its own. */
  #refusals: DomainError[] = [];
  #told = 0;
  /** What they were made for. */
  #refusedAtMs = 0;

  constructor(options: LoadShedderOptions) {
    this.#options = options;
  }

  /** False: nobody is refused at this moment, whatever it is that is asked for. */
  get isOverloaded(): boolean {
    const {
      maxLagMs,
      readLoopLagMs: loopLagMs,
      readWriteBacklog: workload,
      isMemoryLow: isShortOfMemory,
    } = this.#options;
    if (isShortOfMemory()) return true;
    return isLagExcessive(this.#overloaded, Math.max(loopLagMs(), workload().oldestPendingMs), maxLagMs);
  }

  /** OVERLOADED, if the operation is one that is to wait now. */
  rejectionFor({ rootFields }: OperationInfo): DomainError | null {
    let isNew = false;
    let isList = false;
    for (const field of rootFields) {
      isNew ||= NEWCOMERS.has(field);
      isList ||= LISTS.has(field);
    }
    if (!isNew && !isList) return null;
    const {
      maxLagMs,
      readLoopLagMs: loopLagMs,
      readWriteBacklog: workload,
      isMemoryLow: isShortOfMemory,
    } = this.#options;
    const { pendingChanges: waiting, oldestPendingMs: waitedMs } = workload();
    const loopMs = loopLagMs();
    const lagMs = Math.max(loopMs, waitedMs);
    this.#overloaded = isLagExcessive(this.#overloaded, lagMs, maxLagMs);
    if (isShortOfMemory()) return this.#refusalAt(lagMs);
    if (!this.#overloaded) return null;
    const isOfTheLoop = loopMs > maxLagMs / 2;
    const isLetIn = rootFields.has('login') ? isOfTheLoop && waiting < LET_IN_AT_LEAST : !isNew && !isOfTheLoop;
    return isLetIn ? null : this.#refusalAt(lagMs);
  }

  #refusalAt(lagMs: number): DomainError {
    if (lagMs > 1.5 * this.#refusedAtMs || lagMs < this.#refusedAtMs / 1.5) {
      this.#refusals = [];
      this.#refusedAtMs = lagMs;
    }
    const turn = this.#told++ % REFUSALS;
    return (this.#refusals[turn] ??= new DomainError(
      { code: 'OVERLOADED', retryAfterMs: overloadRetryAfterMs(lagMs, Math.random()) },
      'The server is behind with its work. Try again later.',
    ));
  }
}
