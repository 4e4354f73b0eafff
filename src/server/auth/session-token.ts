/**
 * Session tokens: `pls_` and the user id, the session id and a secret of 256 bits, so that any server
 * finds the record from the token alone. Kept is the SHA-256 of the secret, never the secret.
 */
import { hash, randomBytes } from 'node:crypto';
import type { Credentials } from '../../app/ports/presence-store.ts';
import { deviceId, sessionId, userId, type SessionId, type UserId } from '../../core/ids.ts';

const SESSION_TOKEN_PREFIX = 'pls_';
const ID_BYTES = 16;
const SECRET_BYTES = 32;
const LONGEST = 1_024;
/** The last letter of the secret has two spare bits: texts that mean the same bytes would be several tokens. */
const FORM = /^pls_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Makes what must not be guessed. */
export const credentials: Credentials = {
  newSession: (user) => {
    // Asking the system for chance costs more than all the rest: once is enough.
    const chance = randomBytes(ID_BYTES + SECRET_BYTES);
    const id = sessionId(chance.toString('base64url', 0, ID_BYTES));
    const secret = chance.subarray(ID_BYTES);
    const name = Buffer.from(user, 'utf8').toString('base64url');
    return {
      sessionId: id,
      token: `${SESSION_TOKEN_PREFIX}${name}.${id}.${secret.toString('base64url')}`,
      tokenHash: hashOf(secret),
    };
  },
  newDeviceId: () => deviceId(randomBytes(ID_BYTES).toString('base64url')),
};

export interface SessionClaim {
  readonly userId: UserId;
  readonly sessionId: SessionId;
  /** Hash of the secret that was shown: proves nothing until it is compared with the one kept. */
  readonly tokenHash: string;
}

export const looksLikeSessionToken = (token: string): boolean => token.startsWith(SESSION_TOKEN_PREFIX);

/** Reads a token. Null for every text that `newSession` could not have made, to the last bit. */
export const readSessionToken = (token: string): SessionClaim | null => {
  if (token.length > LONGEST) return null;
  const [, name, session, secret] = FORM.exec(token) ?? [];
  if (name === undefined || session === undefined || secret === undefined) return null;
  const user = Buffer.from(name, 'base64url');
  if (user.toString('base64url') !== name) return null;
  const id = asUserId(user);
  if (id === null) return null;
  return { userId: id, sessionId: sessionId(session), tokenHash: hashOf(Buffer.from(secret, 'base64url')) };
};

const hashOf = (secret: Buffer): string => hash('sha256', secret, 'base64url');

const asUserId = (bytes: Buffer): UserId | null => {
  try {
    return userId(utf8.decode(bytes));
  } catch {
    // Not UTF-8, or no user id: no token of ours, which is all there is to say about it.
    return null;
  }
};
