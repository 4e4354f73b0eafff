/** A UserSig wherever a user's JWT is taken. */
import { describe, expect, test } from 'vitest';
import { API_KEY, codeOf, House, LOGIN } from '../../integration/server/support/server-harness.ts';
import { Wire } from '../../integration/server/support/wire.ts';
import { openTencent, sigOf } from './tencent-harness.ts';
import { APP_ID, pack, packText, unpack } from './user-sigs.ts';

const ASK = 'query ($id: ID!) { userStatus(userId: $id) { status } }';
const INPUT = { input: { platform: 'IPHONE', deviceId: 'a1' } };

/** One with every letter that a UserSig may have. */
const withAllLetters = (house: House): { user: string; sig: string } => {
  for (let at = 0; at < 1_000; at++) {
    const sig = sigOf(house, `user-${at}`);
    if (['*', '-', '_'].every((letter) => sig.includes(letter))) return { user: `user-${at}`, sig };
  }
  throw new Error('None has all of them.');
};

describe('over HTTP', () => {
  test.each(['application/json', 'application/json; charset=utf-8'])(
    'it logs in, by every way that a body goes: %s',
    async (type) => {
      const house = await openTencent();
      const { user, sig } = withAllLetters(house);
      for (const query of ['', '?a=b']) {
        const response = await fetch(`${house.url}/graphql${query}`, {
          method: 'POST',
          headers: { authorization: `bearer   ${sig}`, 'content-type': type },
          body: JSON.stringify({ query: LOGIN, variables: INPUT }),
        });
        expect(await response.json()).toMatchObject({
          data: { login: { sessionToken: expect.any(String) as unknown } },
        });
      }
      expect(await house.status(user)).toBe('ONLINE');
    },
  );

  test('it asks, by GET too, and is no session', async () => {
    const house = await openTencent();
    const authorization = `Bearer ${sigOf(house, 'alice')}`;
    const url = `${house.url}/graphql?query=${encodeURIComponent('{ userStatus(userId: "alice") { status } }')}`;
    const response = await fetch(url, { headers: { authorization } });
    expect(await response.json()).toEqual({ data: { userStatus: { status: 'OFFLINE' } } });
    const beat = await house.post('mutation { heartbeat { heartbeatIntervalMs } }', sigOf(house, 'alice'));
    expect(codeOf(beat)).toBe('UNAUTHENTICATED');
    expect(codeOf(await house.post('{ stats { sockets } }', sigOf(house, 'alice')))).toBe('FORBIDDEN');
  });

  test('a JWT, a session token and an API key are as good as ever', async () => {
    const house = await openTencent();
    const { token } = await house.login('alice');
    for (const credential of [await house.jwt('alice'), token, API_KEY]) {
      expect(codeOf(await house.post(ASK, credential, { id: 'alice' }))).toBeUndefined();
    }
  });

  test.each([
    ['everyone', undefined],
    ['none', 'FORBIDDEN'],
  ] as const)('whom its user may see, the setting says: %s', async (visibility, code) => {
    const house = await openTencent({ visibility });
    const sig = sigOf(house, 'alice');
    expect(codeOf(await house.post(ASK, sig, { id: 'alice' }))).toBeUndefined();
    expect(codeOf(await house.post(ASK, sig, { id: 'bob' }))).toBe(code);
    const { body } = await house.post(LOGIN, sig, INPUT);
    const { sessionToken } = body.data?.['login'] as unknown as { sessionToken: string };
    expect(codeOf(await house.post(ASK, sessionToken, { id: 'bob' }))).toBe(code);
  });

  test.each<[string, (house: House) => string]>([
    ['of another key', (house) => sigOf(house, 'alice', { key: 'another key' })],
    ['of another app', (house) => sigOf(house, 'alice', { appId: APP_ID + 1 })],
    ['that has expired', (house) => sigOf(house, 'alice', { at: house.now - 3_600_000 })],
    ['of tomorrow', (house) => sigOf(house, 'alice', { at: house.now + 86_400_000 })],
    ['cut off', (house) => sigOf(house, 'alice').slice(0, -4)],
    ['made another user’s', (house) => pack({ ...unpack(sigOf(house, 'bob')), 'TLS.identifier': 'alice' })],
    ['that is a bomb', () => packText(`{}${' '.repeat(2_900_000)}`)],
    ['that is huge', () => 'A'.repeat(8_192)],
    ['that is nobody’s id', (house) => sigOf(house, 'a\nb')],
  ])('one %s logs nobody in', async (_which, sig) => {
    const house = await openTencent();
    expect(codeOf(await house.post(LOGIN, sig(house), INPUT))).toBe('UNAUTHENTICATED');
    expect(await house.status('alice')).toBe('OFFLINE');
  });
});

describe('over a socket', () => {
  test('it logs in; the socket is closed with 4413 when it expires, which is no DISCONNECT', async () => {
    const house = await openTencent();
    const wire = await Wire.as(house.socketUrl, sigOf(house, 'alice', { at: house.now - 10_000, expireS: 11 }));
    expect((await wire.ask(LOGIN, INPUT)).type).toBe('next');
    // By itself: its time is over within a second.
    expect(await wire.closed).toEqual({ code: 4413, reason: 'The token has expired' });
    expect(await house.status('alice')).toBe('ONLINE');
    expect(await house.reasons('alice')).toEqual(['LOGIN']);
  });

  test('one that has expired already is 4413 as well, and one that is none 4401', async () => {
    const house = await openTencent();
    const closed = async (sig: string): Promise<number> => {
      const wire = new Wire(house.socketUrl);
      await wire.init({ authorization: `Bearer ${sig}` });
      return (await wire.closed).code;
    };
    expect(await closed(sigOf(house, 'alice', { at: house.now - 3_600_000 }))).toBe(4413);
    expect(await closed(sigOf(house, 'alice', { key: 'another key' }))).toBe(4401);
    expect(await closed('A'.repeat(4_096))).toBe(4401);
  });

  test('endSessions with revokeTokens closes it, as it does a JWT’s', async () => {
    const house = await openTencent();
    const wire = await Wire.as(house.socketUrl, sigOf(house, 'alice'));
    await house.post(
      'mutation { endSessions(input: {userId: "alice", revokeTokens: true}) { userStatus { status } } }',
    );
    expect(await wire.closed).toEqual({ code: 4413, reason: 'The token has been revoked' });
  });
});
