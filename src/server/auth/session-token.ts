/**
 * Session tokens: `pls_`, the user id, the session id and a secret of 256 bits. Any server finds the record from the
 * token alone. The store keeps the SHA-256 of the secret, never the secret.
 */
import { hash, randomBytes } from 'node:crypto';
import type { CredentialFactory } from '../../app/ports/presence-store.ts';
import { parseDeviceId, parseSessionId, parseUserId, type SessionId, type UserId } from '../../core/ids.ts';

const SESSION_TOKEN_PREFIX = 'pls_';
const ID_BYTES = 16;
const SECRET_BYTES = 32;
const MAX_TOKEN_LENGTH = 1_024;
/** The last letter of the secret has two unused bits. They must be 0, so that each secret has exactly one token. */
const TOKEN_FORMAT = /^pls_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const credentialFactory: CredentialFactory = {
  createSessionCredentials: (user) => {
    // A call of randomBytes costs more than everything else here, so there is only one.
    const random = randomBytes(ID_BYTES + SECRET_BYTES);
    const id = parseSessionId(random.toString('base64url', 0, ID_BYTES));
    const secret = random.subarray(ID_BYTES);
    const encodedUser = Buffer.from(user, 'utf8').toString('base64url');
    return {
      sessionId: id,
      token: `${SESSION_TOKEN_PREFIX}${encodedUser}.${id}.${secret.toString('base64url')}`,
      tokenHash: hashSecret(secret),
    };
  },
  createDeviceId: () => parseDeviceId(randomBytes(ID_BYTES).toString('base64url')),
};

export interface ParsedSessionToken {
  readonly userId: UserId;
  readonly sessionId: SessionId;
  /** Hash of the secret in the token. It must be compared with the stored hash. */
  readonly tokenHash: string;
}

export const hasSessionTokenPrefix = (token: string): boolean => token.startsWith(SESSION_TOKEN_PREFIX);

/** Returns null for every text that `createSessionCredentials` cannot have returned. */
export const parseSessionToken = (token: string): ParsedSessionToken | null => {
  if (token.length > MAX_TOKEN_LENGTH) return null;
  const [, encodedUser, session, secret] = TOKEN_FORMAT.exec(token) ?? [];
  if (encodedUser === undefined || session === undefined || secret === undefined) return null;
  const userBytes = Buffer.from(encodedUser, 'base64url');
  if (userBytes.toString('base64url') !== encodedUser) return null;
  const id = decodeUserId(userBytes);
  if (id === null) return null;
  return { userId: id, sessionId: parseSessionId(session), tokenHash: hashSecret(Buffer.from(secret, 'base64url')) };
};

const hashSecret = (secret: Buffer): string => hash('sha256', secret, 'base64url');

const decodeUserId = (bytes: Buffer): UserId | null => {
  try {
    return parseUserId(utf8.decode(bytes));
  } catch {
    // Not UTF-8, or not a user id.
    return null;
  }
};
