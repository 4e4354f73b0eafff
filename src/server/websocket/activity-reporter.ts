/** The signs of life of one socket: one at a time goes to the store, however many come. */
import type { SessionRef } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import { DomainError } from '../../core/errors.ts';
import type { SocketId } from '../../core/ids.ts';

/** The socket that they come over. */
export interface ActivitySource {
  readonly id: SocketId;
  readonly ipAddress: string | null;
  readonly application: Application;
  /** The store failed to take a sign. */
  onActivityError(error: unknown): void;
}

export class ActivityReporter {
  readonly #living: ActivitySource;
  #session: SessionRef | null = null;
  #telling = false;
  /** Another sign came while one was being told. */
  #again = false;

  constructor(living: ActivitySource) {
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
        const { id: link, ipAddress, application: porchlight } = this.#living;
        await porchlight.tracker.life(this.#session, { link, ipAddress });
      } catch (error) {
        // A session that has ended is told to its socket by the commit that ended it.
        if (!(error instanceof DomainError)) this.#living.onActivityError(error);
      }
    } while (this.#again);
    this.#telling = false;
  }
}
