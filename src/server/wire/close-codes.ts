/** The codes with which the server closes a WebSocket, beside those of graphql-ws. Clients rely on them. */
export const SERVER_CLOSE_CODES = {
  /** The server restarts. The client reconnects at once. */
  RESTART: 1012,
  /** The server is starting or overloaded, or it failed. Not 1011 for the latter: graphql-ws clients never retry after it. */
  TRY_AGAIN_LATER: 1013,
  BAD_REQUEST: 4400,
  UNAUTHORIZED: 4401,
  SESSION_ENDED: 4410,
  TOO_SLOW: 4411,
  TIMED_OUT: 4412,
  TOKEN_EXPIRED: 4413,
  OVER_LIMIT: 4414,
} as const;

/** Cuts a reason to the 123 bytes that fit into a close frame. `ws` throws on a longer one. */
export const truncateCloseReason = (text: string): string => {
  const bytes = Buffer.from(text, 'utf8');
  // Decoding replaces a character that is cut in two by U+FFFD.
  return bytes.length <= 123 ? text : bytes.subarray(0, 120).toString('utf8').replace(/�+$/, '');
};
