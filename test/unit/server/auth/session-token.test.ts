import { describe, expect, test } from 'vitest';
import { parseUserId } from '../../../../src/core/ids.ts';
import { constantTimeEqual } from '../../../../src/server/auth/constant-time-equal.ts';
import { credentialFactory, parseSessionToken } from '../../../../src/server/auth/session-token.ts';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

describe('a session token', () => {
  test.each(['alice', 'a', '用户-🙂', ' spaces ', 'x'.repeat(128), '🙂'.repeat(128), '\uFEFFbom', 'a.b.c'])(
    'of user %j leads back to her record',
    (name) => {
      const { sessionId, token, tokenHash } = credentialFactory.createSessionCredentials(parseUserId(name));
      expect(token).toMatch(/^pls_[\w.-]+$/);
      expect(parseSessionToken(token)).toEqual({ userId: name, sessionId, tokenHash });
    },
  );

  test('is made anew each time, and what is kept does not contain it', () => {
    const made = Array.from({ length: 100 }, () => credentialFactory.createSessionCredentials(parseUserId('alice')));
    expect(new Set(made.map(({ sessionId }) => sessionId)).size).toBe(100);
    expect(new Set(made.map(({ tokenHash }) => tokenHash)).size).toBe(100);
    for (const { token, tokenHash } of made) expect(token).not.toContain(tokenHash);
  });

  test('with any one character changed is another secret, another session, another user, or none', () => {
    const { token, tokenHash, sessionId } = credentialFactory.createSessionCredentials(parseUserId('alice'));
    for (let at = 0; at < token.length; at++) {
      for (const letter of [...alphabet, '.', '=', ' ', 'é']) {
        if (letter === token[at]) continue;
        const read = parseSessionToken(token.slice(0, at) + letter + token.slice(at + 1));
        const same = read?.userId === 'alice' && read.sessionId === sessionId && read.tokenHash === tokenHash;
        expect(same, `${letter} at ${at}`).toBe(false);
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
    // \xff is not UTF-8; \x00 is no user id.
    'pls__w.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ',
    'pls_AA.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ',
    `pls_${'YWxp'.repeat(500)}.l0tbfRfQyrofHRU-RBIq7Q.0EVRXMY2gbdgT_RKczpl-0M6jItBWhGGupbHUsInNZQ`,
  ])('is not %j', (token) => {
    expect(parseSessionToken(token)).toBeNull();
  });

  test('is compared as a whole', () => {
    expect(constantTimeEqual('abc', 'abc')).toBe(true);
    expect(constantTimeEqual('abc', 'abd')).toBe(false);
    expect(constantTimeEqual('abc', 'abcd')).toBe(false);
  });

  test('device ids are 128 bits in URL-safe letters', () => {
    expect(credentialFactory.createDeviceId()).toMatch(/^[\w-]{22}$/);
    expect(credentialFactory.createDeviceId()).not.toBe(credentialFactory.createDeviceId());
  });
});
