/**
 * What a caller may send before the server knows who it is. The sizes fit a token that lists 500 users by their UUIDs in
 * the claim `watch`, which has about 26 KB.
 *
 * They bound the memory for unauthenticated callers: one HTTP connection holds at most the headers, and one socket the
 * Authorization header of its upgrade and a part of one message, 88 KiB together. A caller must send these bytes within
 * 15 s (headers) or 10 s (`connection_init`), so all of them together hold at most what the network carries in that time.
 */

/** Characters of a token: a JWT, a session token or an API key. */
export const MAX_TOKEN_LENGTH = 32 * 1024;

/** All headers of an HTTP request together with its first line. Node sets no limit for a single header. */
export const MAX_HEADER_BYTES = 48 * 1024;

/** Fields of the headers of one request. Node would drop further ones, for example those that a proxy appends. */
export const MAX_HEADER_FIELDS = 256;

/** A WebSocket message before `connection_ack`: the longest token, and 8 KiB for other members of the payload. */
export const MAX_UNAUTHENTICATED_PAYLOAD_BYTES = 40 * 1024;

/** A size as it is written in errors, such as `40 KiB`. */
export const formatKib = (bytes: number): string => `${Math.floor(bytes / 1_024)} KiB`;
