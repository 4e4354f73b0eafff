/** How the server takes leave of a socket: with a code and a reason that clients rely on. */
import { ExpiredTokenError } from '../../app/ports/user-token.ts';
import { DomainError } from '../../core/errors.ts';
import type { LostLink } from '../../core/records.ts';
import { SERVER_CLOSE_CODES } from '../wire/close-codes.ts';

export interface CloseReason {
  readonly code: number;
  readonly reason: string;
  /** For the server's own reasons, which are no DISCONNECT of the session. */
  readonly byServer: boolean;
}

const byServer = (code: number, reason: string): CloseReason => ({ code, reason, byServer: true });

export const RESTART = byServer(SERVER_CLOSE_CODES.RESTART, 'The server is restarting');
export const SLOW_CONSUMER = byServer(SERVER_CLOSE_CODES.TOO_SLOW, 'Too slow: resume with your last cursor');
export const UNREAD_LIMIT_EXCEEDED = byServer(SERVER_CLOSE_CODES.OVER_LIMIT, 'Too much is left unread');
export const RATE_LIMIT_EXCEEDED = byServer(SERVER_CLOSE_CODES.OVER_LIMIT, 'Too many messages');
export const USER_SOCKET_LIMIT_EXCEEDED = byServer(SERVER_CLOSE_CODES.OVER_LIMIT, 'Too many sockets of this user');
export const EVICTED_UNINITIALISED = byServer(
  SERVER_CLOSE_CODES.OVER_LIMIT,
  'Too many sockets that do not say who they are',
);
export const AUTHENTICATION_TIMEOUT = byServer(SERVER_CLOSE_CODES.TRY_AGAIN_LATER, 'Authentication takes too long');
export const INTERNAL_ERROR = byServer(SERVER_CLOSE_CODES.INTERNAL_ERROR, 'Internal server error');
/** The client broke the protocol, so its session takes it as a closed socket. */
export const UNEXPECTED_MESSAGE: CloseReason = {
  code: SERVER_CLOSE_CODES.BAD_REQUEST,
  reason: 'Unexpected message',
  byServer: false,
};
/** No close frame at all. */
export const abnormalClosure = (ofServer: boolean): CloseReason => ({ code: 1006, reason: '', byServer: ofServer });

/** What the library calls a message that is too long, is said to be longer than any, or comes in too many pieces. */
const OVER_LIMIT: readonly unknown[] = [
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
  'WS_ERR_TOO_MANY_BUFFERED_PARTS',
];

export const isMessageSizeError = (error: Error): boolean => 'code' in error && OVER_LIMIT.includes(error.code);

/** The library found no messages in what came, and has said so itself; or the connection broke. */
export const closeReasonForSocketError = (error: Error): CloseReason => {
  if (isMessageSizeError(error)) return byServer(1009, '');
  const code = 'code' in error ? error.code : undefined;
  if (typeof code !== 'string' || !code.startsWith('WS_ERR_')) return abnormalClosure(false);
  return { code: code === 'WS_ERR_INVALID_UTF8' ? 1007 : 1002, reason: '', byServer: false };
};

export const closeReasonForLostSession = ({ ended, reason }: LostLink): CloseReason =>
  byServer(ended ? SERVER_CLOSE_CODES.SESSION_ENDED : SERVER_CLOSE_CODES.TIMED_OUT, reason);

export const closeReasonForInvalidJwt = (why: DomainError): CloseReason =>
  byServer(
    SERVER_CLOSE_CODES.TOKEN_EXPIRED,
    why instanceof ExpiredTokenError ? 'The token has expired' : 'The token has been revoked',
  );

/** To whoever may not connect; null when the error is not the client's. */
export const closeReasonForFailedInit = (error: unknown): CloseReason | null => {
  if (error instanceof ExpiredTokenError) return closeReasonForInvalidJwt(error);
  if (!(error instanceof DomainError)) return null;
  const { fault, message } = error;
  if (fault.code === 'SESSION_ENDED') return byServer(SERVER_CLOSE_CODES.SESSION_ENDED, fault.reason);
  return byServer(
    fault.code === 'OVERLOADED' ? SERVER_CLOSE_CODES.TRY_AGAIN_LATER : SERVER_CLOSE_CODES.UNAUTHORIZED,
    message,
  );
};
