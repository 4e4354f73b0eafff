// Credentials: as the app's backend signs them, and forged ones.
import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';

export const JWT_SECRET = 'the secret that the soak and the server it tries share';
export const API_KEY = 'an-api-key-for-the-soak-alone-0123456789';

/** @param {object} part */
const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');

/**
 * @param {Readonly<Record<string, unknown>>} claims
 * @param {{ secret?: string, header?: object }} [options]
 */
export function sign(claims, { secret = JWT_SECRET, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/**
 * A user's JWT.
 * @param {string} userId
 * @param {{ ttlS?: number, watch?: readonly string[] | '*' }} [options]
 */
export function userToken(userId, { ttlS = 3_600, watch } = {}) {
  const iat = Math.floor(Date.now() / 1_000);
  return sign({ sub: userId, iat, exp: iat + ttlS, ...(watch === undefined ? {} : { watch }) });
}
