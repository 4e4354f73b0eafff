/** `porchlight token`: signs a user's token, as the app's backend would, to try things out. */
import type { KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import type { Config } from '../config/config.ts';
import { ConfigError, UsageError } from '../config/errors.ts';
import type { CommandFlag, CommandLine } from '../config/parse-flags.ts';
import { duration } from '../config/value-types.ts';
import { DomainError } from '../core/errors.ts';
import { type UserId, parseUserId } from '../core/ids.ts';
import { loadOrCreateSigningSecret } from '../config/generated-secrets.ts';

export const TOKEN_FLAGS = {
  user: {
    type: 'string',
    valueLabel: 'id',
    description: 'The user whom the token is for. Required.',
  },
  ttl: {
    type: 'string',
    valueLabel: 'duration',
    description: 'How long it is valid, in s, m, h or d; part of a second counts as one. Default: 1h.',
  },
  watch: {
    type: 'string',
    valueLabel: 'ids',
    description:
      "Users whom it allows to ask about and watch, separated by commas without spaces, or '*' for all. " +
      'May be given several times. Without it the server decides by its option visibility.',
  },
} as const satisfies Record<string, CommandFlag>;

export interface TokenRequest {
  readonly user: UserId;
  readonly ttlMs: number;
  /** Null: no such claim. */
  readonly watch: '*' | readonly UserId[] | null;
}

const DEFAULT_TTL = '1h';
const ttlType = duration(1_000, 3_650 * 86_400_000);

/** @throws UsageError when --user is missing, or a value is not what it must be. */
export const parseTokenRequest = ({ commandFlags: own }: CommandLine): TokenRequest => {
  const user = own.get('user')?.at(-1);
  if (user === undefined) throw new UsageError('--user <id> is missing: whom is the token for?');
  const ttl = own.get('ttl')?.at(-1) ?? DEFAULT_TTL;
  const ttlMs = ttlType.parseText(ttl);
  if (!ttlMs.ok) throw new UsageError(`--ttl is ${JSON.stringify(ttl)}, but must be ${ttlMs.expected}.`);
  return { user: checked('--user', user), ttlMs: ttlMs.value, watch: watchOf(own.get('watch')) };
};

const watchOf = (given: readonly string[] | undefined): TokenRequest['watch'] => {
  if (given === undefined) return null;
  // Ids are kept exactly, spaces and all. An empty text alone means: nobody.
  const ids = given.filter((list) => list !== '').flatMap((list) => list.split(','));
  if (!ids.includes('*')) return ids.map((id) => checked('--watch', id));
  if (ids.length > 1) throw new UsageError("--watch: '*' stands for everyone and goes with no other id.");
  return '*';
};

const checked = (flag: string, id: string): UserId => {
  try {
    return parseUserId(id);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    throw new UsageError(`${flag} is ${JSON.stringify(id)}: ${error.message}`);
  }
};

/**
 * The signed token, and warnings about the secret's file.
 * @param nowMs milliseconds since 1970.
 * @throws ConfigError when users' tokens are signed with keys that only the JWKS's owner has.
 */
export const mintToken = async (
  config: Config,
  request: TokenRequest,
  nowMs: number,
): Promise<{ readonly token: string; readonly warnings: readonly string[] }> => {
  const { config: complete, warnings } = await loadOrCreateSigningSecret(config);
  if (complete.jwtSecret === null) {
    throw new ConfigError([
      `Only a JWKS is configured (${String(config.jwksUrl)}): Porchlight has no key to sign with. ` +
        'Have the token signed by whoever publishes those keys, or set PORCHLIGHT_JWT_SECRET.',
    ]);
  }
  return { token: await sign(complete, complete.jwtSecret, request, nowMs), warnings };
};

const sign = (
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
