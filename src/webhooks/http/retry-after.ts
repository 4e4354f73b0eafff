/** For how long a receiver wants to be left alone. */
import type { IncomingHttpHeaders } from 'node:http';

/** The one form of a date that HTTP still writes; that `Date` reads more is no reason to. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * @param now by the wall clock, for an answer without a date of its own: a receiver's clock may be wrong, but its two moments fit together.
 * @returns ms, 0 or more, and as many as the receiver says; null: it does not say.
 */
export const retryAfterMs = (
  { 'retry-after': retryAfter, date }: Pick<IncomingHttpHeaders, 'retry-after' | 'date'>,
  now: number,
): number | null => {
  if (retryAfter === undefined) return null;
  if (/^\d+$/.test(retryAfter)) return Math.min(Number(retryAfter) * 1_000, Number.MAX_SAFE_INTEGER);
  const until = momentOf(retryAfter);
  return until === null ? null : Math.max(0, until - (momentOf(date) ?? now));
};

const momentOf = (text: string | undefined): number | null => {
  if (text === undefined || !HTTP_DATE.test(text)) return null;
  const moment = Date.parse(text);
  return Number.isNaN(moment) ? null : moment;
};
