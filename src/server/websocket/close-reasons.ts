/** How the server takes leave of a socket: with a code and a reason that clients rely on. */
import { ExpiredToken } from '../../app/ports/user-token.ts';
import { DomainError } from '../../core/errors.ts';
import type { LostLink } from '../../core/records.ts';
import { CLOSE } from '../wire/close-codes.ts';

export interface Farewell {
  readonly code: number;
  readonly reason: string;
  /** For the server's own reasons, which are no DISCONNECT of the session. */
  readonly byServer: boolean;
}

const byServer = (code: number, reason: string): Farewell => ({ code, reason, byServer: true });

export const RESTART = byServer(CLOSE.RESTART, 'The server is restarting');
export const TOO_SLOW = byServer(CLOSE.TOO_SLOW, 'Too slow: resume with your last cursor');
export const TOO_MUCH_UNREAD = byServer(CLOSE.OVER_LIMIT, 'Too much is left unread');
export const TOO_FAST = byServer(CLOSE.OVER_LIMIT, 'Too many messages');
export const TOO_MANY_SOCKETS = byServer(CLOSE.OVER_LIMIT, 'Too many sockets of this user');
export const GIVES_WAY = byServer(CLOSE.OVER_LIMIT, 'Too many sockets that do not say who they are');
export const AUTHENTICATION_TOO_LONG = byServer(CLOSE.TRY_AGAIN_LATER, 'Authentication takes too long');
export const FAULT = byServer(CLOSE.INTERNAL_ERROR, 'Internal server error');
/** The client broke the protocol, so its session takes it as a closed socket. */
export const UNEXPECTED_MESSAGE: Farewell = {
  code: CLOSE.BAD_REQUEST,
  reason: 'Unexpected message',
  byServer: false,
};
/** No close frame at all. */
export const cutOff = (ofServer: boolean): Farewell => ({ code: 1006, reason: '', byServer: ofServer });

/** What the library calls a message that is too long, is said to be longer than any, or comes in too many pieces. */
const OVER_LIMIT: readonly unknown[] = [
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
  'WS_ERR_TOO_MANY_BUFFERED_PARTS',
];

export const isOverLimit = (error: Error): boolean => 'code' in error && OVER_LIMIT.includes(error.code);

/** The library found no messages in what came, and has said so itself; or the connection broke. */
export const broken = (error: Error): Farewell => {
  if (isOverLimit(error)) return byServer(1009, '');
  const code = 'code' in error ? error.code : undefined;
  if (typeof code !== 'string' || !code.startsWith('WS_ERR_')) return cutOff(false);
  return { code: code === 'WS_ERR_INVALID_UTF8' ? 1007 : 1002, reason: '', byServer: false };
};

export const sessionLost = ({ ended, reason }: LostLink): Farewell =>
  byServer(ended ? CLOSE.SESSION_ENDED : CLOSE.TIMED_OUT, reason);

export const jwtOver = (why: DomainError): Farewell =>
  byServer(CLOSE.TOKEN_EXPIRED, why instanceof ExpiredToken ? 'The token has expired' : 'The token has been revoked');

/** To whoever may not connect; null when the error is not the client's. */
export const refusal = (error: unknown): Farewell | null => {
  if (error instanceof ExpiredToken) return jwtOver(error);
  if (!(error instanceof DomainError)) return null;
  const { fault, message } = error;
  if (fault.code === 'SESSION_ENDED') return byServer(CLOSE.SESSION_ENDED, fault.reason);
  return byServer(fault.code === 'OVERLOADED' ? CLOSE.TRY_AGAIN_LATER : CLOSE.UNAUTHORIZED, message);
};
