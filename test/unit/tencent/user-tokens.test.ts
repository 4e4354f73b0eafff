/** A UserSig is accepted wherever a user’s JWT is. */
import { describe, expect, test } from 'vitest';
import { API_KEY, codeOf, ServerHarness, LOGIN } from '../../integration/server/support/server-harness.ts';
import { TestSocket } from '../../integration/server/support/test-socket.ts';
import { openTencentHarness, createUserSig } from './tencent-harness.ts';
import { createUserSigVerifier } from '../../../src/tencent/user-tokens.ts';
import { APP_ID, TENCENT, packClaims, packText, unpackClaims } from './user-sigs.ts';

const ASK = 'query ($id: ID!) { userStatus(userId: $id) { status } }';
const INPUT = { input: { platform: 'IPHONE', deviceId: 'a1' } };

/** A UserSig that contains every special character. */
const withAllLetters = (harness: ServerHarness): { user: string; sig: string } => {
  for (let at = 0; at < 1_000; at++) {
    const sig = createUserSig(harness, `user-${at}`);
    if (['*', '-', '_'].every((letter) => sig.includes(letter))) return { user: `user-${at}`, sig };
  }
  throw new Error('No UserSig contains all special characters.');
};

describe('over HTTP', () => {
  test.each(['application/json', 'application/json; charset=utf-8'])(
    'a UserSig logs in with a body of %s',
    async (type) => {
      const harness = await openTencentHarness();
      const { user, sig } = withAllLetters(harness);
      for (const query of ['', '?a=b']) {
        const response = await fetch(`${harness.url}/graphql${query}`, {
          method: 'POST',
          headers: { authorization: `bearer   ${sig}`, 'content-type': type },
          body: JSON.stringify({ query: LOGIN, variables: INPUT }),
        });
        expect(await response.json()).toMatchObject({
          data: { login: { sessionToken: expect.any(String) as unknown } },
        });
      }
      expect(await harness.status(user)).toBe('ONLINE');
    },
  );

  test('a UserSig queries by POST and GET but is not a session', async () => {
    const harness = await openTencentHarness();
    const authorization = `Bearer ${createUserSig(harness, 'alice')}`;
    const url = `${harness.url}/graphql?query=${encodeURIComponent('{ userStatus(userId: "alice") { status } }')}`;
    const response = await fetch(url, { headers: { authorization } });
    expect(await response.json()).toEqual({ data: { userStatus: { status: 'OFFLINE' } } });
    const beat = await harness.post('mutation { heartbeat { heartbeatIntervalMs } }', createUserSig(harness, 'alice'));
    expect(codeOf(beat)).toBe('UNAUTHENTICATED');
    expect(codeOf(await harness.post('{ stats { sockets } }', createUserSig(harness, 'alice')))).toBe('FORBIDDEN');
  });

  test('a JWT, a session token and an API key are still accepted', async () => {
    const harness = await openTencentHarness();
    const { token } = await harness.login('alice');
    for (const credential of [await harness.jwt('alice'), token, API_KEY]) {
      expect(codeOf(await harness.post(ASK, credential, { id: 'alice' }))).toBeUndefined();
    }
  });

  test.each([
    ['everyone', undefined],
    ['none', 'FORBIDDEN'],
  ] as const)('the setting visibility=%s decides whom the user of a UserSig may see', async (visibility, code) => {
    const harness = await openTencentHarness({ visibility });
    const sig = createUserSig(harness, 'alice');
    expect(codeOf(await harness.post(ASK, sig, { id: 'alice' }))).toBeUndefined();
    expect(codeOf(await harness.post(ASK, sig, { id: 'bob' }))).toBe(code);
    const { body } = await harness.post(LOGIN, sig, INPUT);
    const { sessionToken } = body.data?.['login'] as unknown as { sessionToken: string };
    expect(codeOf(await harness.post(ASK, sessionToken, { id: 'bob' }))).toBe(code);
  });

  test.each<[string, (harness: ServerHarness) => string]>([
    ['of another key', (harness) => createUserSig(harness, 'alice', { key: 'another key' })],
    ['of another app', (harness) => createUserSig(harness, 'alice', { appId: APP_ID + 1 })],
    ['that has expired', (harness) => createUserSig(harness, 'alice', { at: harness.now - 3_600_000 })],
    ['of tomorrow', (harness) => createUserSig(harness, 'alice', { at: harness.now + 86_400_000 })],
    ['that is truncated', (harness) => createUserSig(harness, 'alice').slice(0, -4)],
    [
      'with another user’s identifier',
      (harness) => packClaims({ ...unpackClaims(createUserSig(harness, 'bob')), 'TLS.identifier': 'alice' }),
    ],
    ['that is a decompression bomb', () => packText(`{}${' '.repeat(2_900_000)}`)],
    ['that is huge', () => 'A'.repeat(8_192)],
    ['with an invalid user id', (harness) => createUserSig(harness, 'a\nb')],
  ])('a UserSig %s is rejected', async (_which, sig) => {
    const harness = await openTencentHarness();
    expect(codeOf(await harness.post(LOGIN, sig(harness), INPUT))).toBe('UNAUTHENTICATED');
    expect(await harness.status('alice')).toBe('OFFLINE');
  });
});

describe('over a socket', () => {
  test('a UserSig logs in; its expiry closes the socket with 4413 without a DISCONNECT', async () => {
    const harness = await openTencentHarness();
    const wire = await TestSocket.connect(
      harness.socketUrl,
      createUserSig(harness, 'alice', { at: harness.now - 10_000, expireS: 11 }),
    );
    expect((await wire.execute(LOGIN, INPUT)).type).toBe('next');
    // The UserSig expires within a second.
    expect(await wire.closed).toEqual({ code: 4413, reason: 'The token has expired' });
    expect(await harness.status('alice')).toBe('ONLINE');
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test('an expired UserSig is rejected with 4413 and an invalid one with 4401', async () => {
    const harness = await openTencentHarness();
    const closed = async (sig: string): Promise<number> => {
      const wire = new TestSocket(harness.socketUrl);
      await wire.sendInit({ authorization: `Bearer ${sig}` });
      return (await wire.closed).code;
    };
    expect(await closed(createUserSig(harness, 'alice', { at: harness.now - 3_600_000 }))).toBe(4413);
    expect(await closed(createUserSig(harness, 'alice', { key: 'another key' }))).toBe(4401);
    expect(await closed('A'.repeat(4_096))).toBe(4401);
  });

  test('after a revocation, a UserSig is accepted only if it is later by the clock tolerance, over both transports', async () => {
    const userTokens = [createUserSigVerifier({ ...TENCENT, clockToleranceMs: 60_000 })];
    const harness = await openTencentHarness({ settings: { userTokens } });
    const inSeconds = (seconds: number): string =>
      createUserSig(harness, 'alice', { at: harness.now + seconds * 1_000 });
    const ahead = inSeconds(50);
    const wire = await TestSocket.connect(harness.socketUrl, ahead);
    await harness.post('mutation { endSessions(input: {userId: "alice", revokeTokens: true}) { ended { id } } }');
    expect(await wire.closed).toEqual({ code: 4413, reason: 'The token has been revoked' });
    expect(codeOf(await harness.post(LOGIN, ahead, INPUT))).toBe('UNAUTHENTICATED');
    const refused = new TestSocket(harness.socketUrl);
    await refused.sendInit({ authorization: `Bearer ${ahead}` });
    expect((await refused.closed).reason).toMatch(/^The token was issued \d+ s after a revocation, but at least 60 s/);
    expect(codeOf(await harness.post(LOGIN, inSeconds(70), INPUT))).toBeUndefined();
    expect((await (await TestSocket.connect(harness.socketUrl, inSeconds(70))).execute(LOGIN, INPUT)).type).toBe(
      'next',
    );
  });

  test('endSessions with revokeTokens closes the socket of a UserSig', async () => {
    const harness = await openTencentHarness();
    const wire = await TestSocket.connect(harness.socketUrl, createUserSig(harness, 'alice'));
    await harness.post(
      'mutation { endSessions(input: {userId: "alice", revokeTokens: true}) { userStatus { status } } }',
    );
    expect(await wire.closed).toEqual({ code: 4413, reason: 'The token has been revoked' });
  });
});
