/**
 * Resume positions and change ids as text. Both carry the log's own id, so that those of another
 * database are recognised; they differ in the mark between, so that neither passes for the other.
 */
import { randomBytes } from 'node:crypto';
import { badUserInput } from '../../../core/errors.ts';
import type { Cursor } from '../../../core/ids.ts';

/** 72 bits: no two logs have the same. */
export const generateLogId = (): string => randomBytes(9).toString('base64url');

export class CursorCodec {
  readonly #prefix: string;
  readonly #changePrefix: string;

  constructor(logId: string) {
    this.#prefix = `${logId}.`;
    this.#changePrefix = `${logId}~`;
  }

  /** The position right after the event `seq`; 0 is before the first. */
  encodeCursor(seq: number): Cursor {
    return `${this.#prefix}${seq}` as Cursor;
  }

  encodeChangeId(changeSeq: number): string {
    return `${this.#changePrefix}${changeSeq}`;
  }

  /** @throws BAD_USER_INPUT when `cursor` was not made by `at` of this log. */
  decodeCursor(cursor: Cursor): number {
    const seq = Number(cursor.slice(this.#prefix.length));
    // What reads back as it was written is ours: no signs, no spaces, no leading zeros.
    if (!Number.isSafeInteger(seq) || seq < 0 || this.encodeCursor(seq) !== cursor) throw foreignCursorError();
    return seq;
  }
}

export const foreignCursorError = (): Error => badUserInput('This cursor was not made by this event log.');
