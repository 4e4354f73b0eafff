/**
 * UserSig, the token by which an app's backend vouches for its users to Tencent IM: JSON that is signed with
 * HMAC-SHA256, packed with zlib, and written in Base64 with `*`, `-` and `_` for `+`, `/` and `=`.
 */
import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { later, millis, type Millis, type UserId } from '../core/ids.ts';
import { accountOf } from './account.ts';
import { jsonObject } from './json.ts';

export interface UserSigSettings {
  readonly appId: number;
  readonly key: KeyObject;
}

export interface UserSig {
  readonly userId: UserId;
  readonly issuedAt: Millis;
  readonly expiresAt: Millis;
}

/** MALFORMED: it is none, or says what none can. UNSIGNED: not by this key. EARLY: of a time that is yet to come. */
export type UserSigFlaw = 'MALFORMED' | 'OTHER_APP' | 'UNSIGNED' | 'EARLY' | 'EXPIRED';

/** What is signed, as it stands there. */
interface Claims {
  readonly identifier: string;
  readonly appId: number;
  readonly time: number;
  readonly expire: number;
  readonly userbuf: string | null;
  readonly signature: Buffer;
}

/** Enough for the longest user id with every character escaped, and a room's permissions. */
const LONGEST = 4_096;
const LONGEST_UNPACKED = 8_192;
/** Backends' clocks differ. What is dated later would outlive a revocation. */
const EARLY_TOLERANCE_MS = 300_000;
/** Of seconds and of app ids: 2106, and 136 years. */
const MOST = 0xffff_ffff;

const FORM = /^[A-Za-z0-9*-]+_{0,2}$/;
const DIGITS = /^(0|[1-9]\d{0,9})$/;
const SIGNATURE = /^[A-Za-z0-9+/]{43}=$/;
/** Without line ends: with one in it, what was signed for an id with lines in it could be read as another user's. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Told at sight, of what has the letters of one. A JWT and a session's token have a dot. */
export const looksLikeUserSig = (text: string): boolean =>
  text.length <= LONGEST && text.length % 4 === 0 && FORM.test(text);

/** @returns a flaw: it is good for nothing. What is too old is told only of one that is signed. */
export const readUserSig = (text: string, { appId, key }: UserSigSettings, now: Millis): UserSig | UserSigFlaw => {
  const claims = looksLikeUserSig(text) ? claimsOf(text) : null;
  if (claims === null) return 'MALFORMED';
  if (claims.appId !== appId) return 'OTHER_APP';
  const expected = createHmac('sha256', key).update(signedText(claims), 'utf8').digest();
  if (!timingSafeEqual(claims.signature, expected)) return 'UNSIGNED';
  const id = accountOf(claims.identifier);
  if (id === null) return 'MALFORMED';
  const issuedAt = millis(claims.time * 1_000);
  if (issuedAt > later(now, EARLY_TOLERANCE_MS)) return 'EARLY';
  const expiresAt = later(issuedAt, claims.expire * 1_000);
  return expiresAt <= now ? 'EXPIRED' : { userId: id, issuedAt, expiresAt };
};

const signedText = ({ identifier, appId, time, expire, userbuf }: Claims): string =>
  `TLS.identifier:${identifier}\nTLS.sdkappid:${appId}\nTLS.time:${time}\nTLS.expire:${expire}\n` +
  (userbuf === null ? '' : `TLS.userbuf:${userbuf}\n`);

/** Null for what no generator makes. */
const claimsOf = (text: string): Claims | null => {
  const claims = unpacked(text);
  if (claims === null || claims['TLS.ver'] !== '2.0') return null;
  const identifier = claims['TLS.identifier'];
  const [appId, time, expire] = ['TLS.sdkappid', 'TLS.time', 'TLS.expire'].map((name) => wholeNumber(claims[name]));
  const userbuf = claims['TLS.userbuf'] ?? null;
  const signature = claims['TLS.sig'];
  if (typeof identifier !== 'string' || typeof signature !== 'string' || !SIGNATURE.test(signature)) return null;
  if (appId == null || time == null || expire == null) return null;
  if (userbuf !== null && (typeof userbuf !== 'string' || !BASE64.test(userbuf))) return null;
  return { identifier, appId, time, expire, userbuf, signature: Buffer.from(signature, 'base64') };
};

const unpacked = (text: string): Readonly<Record<string, unknown>> | null => {
  const base64 = text.replaceAll('*', '+').replaceAll('-', '/').replaceAll('_', '=');
  try {
    const json = inflateSync(Buffer.from(base64, 'base64'), { maxOutputLength: LONGEST_UNPACKED });
    return jsonObject(utf8.decode(json));
  } catch {
    // Not packed, too much when it is unpacked, or not UTF-8: no UserSig, which is all there is to say.
    return null;
  }
};

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Some generators write numbers as text. */
const wholeNumber = (value: unknown): number | null => {
  const number = typeof value === 'string' && DIGITS.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= MOST ? number : null;
};
