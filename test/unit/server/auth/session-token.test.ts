import { describe, expect, test } from 'vitest';
import { parseUserId } from '../../../../src/core/ids.ts';
import { constantTimeEqual } from '../../../../src/server/auth/constant-time-equal.ts';
import { credentialFactory, parseSessionToken } from '../../../../src/server/auth/session-token.ts';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

describe('a session token', () => {
  test.each(['alice', 'a', '用户-🙂', ' spaces ', 'x'.repeat(128), '🙂'.repeat(128), '\uFEFFbom', 'a.b.c'])(
    'is parsed back to user %j, the session and the hash',
    (name) => {
      const { sessionId, token, tokenHash } = credentialFactory.createSessionCredentials(parseUserId(name));
      expect(token).toMatch(/^pls_[\w.-]+$/);
      expect(parseSessionToken(token)).toEqual({ userId: name, sessionId, tokenHash });
    },
  );

  test('is different each time, and does not contain the stored hash', () => {
    const credentials = Array.from({ length: 100 }, () =>
      credentialFactory.createSessionCredentials(parseUserId('alice')),
    );
    expect(new Set(credentials.map(({ sessionId }) => sessionId)).size).toBe(100);
    expect(new Set(credentials.map(({ tokenHash }) => tokenHash)).size).toBe(100);
    for (const { token, tokenHash } of credentials) expect(token).not.toContain(tokenHash);
  });

  test('does not match after a change of any single character', () => {
    const { token, tokenHash, sessionId } = credentialFactory.createSessionCredentials(parseUserId('alice'));
    for (let index = 0; index < token.length; index++) {
      for (const letter of [...alphabet, '.', '=', ' ', 'é']) {
        if (letter === token[index]) continue;
        const read = parseSessionToken(token.slice(0, index) + letter + token.slice(index + 1));
        const same = read?.userId === 'alice' && read.sessionId === sessionId && read.tokenHash === tokenHash;
        expect(same, `${letter} at ${index}`).toBe(false);
      }
    }
  });

  test.each([
    '',
    'pls_',
    'pls_a.b.c',
    'PLS_YWxpY2U.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ',
    'pls_YWxpY2U.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ.',
    'pls_YWxpY2U=.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ',
    // \xff is not UTF-8; \x00 is not a valid user id.
    'pls__w.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ',
    'pls_AA.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ',
    `pls_${'YWxp'.repeat(500)}.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ`,
  ])('is rejected when it is malformed: %j', (token) => {
    expect(parseSessionToken(token)).toBeNull();
  });
});

test('constantTimeEqual is true only for equal texts', () => {
  expect(constantTimeEqual('abc', 'abc')).toBe(true);
  expect(constantTimeEqual('abc', 'abd')).toBe(false);
  expect(constantTimeEqual('abc', 'abcd')).toBe(false);
});

test('device ids are 128 random bits in base64url', () => {
  expect(credentialFactory.createDeviceId()).toMatch(/^[\w-]{22}$/);
  expect(credentialFactory.createDeviceId()).not.toBe(credentialFactory.createDeviceId());
});
