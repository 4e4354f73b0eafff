/** The public keys of users' tokens, fetched from where they are published, which may be down, slow or wrong. */
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

/** How long one attempt may take. */
const TIMEOUT_MS = 5_000;
/** After an attempt that failed there is none for so long, however many tokens come: nobody waits for it meanwhile. */
export const KEYS_RETRY_AFTER_MS = 5_000;
/** How long keys that were had are good while new ones cannot be. */
export const KEYS_KEPT_MS = 24 * 3_600_000;
/** Of a key set: a thousand keys have half of it. */
const MAX_BYTES = 1024 * 1024;

/** A set that was had, and when. */
interface Known {
  readonly keys: ReturnType<typeof createLocalJWKSet>;
  readonly at: number;
}

/**
 * Finds the key of a token. Keys are asked for anew every ten minutes, and, at most every 30 seconds, for a token
 * whose key is not among them. A redirect is not followed.
 * @param onUnavailable hears of every attempt that failed, and of sets with keys that must not be used.
 * @param now monotonic, in milliseconds.
 * @throws by what is returned: errors of the library for tokens without a key, OVERLOADED while no keys can be had.
 */
export const remoteKeys = (
  url: URL,
  onUnavailable: (error: unknown) => void,
  now: () => number = () => performance.now(),
): JWTVerifyGetKey => {
  let known: Known | null = null;
  let notBefore = -Infinity;

  const fetchKeys: FetchImplementation = async (...request) => {
    if (now() < notBefore) throw new Error('The JWKS could not be fetched a moment ago.');
    try {
      const set = publicOf(await keySetOf(await fetch(...request)), onUnavailable);
      known = { keys: createLocalJWKSet(set), at: now() };
      return Response.json(set);
    } catch (error) {
      notBefore = now() + KEYS_RETRY_AFTER_MS;
      onUnavailable(error);
      throw error;
    }
  };
  const keys = createRemoteJWKSet(url, { timeoutDuration: TIMEOUT_MS, [customFetch]: fetchKeys });

  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      if (isOfTheToken(error)) throw error;
      if (known === null || now() - known.at >= KEYS_KEPT_MS) throw notToBeHad();
      try {
        return await known.keys(header, token);
      } catch (another) {
        if (another instanceof errors.JWKSMultipleMatchingKeys) throw another;
        // A key that is not among old ones may be among those that cannot be had; one that is there is no key at all.
        if (!isOfTheToken(another)) onUnavailable(another);
        throw notToBeHad();
      }
    }
  };
};

const isOfTheToken = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWKSMultipleMatchingKeys ||
  error instanceof errors.JOSENotSupported;

const notToBeHad = (): DomainError =>
  new DomainError(
    { code: 'OVERLOADED', retryAfterMs: KEYS_RETRY_AFTER_MS },
    'The keys to check the token with cannot be had at the moment.',
  );

/** @throws Error for an answer that is no key set, or too long to be one. */
const keySetOf = async (response: Response): Promise<JSONWebKeySet> => {
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`The JWKS was answered with status ${response.status}.`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Left early, the rest is not read.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new Error(`The JWKS has more than ${MAX_BYTES} bytes.`);
    chunks.push(chunk);
  }
  const set: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  if (!isKeySet(set)) throw new Error('The JWKS is no key set.');
  return set;
};

const isKeySet = (set: unknown): set is JSONWebKeySet =>
  typeof set === 'object' &&
  set !== null &&
  'keys' in set &&
  Array.isArray(set.keys) &&
  set.keys.every((key) => typeof key === 'object' && key !== null && !Array.isArray(key));

/** Whoever can read a private key could have signed with it: what it signs proves nothing. */
const publicOf = ({ keys }: JSONWebKeySet, onSecret: (error: unknown) => void): JSONWebKeySet => {
  const isPublic = (key: JWK): boolean => key.d === undefined && key.k === undefined;
  if (!keys.every(isPublic)) onSecret(new Error('The JWKS publishes keys that are secret. They are not used.'));
  return { keys: keys.filter(isPublic) };
};
