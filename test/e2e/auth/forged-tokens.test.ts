/** Tokens that nobody has given out open nothing, however they are made. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ask, codeOf, gql, Socket } from '../../support/porchlight-client.ts';
import { startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import {
  claimsOf,
  ecPair,
  edPair,
  hmacToken,
  inSeconds,
  jwkOf,
  keyToken,
  rsaPair,
  serveKeys,
  unsignedToken,
  type KeyServer,
} from './forgery.ts';
import { LOGIN, newUser, sharedServer, userSeen, type Server } from '../support/users.ts';

vi.setConfig({ maxConcurrency: 20 });

const SECRET = 'a secret of these tests alone, which is long enough';
const HS256 = { alg: 'HS256', typ: 'JWT' };

/** Refused at both doors, for asking and for logging in; and the user has not been seen. */
const expectRefused = async (server: Server, token: string, user: string): Promise<void> => {
  for (const [query, variables] of [
    ['query ($id: ID!) { userStatus(userId: $id) { status } }', { id: user }],
    [LOGIN, { input: { platform: 'WEB' } }],
  ] as const) {
    const answer = await gql(server, token, query, variables);
    expect(codeOf(answer)).toBe('UNAUTHENTICATED');
    expect(answer.data ?? null).toBeNull();
  }
  const socket = new Socket(server);
  await socket.init(token);
  expect([4401, 4413]).toContain((await socket.closed).code);
  expect(socket.frames.all).toEqual([]);
  expect((await userSeen(server, user)).version).toBe(0);
};

const expectLetIn = async (server: Server, token: string, user: string): Promise<void> => {
  expect(codeOf(await gql(server, token, LOGIN, { input: { platform: 'WEB' } }))).toBeNull();
  expect((await userSeen(server, user)).status).toBe('ONLINE');
};

describe.concurrent('a shared secret', () => {
  const server = sharedServer({ env: { PORCHLIGHT_JWT_SECRET: SECRET } });
  const good = (user: string, rest: object = {}) => hmacToken(HS256, claimsOf(user, rest), SECRET);
  const attacker = rsaPair('attacker');

  test('its own tokens are let in', async () => {
    for (const [header, rest] of [
      [HS256, {}],
      [{ alg: 'HS256' }, { iat: undefined }],
      [
        { alg: 'HS256', kid: 'any' },
        { nbf: inSeconds(-10), jti: 'x', admin: true, iss: 'anyone', aud: 'anything' },
      ],
    ] as const) {
      const user = newUser();
      await expectLetIn(server, hmacToken(header, claimsOf(user, rest), SECRET), user);
    }
  });

  const forged: Readonly<Record<string, (user: string) => string>> = {
    'alg none': (user) => unsignedToken('none', claimsOf(user)),
    'alg None': (user) => unsignedToken('None', claimsOf(user)),
    'alg NONE with a signature': (user) => unsignedToken('NONE', claimsOf(user), good(user).split('.')[2]),
    'no alg at all': (user) => hmacToken({ typ: 'JWT' }, claimsOf(user), SECRET),
    'another secret': (user) => hmacToken(HS256, claimsOf(user), `${SECRET} `),
    'an empty secret': (user) => hmacToken(HS256, claimsOf(user), ''),
    'the secret as base64': (user) => hmacToken(HS256, claimsOf(user), Buffer.from(SECRET, 'base64')),
    'HS512 with the right secret': (user) => hmacToken({ alg: 'HS512' }, claimsOf(user), SECRET, 'sha512'),
    'HS384 with the right secret': (user) => hmacToken({ alg: 'HS384' }, claimsOf(user), SECRET, 'sha384'),
    'hs256 in lower case': (user) => hmacToken({ alg: 'hs256' }, claimsOf(user), SECRET),
    'an attacker’s RS256': (user) => keyToken({ alg: 'RS256' }, claimsOf(user), attacker.privateKey),
    'an attacker’s key in the header': (user) => {
      const header = { alg: 'RS256', jwk: jwkOf(attacker), kid: 'attacker' };
      return keyToken(header, claimsOf(user), attacker.privateKey);
    },
    'a kid that names a file': (user) => hmacToken({ ...HS256, kid: '../../../dev/null' }, claimsOf(user), ''),
    'a critical extension nobody knows': (user) => hmacToken({ ...HS256, crit: ['x'], x: 1 }, claimsOf(user), SECRET),
    expired: (user) => good(user, { exp: inSeconds(-3_600) }),
    'expired a second ago': (user) => good(user, { exp: inSeconds(-1) }),
    'exp 0': (user) => good(user, { exp: 0 }),
    'exp as text': (user) => good(user, { exp: String(inSeconds(3_600)) }),
    'exp null': (user) => good(user, { exp: null }),
    'no exp': (user) => good(user, { exp: undefined }),
    'not before in an hour': (user) => good(user, { nbf: inSeconds(3_600) }),
    'nbf as text': (user) => good(user, { nbf: 'soon' }),
    'no sub': (user) => good(user, { sub: undefined }),
    'sub null': (user) => good(user, { sub: null }),
    'an empty sub': (user) => good(user, { sub: '' }),
    'sub as a number': (user) => good(user, { sub: 42 }),
    'sub as a list': (user) => good(user, { sub: [user] }),
    'claims that are no object': () => hmacToken(HS256, 'claims', SECRET),
    'claims that are a list': (user) => hmacToken(HS256, [claimsOf(user)], SECRET),
    'a payload from another token': (user) => {
      const [header, , signature] = good(newUser()).split('.');
      return [header, good(user).split('.')[1], signature].join('.');
    },
    'a signature from another token': (user) => {
      const [header, payload] = good(user).split('.');
      return [header, payload, good(newUser()).split('.')[2]].join('.');
    },
    'a changed letter of the signature': (user) => {
      const token = good(user);
      const at = token.lastIndexOf('.') + 5;
      return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
    },
    'no signature': (user) => good(user).slice(0, good(user).lastIndexOf('.') + 1),
    'two parts': (user) => good(user).split('.').slice(0, 2).join('.'),
    'four parts': (user) => `${good(user)}.AAAA`,
    'one letter less': (user) => good(user).slice(0, -1),
    'half of it': (user) => good(user).slice(0, good(user).length / 2),
    'no JSON': () => `${Buffer.from('{').toString('base64url')}.e30.AAAA`,
    'nothing but dots': () => '../..',
    'very long': (user) => good(user, { filler: 'x'.repeat(9_000) }),
  };
  test.for(Object.entries(forged))('%s', async ([, forge]) => {
    const user = newUser();
    await expectRefused(server, forge(user), user);
  });

  test('a header that is not `Bearer` and one token', async () => {
    const user = newUser();
    const token = good(user);
    const ways = [token, `Basic ${token}`, `Bearer${token}`, `Bearer ${token} ${token}`, 'Bearer', `Token ${token}`];
    for (const authorization of ways) {
      const response = await fetch(`${server.origin}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ query: '{ userStatus(userId: "x") { status } }' }),
      });
      expect([authorization, codeOf((await response.json()) as object)]).toEqual([authorization, 'UNAUTHENTICATED']);
    }
    for (const authorization of [...ways, 7, null, {}, [`Bearer ${token}`]]) {
      const socket = new Socket(server);
      await socket.init('', authorization as string);
      expect([authorization, (await socket.closed).code]).toEqual([authorization, 4401]);
    }
  });

  test('API keys that are nearly right', async () => {
    const key = server.apiKey;
    for (const wrong of [key.slice(0, -1), `${key}x`, key.toUpperCase(), key.slice(1), `${key},${key}`, 'undefined']) {
      expect([wrong, codeOf(await gql(server, wrong, '{ stats { sockets } }'))]).toEqual([wrong, 'UNAUTHENTICATED']);
    }
  });
});

describe('public keys', () => {
  const [rsa, ec, ed] = [rsaPair('rsa'), ecPair('ec'), edPair('ed')];
  const [attacker, stranger] = [rsaPair('rsa'), rsaPair('stranger')];
  let keys: KeyServer;
  let trap: KeyServer;
  let server: PorchlightProcess;

  beforeAll(async () => {
    keys = await serveKeys([rsa, ec, ed]);
    trap = await serveKeys([attacker]);
    const env = {
      PORCHLIGHT_JWKS_URL: keys.url,
      PORCHLIGHT_JWT_ISSUER: 'https://issuer',
      PORCHLIGHT_JWT_AUDIENCE: 'porch',
    };
    server = await startPorchlight({ env: { ...env, PORCHLIGHT_JWT_SECRET: SECRET } });
  });
  afterAll(async () => {
    expect(trap.asked).toEqual([]);
    await server[Symbol.asyncDispose]();
    await keys[Symbol.asyncDispose]();
    await trap[Symbol.asyncDispose]();
  });

  const claims = (user: string, rest: object = {}) => claimsOf(user, { iss: 'https://issuer', aud: 'porch', ...rest });
  const header = ({ alg, kid }: { alg: string; kid: string }) => ({ alg, kid, typ: 'JWT' });

  test('their tokens are let in, and those of the secret beside them', async () => {
    for (const pair of [rsa, ec, ed]) {
      const user = newUser();
      await expectLetIn(server, keyToken(header(pair), claims(user), pair.privateKey), user);
    }
    const [one, other] = [newUser(), newUser()];
    await expectLetIn(server, hmacToken(HS256, claims(one), SECRET), one);
    const several = claims(other, { aud: ['elsewhere', 'porch'] });
    await expectLetIn(server, keyToken(header(rsa), several, rsa.privateKey), other);
  });

  const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' });
  const signed = (user: string, rest: object) => keyToken(header(rsa), claims(user, rest), rsa.privateKey);
  const forged: Readonly<Record<string, (user: string) => string>> = {
    'HS256 with the public key (PEM) as its secret': (user) => hmacToken({ ...HS256, kid: 'rsa' }, claims(user), pem),
    'the same without its last line end': (user) => hmacToken(HS256, claims(user), pem.toString().trim()),
    'HS256 with the public key (DER) as its secret': (user) =>
      hmacToken(HS256, claims(user), rsa.publicKey.export({ format: 'der', type: 'spki' })),
    'HS256 with the JWK as its secret': (user) => hmacToken(HS256, claims(user), JSON.stringify(jwkOf(rsa))),
    'HS256 with the modulus as its secret': (user) =>
      hmacToken(HS256, claims(user), Buffer.from(String(rsa.publicKey.export({ format: 'jwk' }).n), 'base64url')),
    'another key under a known name': (user) => keyToken(header(attacker), claims(user), attacker.privateKey),
    'a key under an unknown name': (user) => keyToken(header(stranger), claims(user), stranger.privateKey),
    'a key set of the attacker’s own': (user) =>
      keyToken({ ...header(attacker), ...{ jku: trap.url, x5u: trap.url } }, claims(user), attacker.privateKey),
    'a key for another algorithm': (user) => keyToken({ ...header(rsa), alg: 'ES256' }, claims(user), rsa.privateKey),
    'alg none': (user) => unsignedToken('none', claims(user)),
    'a wrong issuer': (user) => signed(user, { iss: 'https://issuer.example' }),
    'no issuer': (user) => signed(user, { iss: undefined }),
    'a wrong audience': (user) => signed(user, { aud: 'porch2' }),
    'no audience': (user) => signed(user, { aud: undefined }),
    'a wrong issuer with the secret': (user) => hmacToken(HS256, claims(user, { iss: 'x' }), SECRET),
    'no audience with the secret': (user) => hmacToken(HS256, claims(user, { aud: undefined }), SECRET),
    expired: (user) => signed(user, { exp: inSeconds(-60) }),
    'no exp': (user) => signed(user, { exp: undefined }),
    'no sub': (user) => signed(user, { sub: undefined }),
  };
  test.concurrent.for(Object.entries(forged))('%s', async ([, forge]) => {
    const user = newUser();
    await expectRefused(server, forge(user), user);
  });

  test('alone they leave no secret to guess', async () => {
    await using alone = await startPorchlight({
      env: { PORCHLIGHT_JWKS_URL: keys.url, PORCHLIGHT_JWT_SECRET: undefined },
    });
    const [user, other] = [newUser(), newUser()];
    await expectLetIn(alone, keyToken(header(ec), claimsOf(user), ec.privateKey), user);
    await expectRefused(alone, hmacToken(HS256, claimsOf(other), SECRET), other);
    await expectRefused(alone, hmacToken(HS256, claimsOf(other), ''), other);
    expect(await ask(alone, alone.apiKey, '{ stats { usersOnline } }')).toEqual({ stats: { usersOnline: 1 } });
  });
});
