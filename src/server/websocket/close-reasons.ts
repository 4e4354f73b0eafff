/** Why the server closes a socket: the codes and reasons that clients rely on. */
import { CloseCode } from 'graphql-ws';
import { ExpiredTokenError, OutdatedTokenError } from '../../app/ports/user-token.ts';
import { DomainError } from '../../core/errors.ts';
import type { LostSocket } from '../../core/records.ts';
import { formatKib, MAX_UNAUTHENTICATED_PAYLOAD_BYTES } from '../limits/unauthenticated-limits.ts';
import { SERVER_CLOSE_CODES } from '../wire/close-codes.ts';
import { DOCUMENTED_PLACE } from './connection-credential.ts';
import { MAX_MESSAGE_FRAGMENTS } from './connection-settings.ts';

export interface CloseReason {
  readonly code: number;
  readonly reason: string;
  /** True if the server decided to close. Its session is then not reported as disconnected. */
  readonly isByServer: boolean;
}

const closedByServer = (code: number, reason: string): CloseReason => ({ code, reason, isByServer: true });

export const SERVER_RESTART = closedByServer(SERVER_CLOSE_CODES.RESTART, 'The server is restarting');
export const SLOW_CONSUMER = closedByServer(SERVER_CLOSE_CODES.TOO_SLOW, 'Too slow: resume with your last cursor');
export const UNREAD_LIMIT_EXCEEDED = closedByServer(SERVER_CLOSE_CODES.OVER_LIMIT, 'Too many unread bytes');
export const RATE_LIMIT_EXCEEDED = closedByServer(SERVER_CLOSE_CODES.OVER_LIMIT, 'Too many messages');
export const USER_SOCKET_LIMIT_EXCEEDED = closedByServer(
  SERVER_CLOSE_CODES.OVER_LIMIT,
  'Too many sockets of this user',
);
export const EVICTED_UNINITIALISED = closedByServer(
  SERVER_CLOSE_CODES.OVER_LIMIT,
  'Too many sockets without connection_init',
);
export const AUTHENTICATION_TIMEOUT = closedByServer(SERVER_CLOSE_CODES.TRY_AGAIN_LATER, 'Authentication timed out');
export const INTERNAL_ERROR = closedByServer(SERVER_CLOSE_CODES.TRY_AGAIN_LATER, 'Internal server error');
/** The client violated the protocol, so its session treats this like a close by the client. */
export const UNEXPECTED_MESSAGE: CloseReason = {
  code: SERVER_CLOSE_CODES.BAD_REQUEST,
  reason: 'Unexpected message: only servers send this type',
  isByServer: false,
};

/** A close without a close frame. */
export const createAbnormalClosure = (isByServer: boolean): CloseReason => ({ code: 1006, reason: '', isByServer });

/** The errors of `ws` for a message that is too long, announces an impossible length, or has too many fragments. */
const MESSAGE_SIZE_ERRORS: readonly unknown[] = [
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
  'WS_ERR_TOO_MANY_BUFFERED_PARTS',
];

export const isMessageSizeError = (error: Error): boolean =>
  'code' in error && MESSAGE_SIZE_ERRORS.includes(error.code);

/** For an error of `ws`. It has sent the close frame itself, unless the connection failed. */
export const closeReasonForSocketError = (error: Error): CloseReason => {
  if (isMessageSizeError(error)) return closedByServer(1009, '');
  const code = 'code' in error ? error.code : undefined;
  if (typeof code !== 'string' || !code.startsWith('WS_ERR_')) return createAbnormalClosure(false);
  return { code: code === 'WS_ERR_INVALID_UTF8' ? 1007 : 1002, reason: '', isByServer: false };
};

/**
 * The reason for a close that `ws` starts, because it knows only the code. Undefined: no reason.
 * @param maxMessageBytes the limit that holds for the socket.
 */
export const describeProtocolFailure = (code: number, maxMessageBytes: number): string | undefined => {
  if (code === 1002) return 'A frame violates the WebSocket protocol (RFC 6455)';
  if (code === 1007) return 'A text message must be UTF-8';
  if (code === 1008) return `A message may have at most ${MAX_MESSAGE_FRAGMENTS} fragments`;
  if (code !== 1009) return undefined;
  const isUnauthenticated = maxMessageBytes === MAX_UNAUTHENTICATED_PAYLOAD_BYTES;
  return `A message may have at most ${formatKib(maxMessageBytes)}${isUnauthenticated ? ' before connection_ack' : ''}`;
};

/** The reason of this code repeats the id of an operation, which the client chose. */
const DUPLICATE_ID: number = CloseCode.SubscriberAlreadyExists;

/** Undefined if there is no reason, or if it contains text of the client. */
export const getLoggableReason = ({ code, reason }: CloseReason): string | undefined =>
  reason === '' || code === DUPLICATE_ID ? undefined : reason;

export const closeReasonForLostSession = ({ isSessionEnded, reason }: LostSocket): CloseReason =>
  closedByServer(isSessionEnded ? SERVER_CLOSE_CODES.SESSION_ENDED : SERVER_CLOSE_CODES.TIMED_OUT, reason);

export const closeReasonForInvalidJwt = (error: DomainError): CloseReason =>
  closedByServer(
    SERVER_CLOSE_CODES.TOKEN_EXPIRED,
    error instanceof ExpiredTokenError ? 'The token has expired' : 'The token has been revoked',
  );

/**
 * For an error of `connection_init`. Null if the error is internal.
 * @param place where the credential was found; null: none was found.
 */
export const closeReasonForFailedInit = (error: unknown, place: string | null): CloseReason | null => {
  if (error instanceof ExpiredTokenError) return closeReasonForInvalidJwt(error);
  // Clients come back with a new token after this code, and give up after 4401.
  if (error instanceof OutdatedTokenError) return closedByServer(SERVER_CLOSE_CODES.TOKEN_EXPIRED, error.message);
  if (!(error instanceof DomainError)) return null;
  const { details, message } = error;
  if (details.code === 'SESSION_ENDED') return closedByServer(SERVER_CLOSE_CODES.SESSION_ENDED, details.reason);
  if (details.code === 'OVERLOADED') return closedByServer(SERVER_CLOSE_CODES.TRY_AGAIN_LATER, message);
  // A client that sends several credentials must learn which one was rejected.
  const prefix = place === null || place === DOCUMENTED_PLACE ? '' : `${place}: `;
  return closedByServer(SERVER_CLOSE_CODES.UNAUTHORIZED, prefix + message);
};
