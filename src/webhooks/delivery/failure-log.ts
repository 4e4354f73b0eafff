/** Says once that something fails, and once that it works again, however many try it meanwhile, and however often. */
import { DomainError } from '../../core/errors.ts';

export interface TroublesTold {
  failed(error: unknown, what: string): void;
  over(what: string): void;
}

export class Troubles {
  readonly #told: TroublesTold;
  /** Who tries it in vain, by what. */
  readonly #trying = new Map<string, Set<object>>();

  constructor(told: TroublesTold) {
    this.#told = told;
  }

  /** `who` has failed, and will try it again. */
  failed(error: unknown, what: string, who: object): void {
    if (isRefusal(error)) return;
    const trying = this.#trying.get(what);
    if (trying !== undefined) {
      trying.add(who);
      return;
    }
    this.#trying.set(what, new Set([who]));
    this.#told.failed(error, what);
  }

  /** `who` has done it. */
  worked(what: string, who: object): void {
    if (this.#leave(what, who)) this.#told.over(what);
  }

  /** `who` does not try any more, which says nothing of how it would have gone. */
  left(what: string, who: object): void {
    this.#leave(what, who);
  }

  /** @returns whether that was the last. */
  #leave(what: string, who: object): boolean {
    const trying = this.#trying.get(what);
    if (trying?.delete(who) !== true || trying.size > 0) return false;
    return this.#trying.delete(what);
  }
}

/** The store takes nothing for a while, and whoever runs it has heard that already. */
export const isRefusal = (error: unknown): boolean => error instanceof DomainError && error.fault.code === 'OVERLOADED';
