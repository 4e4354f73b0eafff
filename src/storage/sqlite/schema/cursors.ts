/**
 * Encodes log positions and change ids as text. Both contain the id of the log, so that those of another database are
 * rejected. They use different separators, so that one cannot be used as the other.
 */
import { randomBytes } from 'node:crypto';
import { badUserInputError } from '../../../core/errors.ts';
import type { Cursor } from '../../../core/ids.ts';

/** 72 random bits, so that no two logs have the same id. */
export const generateLogId = (): string => randomBytes(9).toString('base64url');

export class CursorCodec {
  readonly #prefix: string;
  readonly #changePrefix: string;

  constructor(logId: string) {
    this.#prefix = `${logId}.`;
    this.#changePrefix = `${logId}~`;
  }

  /** Returns the position right after the event `seq`; 0 is before the first event. */
  encodeCursor(seq: number): Cursor {
    return `${this.#prefix}${seq}` as Cursor;
  }

  encodeChangeId(changeSeq: number): string {
    return `${this.#changePrefix}${changeSeq}`;
  }

  /** @throws BAD_USER_INPUT if this log did not create the cursor. */
  decodeCursor(cursor: Cursor): number {
    const seq = Number(cursor.slice(this.#prefix.length));
    // Requires the exact encoding: no sign, no spaces, no leading zeros.
    if (!Number.isSafeInteger(seq) || seq < 0 || this.encodeCursor(seq) !== cursor) throw foreignCursorError();
    return seq;
  }
}

export const foreignCursorError = (): Error => badUserInputError('This cursor was not made by this event log.');
