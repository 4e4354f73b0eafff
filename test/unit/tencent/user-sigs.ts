/** Creates UserSigs with Tencent’s generator, and changes their claims. */
import { createSecretKey } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';
import tls from 'tls-sig-api-v2';
import { vi } from 'vitest';

export const APP_ID = 1_400_000_001;
export const KEY = 'the key of the tests, which is as long as theirs: 64 characters.';
export const ADMIN = 'administrator';
export const TENCENT = {
  appId: APP_ID,
  admin: ADMIN,
  key: createSecretKey(Buffer.from(KEY, 'utf8')),
  platformNames: 'DOCUMENTED',
  clockToleranceMs: 0,
} as const;

export interface UserSigOptions {
  /** Milliseconds since 1970. Left out: now. */
  readonly at?: number;
  readonly expireS?: number;
  readonly appId?: number;
  readonly key?: string | Uint8Array;
}

export const generateUserSig = (
  user: string,
  { at, expireS = 3_600, appId = APP_ID, key = KEY }: UserSigOptions = {},
): string => made(at, () => new tls.Api(appId, key).genUserSig(user, expireS));

/** Contains the permissions of a room, which is a number or a name. */
export const generateRoomUserSig = (user: string, room: number | string, at?: number): string =>
  made(at, () => {
    const api = new tls.Api(APP_ID, KEY);
    return typeof room === 'number'
      ? api.genPrivateMapKey(user, 3_600, room, 255)
      : api.genPrivateMapKeyWithStringRoomID(user, 3_600, room, 255);
  });

/** The generator uses the wall clock only. */
const made = (at: number | undefined, make: () => string): string => {
  if (at === undefined) return make();
  const wall = vi.spyOn(Date, 'now').mockReturnValue(at);
  try {
    return make();
  } finally {
    wall.mockRestore();
  }
};

export type Claims = Record<string, unknown>;

export const unpackClaims = (sig: string): Claims =>
  JSON.parse(inflateSync(Buffer.from(toBase64(sig), 'base64')).toString('utf8')) as Claims;

/** Does not sign: the signature is the one in the claims. */
export const packClaims = (claims: unknown): string => packText(JSON.stringify(claims));

export const packText = (text: string | Buffer): string => toUserSigAlphabet(deflateSync(text).toString('base64'));

export const toUserSigAlphabet = (base64: string): string =>
  base64.replaceAll('+', '*').replaceAll('/', '-').replaceAll('=', '_');

const toBase64 = (sig: string): string => sig.replaceAll('*', '+').replaceAll('-', '/').replaceAll('_', '=');
