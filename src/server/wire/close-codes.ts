/** Why the server closes a socket, beside graphql-ws's own codes. Clients rely on them. */
export const SERVER_CLOSE_CODES = {
  /** 1012: come back at once. */
  RESTART: 1012,
  /** 1011: our fault. */
  INTERNAL_ERROR: 1011,
  /** 1013: come back later; graphql-ws clients do. */
  TRY_AGAIN_LATER: 1013,
  BAD_REQUEST: 4400,
  UNAUTHORIZED: 4401,
  SESSION_ENDED: 4410,
  TOO_SLOW: 4411,
  TIMED_OUT: 4412,
  TOKEN_EXPIRED: 4413,
  OVER_LIMIT: 4414,
} as const;

/** A close frame has room for 123 bytes of reason; a longer one would be an exception instead of a close. */
export const truncateCloseReason = (text: string): string => {
  const bytes = Buffer.from(text, 'utf8');
  // Decoding leaves a replacement character where a letter was cut in two.
  return bytes.length <= 123 ? text : bytes.subarray(0, 120).toString('utf8').replace(/�+$/, '');
};
