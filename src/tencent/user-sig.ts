/**
 * Verifies a UserSig, the token with which an app's backend authenticates its users to Tencent IM. It is JSON, signed
 * with HMAC-SHA256, compressed with zlib, and encoded in Base64 with `*`, `-` and `_` instead of `+`, `/` and `=`.
 */
import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import type { UserToken } from '../app/ports/user-token.ts';
import { addMs, toMillis, type Millis } from '../core/ids.ts';
import { parseAccount } from './account.ts';
import { parseJsonObject } from './json.ts';

export interface UserSigSettings {
  /** The SDKAppID of the app. */
  readonly appId: number;
  readonly key: KeyObject;
  /** As for JWTs: how far the clock of a backend may be ahead of this server's or behind it, in ms. */
  readonly clockToleranceMs: number;
}

export interface UserSig extends Omit<UserToken, 'watchScope'> {
  readonly issuedAt: Millis;
}

/** MALFORMED: not a UserSig, or with invalid claims. BAD_SIGNATURE: signed with another key. */
export type UserSigDefect = 'MALFORMED' | 'WRONG_APP' | 'BAD_SIGNATURE' | 'ISSUED_IN_FUTURE' | 'EXPIRED';

/** The signed values and the signature, as the token contains them. */
interface Claims {
  readonly identifier: string;
  readonly appId: number;
  /** Seconds since 1970. */
  readonly time: number;
  /** Seconds after `time`. */
  readonly expire: number;
  readonly userbuf: string | null;
  readonly signature: Buffer;
}

/** Enough for the longest user id with every character escaped, and for the permissions of a room. */
const MAX_CHARACTERS = 4_096;
const MAX_INFLATED_BYTES = 8_192;
/** A backend may sign in advance, but not further. A UserSig from the future survives a revocation before that time. */
const MAX_SIGNED_AHEAD_MS = 300_000;
const MAX_UINT32 = 0xffff_ffff;

const USER_SIG = /^[A-Za-z0-9*-]+_{0,2}$/;
const DIGITS = /^(0|[1-9]\d{0,9})$/;
const SIGNATURE = /^[A-Za-z0-9+/]{43}=$/;
/** Line ends are rejected: with one, text signed for an id that contains lines could be read as another user's. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Checks the characters only. A JWT and a session token are never accepted, because they contain a dot. */
export const looksLikeUserSig = (text: string): boolean =>
  text.length <= MAX_CHARACTERS && text.length % 4 === 0 && USER_SIG.test(text);

/** @returns the UserSig, or why it is rejected. EXPIRED is only returned for a valid signature. */
export const verifyUserSig = (
  text: string,
  { appId, key, clockToleranceMs }: UserSigSettings,
  now: Millis,
): UserSig | UserSigDefect => {
  const claims = looksLikeUserSig(text) ? parseClaims(text) : null;
  if (claims === null) return 'MALFORMED';
  if (claims.appId !== appId) return 'WRONG_APP';
  const expected = createHmac('sha256', key).update(signedText(claims), 'utf8').digest();
  if (!timingSafeEqual(claims.signature, expected)) return 'BAD_SIGNATURE';
  const userId = parseAccount(claims.identifier);
  if (userId === null) return 'MALFORMED';
  const issuedAt = toMillis(claims.time * 1_000);
  if (issuedAt > addMs(now, Math.max(MAX_SIGNED_AHEAD_MS, clockToleranceMs))) return 'ISSUED_IN_FUTURE';
  const expiresAt = addMs(issuedAt, claims.expire * 1_000 + clockToleranceMs);
  return expiresAt <= now ? 'EXPIRED' : { userId, issuedAt, clockToleranceMs, expiresAt };
};

const signedText = ({ identifier, appId, time, expire, userbuf }: Claims): string =>
  `TLS.identifier:${identifier}\nTLS.sdkappid:${appId}\nTLS.time:${time}\nTLS.expire:${expire}\n` +
  (userbuf === null ? '' : `TLS.userbuf:${userbuf}\n`);

/** @returns null: a claim is missing or invalid. */
const parseClaims = (text: string): Claims | null => {
  const claims = inflateJsonObject(text);
  if (claims === null || claims['TLS.ver'] !== '2.0') return null;
  const identifier = claims['TLS.identifier'];
  const [appId, time, expire] = ['TLS.sdkappid', 'TLS.time', 'TLS.expire'].map((name) => parseUint32(claims[name]));
  const userbuf = claims['TLS.userbuf'] ?? null;
  const signature = claims['TLS.sig'];
  if (typeof identifier !== 'string' || typeof signature !== 'string' || !SIGNATURE.test(signature)) return null;
  if (appId == null || time == null || expire == null) return null;
  if (userbuf !== null && (typeof userbuf !== 'string' || !BASE64.test(userbuf))) return null;
  return { identifier, appId, time, expire, userbuf, signature: Buffer.from(signature, 'base64') };
};

const inflateJsonObject = (text: string): Readonly<Record<string, unknown>> | null => {
  const base64 = text.replaceAll('*', '+').replaceAll('-', '/').replaceAll('_', '=');
  try {
    const json = inflateSync(Buffer.from(base64, 'base64'), { maxOutputLength: MAX_INFLATED_BYTES });
    return parseJsonObject(utf8.decode(json));
  } catch {
    // Not compressed, too large, or not UTF-8: in each case it is MALFORMED.
    return null;
  }
};

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Accepts numbers as text too, because some generators write them so. */
const parseUint32 = (value: unknown): number | null => {
  const number = typeof value === 'string' && DIGITS.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= MAX_UINT32 ? number : null;
};
