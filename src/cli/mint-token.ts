/** `porchlight token`: signs a user token for tests, as the backend of the app does in production. */
import type { KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import type { Config } from '../config/config.ts';
import { ConfigError, UsageError } from '../config/errors.ts';
import type { CommandFlag, CommandLine } from '../config/parse-flags.ts';
import { durationType, maskUrlSecrets } from '../config/value-types.ts';
import { DomainError } from '../core/errors.ts';
import { type UserId, parseUserId } from '../core/ids.ts';
import { loadOrCreateSigningSecret } from '../config/generated-secrets.ts';

export const TOKEN_FLAGS = {
  user: {
    type: 'string',
    valueLabel: 'id',
    description: 'The user of the token. Required.',
  },
  ttl: {
    type: 'string',
    valueLabel: 'duration',
    description: 'How long the token is valid: a number with s, m, h or d, rounded up to whole seconds. Default: 1h.',
  },
  watch: {
    type: 'string',
    valueLabel: 'ids',
    description:
      "The users that the token may query and watch, separated by commas without spaces, or '*' for all users. " +
      'The flag may be repeated. Without it, the option visibility of the server decides.',
  },
} as const satisfies Record<string, CommandFlag>;

export interface TokenRequest {
  readonly user: UserId;
  readonly ttlMs: number;
  /** The claim `watch`. Null: the token has no such claim. */
  readonly watch: '*' | readonly UserId[] | null;
}

const DEFAULT_TTL = '1h';
const ttlValueType = durationType(1_000, 3_650 * 86_400_000);

/** @throws UsageError when --user is missing or a value is invalid. */
export const parseTokenRequest = ({ commandFlags }: CommandLine): TokenRequest => {
  const user = commandFlags.get('user')?.at(-1);
  if (user === undefined) throw new UsageError('--user <id> is missing. It must be the user of the token.');
  const ttl = commandFlags.get('ttl')?.at(-1) ?? DEFAULT_TTL;
  const ttlMs = ttlValueType.parseText(ttl);
  if (!ttlMs.ok) throw new UsageError(`--ttl is ${JSON.stringify(ttl)}, but must be ${ttlMs.expected}.`);
  return { user: parseIdFlag('--user', user), ttlMs: ttlMs.value, watch: parseWatchClaim(commandFlags.get('watch')) };
};

const parseWatchClaim = (lists: readonly string[] | undefined): TokenRequest['watch'] => {
  if (lists === undefined) return null;
  // Ids are not trimmed. A single empty text means that the token may watch no user.
  const ids = lists.filter((list) => list !== '').flatMap((list) => list.split(','));
  if (!ids.includes('*')) return ids.map((id) => parseIdFlag('--watch', id));
  if (ids.length > 1)
    throw new UsageError("--watch contains '*' and other ids. '*' means all users and must be the only value.");
  return '*';
};

const parseIdFlag = (flag: string, id: string): UserId => {
  try {
    return parseUserId(id);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    throw new UsageError(`${flag} is ${JSON.stringify(id)}: ${error.message}`);
  }
};

/**
 * @param nowMs milliseconds since 1970 (UTC).
 * @returns the signed token, and warnings about the file of the secret.
 * @throws ConfigError when only a JWKS is configured, because the server has no private key then.
 */
export const mintToken = async (
  config: Config,
  request: TokenRequest,
  nowMs: number,
): Promise<{ readonly token: string; readonly warnings: readonly string[] }> => {
  const { config: complete, warnings } = loadOrCreateSigningSecret(config);
  if (complete.jwtSecret === null) {
    throw new ConfigError([
      `Only a JWKS is configured (${maskUrlSecrets(String(config.jwksUrl))}), so Porchlight has no key to sign a token. ` +
        'Sign the token with the private key of the JWKS, or set PORCHLIGHT_JWT_SECRET.',
    ]);
  }
  return { token: await signToken(complete, complete.jwtSecret, request, nowMs), warnings };
};

const signToken = (
  { jwtIssuer, jwtAudience }: Config,
  key: KeyObject,
  { user, ttlMs, watch }: TokenRequest,
  nowMs: number,
): Promise<string> => {
  const issuedAt = Math.floor(nowMs / 1_000);
  const jwt = new SignJWT(watch === null ? {} : { watch })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + Math.ceil(ttlMs / 1_000));
  if (jwtIssuer !== null) jwt.setIssuer(jwtIssuer);
  if (jwtAudience !== null) jwt.setAudience(jwtAudience);
  return jwt.sign(key);
};
