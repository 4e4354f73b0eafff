/** Fetches and caches the public keys of user tokens. Their publisher may be down, slow or misconfigured. */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  type JSONWebKeySet,
  type JWK,
  type JWTVerifyGetKey,
} from 'jose';
import { DomainError } from '../../core/errors.ts';

/** Timeout of one attempt. */
const FETCH_TIMEOUT_MS = 5_000;
/** After a failed attempt there is no other one for this long, however many tokens arrive. No request waits meanwhile. */
export const JWKS_RETRY_AFTER_MS = 5_000;
/** How long fetched keys stay usable while newer ones cannot be fetched. */
export const JWKS_MAX_AGE_MS = 24 * 3_600_000;
/** The maximum size of a key set. A thousand keys take about half of it. */
const MAX_KEY_SET_BYTES = 1024 * 1024;

/** The last key set that was fetched, and when. */
interface CachedKeySet {
  readonly keys: ReturnType<typeof createLocalJWKSet>;
  readonly fetchedAt: number;
}

/**
 * Returns a function that finds the key of a token. Keys are fetched anew every ten minutes. For a token whose key is
 * not among them they are also fetched, at most every 30 seconds. Redirects are not followed.
 *
 * The function throws errors of jose for tokens without a key, and OVERLOADED while no keys are available.
 * @param onUnavailable is called for every failed attempt, and for sets that contain secret keys.
 * @param now a monotonic clock in milliseconds.
 */
export const createRemoteKeySet = (
  url: URL,
  onUnavailable: (error: unknown) => void,
  now: () => number = () => performance.now(),
): JWTVerifyGetKey => {
  let cached: CachedKeySet | null = null;
  let nextAttemptAt = -Infinity;

  const fetchKeys: FetchImplementation = async (...request) => {
    if (now() < nextAttemptAt) throw new Error('Fetching the JWKS failed a moment ago; the next attempt is not due.');
    try {
      const keySet = removeSecretKeys(await readKeySet(await fetch(...request)), onUnavailable);
      cached = { keys: createLocalJWKSet(keySet), fetchedAt: now() };
      return Response.json(keySet);
    } catch (error) {
      nextAttemptAt = now() + JWKS_RETRY_AFTER_MS;
      onUnavailable(error);
      throw error;
    }
  };
  const findKey = createRemoteJWKSet(url, { timeoutDuration: FETCH_TIMEOUT_MS, [customFetch]: fetchKeys });

  return async (header, token) => {
    try {
      return await findKey(header, token);
    } catch (error) {
      if (isCausedByToken(error)) throw error;
      if (cached === null || now() - cached.fetchedAt >= JWKS_MAX_AGE_MS) throw keysUnavailableError();
      try {
        return await cached.keys(header, token);
      } catch (cachedError) {
        if (cachedError instanceof errors.JWKSMultipleMatchingKeys) throw cachedError;
        // A key that is missing here may be among those that cannot be fetched. Other errors mean an unusable key.
        if (!isCausedByToken(cachedError)) onUnavailable(cachedError);
        throw keysUnavailableError();
      }
    }
  };
};

const isCausedByToken = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWKSMultipleMatchingKeys ||
  error instanceof errors.JOSENotSupported;

const keysUnavailableError = (): DomainError =>
  new DomainError(
    { code: 'OVERLOADED', retryAfterMs: JWKS_RETRY_AFTER_MS },
    'The keys to check the token with are not available at the moment. Try again later.',
  );

/** @throws Error for a response that is not a key set, or that is too long. */
const readKeySet = async (response: Response): Promise<JSONWebKeySet> => {
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`The JWKS was answered with status ${response.status} instead of 200.`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop early cancels the rest of the body.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_KEY_SET_BYTES) throw new Error(`The JWKS has more than ${MAX_KEY_SET_BYTES} bytes.`);
    chunks.push(chunk);
  }
  const keySet: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  if (!isKeySet(keySet)) throw new Error('The JWKS is not a key set: it must be an object with a list of keys.');
  return keySet;
};

const isKeySet = (value: unknown): value is JSONWebKeySet =>
  typeof value === 'object' &&
  value !== null &&
  'keys' in value &&
  Array.isArray(value.keys) &&
  value.keys.every((key) => typeof key === 'object' && key !== null && !Array.isArray(key));

/** Removes private and symmetric keys: anyone who reads the published set could sign with them. */
const removeSecretKeys = ({ keys }: JSONWebKeySet, onSecretKey: (error: unknown) => void): JSONWebKeySet => {
  const isPublic = (key: JWK): boolean => key.d === undefined && key.k === undefined;
  if (!keys.every(isPublic)) onSecretKey(new Error('The JWKS publishes keys that are secret. They are not used.'));
  return { keys: keys.filter(isPublic) };
};
