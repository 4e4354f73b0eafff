// Devices that are logged in before anything is measured.
import { graphqlRequest, HttpConnection } from './http.js';
import { loginBody, userToken } from './tokens.js';

/**
 * Logs users in, each on one device. @returns their session tokens, in the same order.
 * @param {number} port
 * @param {readonly string[]} userIds
 */
export async function logIn(port, userIds, platform = 'ANDROID') {
  const body = loginBody(platform);
  /** @type {string[]} */
  const tokens = new Array(userIds.length);
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(32, userIds.length) }, async () => {
      const connection = await HttpConnection.open(port);
      for (let index = next++; index < userIds.length; index = next++) {
        const answer = await connection.ask(graphqlRequest(userToken(userIds[index] ?? ''), body));
        const token = JSON.parse(answer.body).data?.login?.sessionToken;
        if (typeof token !== 'string') throw new Error(`No login: ${answer.body}`);
        tokens[index] = token;
      }
      connection.close();
    }),
  );
  return tokens;
}

/**
 * `prefix-00000`, `prefix-00001`, …
 * @param {string} prefix
 * @param {number} count
 */
export const names = (prefix, count) =>
  Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(5, '0')}`);
