/** The signs of life of one socket: one at a time goes to the store, however many come. */
import { Kind } from 'graphql';
import type { SessionRef } from '../app/caller.ts';
import type { Origin, Tracker } from '../app/tracker.ts';
import { DomainError } from '../core/errors.ts';
import type { Operation } from './documents.ts';

export class SignsOfLife {
  readonly #tracker: Tracker;
  readonly #origin: Origin;
  readonly #onError: (error: unknown) => void;
  #session: SessionRef | null = null;
  #telling = false;
  /** Another sign came while one was being told. */
  #again = false;

  /** @param onError hears of a sign that the store failed to take. */
  constructor(tracker: Tracker, origin: Origin, onError: (error: unknown) => void) {
    this.#tracker = tracker;
    this.#origin = origin;
    this.#onError = onError;
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
        await this.#tracker.life(this.#session, this.#origin);
      } catch (error) {
        // A session that has ended is told to its socket by the commit that ended it.
        if (!(error instanceof DomainError)) this.#onError(error);
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

/** An answer to a ping of ours is none: a frozen app's runtime may still send it. */
export const isPong = (message: string): boolean => {
  if (message.length > LONGEST_PONG || !message.includes('pong')) return false;
  try {
    const parsed: unknown = JSON.parse(message);
    return typeof parsed === 'object' && parsed !== null && 'type' in parsed && parsed.type === 'pong';
  } catch {
    // No JSON, so no pong: the protocol closes the socket for it.
    return false;
  }
};

/** Its payload is ours, and ours is empty. */
const LONGEST_PONG = 4_096;
