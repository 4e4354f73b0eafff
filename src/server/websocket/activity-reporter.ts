/** The signs of life of one socket: one at a time goes to the store, however many come. */
import { Kind } from 'graphql';
import type { SessionRef } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import { DomainError } from '../../core/errors.ts';
import type { SocketId } from '../../core/ids.ts';
import type { Operation } from '../graphql/document-cache.ts';

/** The socket that they come over. */
export interface Living {
  readonly id: SocketId;
  readonly ipAddress: string | null;
  readonly porchlight: Application;
  /** The store failed to take a sign. */
  lifeLost(error: unknown): void;
}

export class SignsOfLife {
  readonly #living: Living;
  #session: SessionRef | null = null;
  #telling = false;
  /** Another sign came while one was being told. */
  #again = false;

  constructor(living: Living) {
    this.#living = living;
  }

  /** Whose they are from now on; null: nobody's. */
  of(session: SessionRef | null): void {
    this.#session = session;
  }

  sign(): void {
    if (this.#telling) this.#again = true;
    else void this.#tell();
  }

  async #tell(): Promise<void> {
    this.#telling = true;
    do {
      this.#again = false;
      if (this.#session === null) break;
      try {
        const { id: link, ipAddress, porchlight } = this.#living;
        await porchlight.tracker.life(this.#session, { link, ipAddress });
      } catch (error) {
        // A session that has ended is told to its socket by the commit that ended it.
        if (!(error instanceof DomainError)) this.#living.lifeLost(error);
      }
    } while (this.#again);
    this.#telling = false;
  }
}

/**
 * Does it begin with a heartbeat, whatever its variables are? If nothing fails, that is the sign of life which
 * the message would have been, and a second one would tell the store nothing.
 */
export const isHeartbeat = ({ node }: Operation): boolean => {
  const [first] = node.selectionSet.selections;
  if (first?.kind !== Kind.FIELD || first.name.value !== 'heartbeat') return false;
  return first.directives === undefined || first.directives.length === 0;
};
