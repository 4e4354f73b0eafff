// Credentials of the bench's own server, and the bodies of what is asked of it.
import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';

export const JWT_SECRET = 'the secret that the bench and the server it measures share';
export const API_KEY = 'an-api-key-for-the-bench-alone-0123456789';

const HEADER = encode({ alg: 'HS256', typ: 'JWT' });

/** @param {object} part */
function encode(part) {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

/**
 * A user's JWT, good for an hour.
 * @param {string} userId
 */
export function userToken(userId) {
  const now = Math.floor(Date.now() / 1_000);
  const signed = `${HEADER}.${encode({ sub: userId, iat: now, exp: now + 3_600 })}`;
  return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`;
}

export const HEARTBEAT = 'mutation { heartbeat { heartbeatIntervalMs } }';

export const LOGIN =
  'mutation ($input: LoginInput!) { login(input: $input) { sessionToken heartbeatIntervalMs session { id } kicked { platform } } }';

/** @param {string} platform */
export const loginBody = (platform = 'ANDROID') =>
  JSON.stringify({ query: LOGIN, variables: { input: { platform, deviceId: 'a1' } } });

const SET_TEXT = 'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }';

/** @param {string} text */
export const textBody = (text) => JSON.stringify({ query: SET_TEXT, variables: { text } });

const WATCH =
  'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status previousStatus reason version customStatus } }';

/**
 * @param {string} id
 * @param {readonly string[]} userIds
 */
export const watchMessage = (id, userIds) =>
  JSON.stringify({ id, type: 'subscribe', payload: { query: WATCH, variables: { ids: userIds } } });
