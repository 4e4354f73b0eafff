/** Forged and invalid JWTs are rejected. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import {
  claimsOf,
  ecPair,
  edPair,
  hmacToken,
  secondsFromNow,
  jwkOf,
  signedToken,
  rsaPair,
  serveKeys,
  unsignedToken,
  type KeyServer,
} from './forgery.ts';
import { LOGIN, newUserId, startSharedServer, fetchUser, type Server } from '../support/users.ts';

vi.setConfig({ maxConcurrency: 20 });

const SECRET = 'a secret of these tests alone, which is long enough';
const HS256 = { alg: 'HS256', typ: 'JWT' };

/** Expects a token to be rejected over both transports, for a query and a login, and the user to be unchanged. */
const expectRejected = async (server: Server, token: string, user: string): Promise<void> => {
  for (const [query, variables] of [
    ['query ($id: ID!) { userStatus(userId: $id) { status } }', { id: user }],
    [LOGIN, { input: { platform: 'WEB' } }],
  ] as const) {
    const answer = await postOperation(server, token, query, variables);
    expect(codeOf(answer)).toBe('UNAUTHENTICATED');
    expect(answer.data ?? null).toBeNull();
  }
  const socket = new GraphqlSocket(server);
  await socket.init(token);
  expect([4401, 4413]).toContain((await socket.closed).code);
  expect(socket.frames.all).toEqual([]);
  expect((await fetchUser(server, user)).version).toBe(0);
};

const expectAccepted = async (server: Server, token: string, user: string): Promise<void> => {
  expect(codeOf(await postOperation(server, token, LOGIN, { input: { platform: 'WEB' } }))).toBeNull();
  expect((await fetchUser(server, user)).status).toBe('ONLINE');
};

describe.concurrent('with a shared secret', () => {
  const server = startSharedServer({ env: { PORCHLIGHT_JWT_SECRET: SECRET } });
  const validToken = (user: string, rest: object = {}) => hmacToken(HS256, claimsOf(user, rest), SECRET);
  const attacker = rsaPair('attacker');

  test('tokens signed with the secret are accepted', async () => {
    for (const [header, rest] of [
      [HS256, {}],
      [{ alg: 'HS256' }, { iat: undefined }],
      [
        { alg: 'HS256', kid: 'any' },
        { nbf: secondsFromNow(50), exp: secondsFromNow(-50) },
      ],
      [
        { alg: 'HS256', kid: 'any' },
        { nbf: secondsFromNow(-10), jti: 'x', admin: true, iss: 'anyone', aud: 'anything' },
      ],
    ] as const) {
      const user = newUserId();
      await expectAccepted(server, hmacToken(header, claimsOf(user, rest), SECRET), user);
    }
  });

  const forged: Readonly<Record<string, (user: string) => string>> = {
    'alg none': (user) => unsignedToken('none', claimsOf(user)),
    'alg None': (user) => unsignedToken('None', claimsOf(user)),
    'alg NONE with a signature': (user) => unsignedToken('NONE', claimsOf(user), validToken(user).split('.')[2]),
    'no alg at all': (user) => hmacToken({ typ: 'JWT' }, claimsOf(user), SECRET),
    'another secret': (user) => hmacToken(HS256, claimsOf(user), `${SECRET} `),
    'an empty secret': (user) => hmacToken(HS256, claimsOf(user), ''),
    'the secret as base64': (user) => hmacToken(HS256, claimsOf(user), Buffer.from(SECRET, 'base64')),
    'HS512 with the right secret': (user) => hmacToken({ alg: 'HS512' }, claimsOf(user), SECRET, 'sha512'),
    'HS384 with the right secret': (user) => hmacToken({ alg: 'HS384' }, claimsOf(user), SECRET, 'sha384'),
    'hs256 in lower case': (user) => hmacToken({ alg: 'hs256' }, claimsOf(user), SECRET),
    'RS256 with the key of an attacker': (user) => signedToken({ alg: 'RS256' }, claimsOf(user), attacker.privateKey),
    'RS256 with the key of an attacker in the header': (user) => {
      const header = { alg: 'RS256', jwk: jwkOf(attacker), kid: 'attacker' };
      return signedToken(header, claimsOf(user), attacker.privateKey);
    },
    'a kid that names a file': (user) => hmacToken({ ...HS256, kid: '../../../dev/null' }, claimsOf(user), ''),
    'an unknown critical extension': (user) => hmacToken({ ...HS256, crit: ['x'], x: 1 }, claimsOf(user), SECRET),
    'expired an hour ago': (user) => validToken(user, { exp: secondsFromNow(-3_600) }),
    'expired for longer than the clock tolerance': (user) => validToken(user, { exp: secondsFromNow(-61) }),
    'with an exp in milliseconds': (user) => validToken(user, { exp: Date.now() + 3_600_000 }),
    'exp 0': (user) => validToken(user, { exp: 0 }),
    'exp as text': (user) => validToken(user, { exp: String(secondsFromNow(3_600)) }),
    'exp null': (user) => validToken(user, { exp: null }),
    'no exp': (user) => validToken(user, { exp: undefined }),
    'not before in an hour': (user) => validToken(user, { nbf: secondsFromNow(3_600) }),
    'nbf as text': (user) => validToken(user, { nbf: 'soon' }),
    'no sub': (user) => validToken(user, { sub: undefined }),
    'sub null': (user) => validToken(user, { sub: null }),
    'an empty sub': (user) => validToken(user, { sub: '' }),
    'sub as a number': (user) => validToken(user, { sub: 42 }),
    'sub as a list': (user) => validToken(user, { sub: [user] }),
    'claims that are a string': () => hmacToken(HS256, 'claims', SECRET),
    'claims that are a list': (user) => hmacToken(HS256, [claimsOf(user)], SECRET),
    'a payload from another token': (user) => {
      const [header, , signature] = validToken(newUserId()).split('.');
      return [header, validToken(user).split('.')[1], signature].join('.');
    },
    'a signature from another token': (user) => {
      const [header, payload] = validToken(user).split('.');
      return [header, payload, validToken(newUserId()).split('.')[2]].join('.');
    },
    'a changed letter of the signature': (user) => {
      const token = validToken(user);
      const at = token.lastIndexOf('.') + 5;
      return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
    },
    'no signature': (user) => validToken(user).slice(0, validToken(user).lastIndexOf('.') + 1),
    'two parts': (user) => validToken(user).split('.').slice(0, 2).join('.'),
    'four parts': (user) => `${validToken(user)}.AAAA`,
    'a missing last letter': (user) => validToken(user).slice(0, -1),
    'half of a token': (user) => validToken(user).slice(0, validToken(user).length / 2),
    'a header that is not JSON': () => `${Buffer.from('{').toString('base64url')}.e30.AAAA`,
    'dots and slashes only': () => '../..',
    'a token of more than 32 KiB': (user) => validToken(user, { filler: 'x'.repeat(25_000) }),
  };
  test.for(Object.entries(forged))('a token is rejected: %s', async ([, forge]) => {
    const user = newUserId();
    await expectRejected(server, forge(user), user);
  });

  test('an Authorization header other than `Bearer` and one token is rejected', async () => {
    const user = newUserId();
    const token = validToken(user);
    const headers = [token, `Basic ${token}`, `Bearer${token}`, `Bearer ${token} ${token}`, 'Bearer', `Token ${token}`];
    for (const authorization of headers) {
      const response = await fetch(`${server.origin}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ query: '{ userStatus(userId: "x") { status } }' }),
      });
      expect([authorization, codeOf((await response.json()) as object)]).toEqual([authorization, 'UNAUTHENTICATED']);
    }
    for (const authorization of [...headers, 7, null, {}, [`Bearer ${token}`]]) {
      const socket = new GraphqlSocket(server);
      await socket.init('', authorization as string);
      expect([authorization, (await socket.closed).code]).toEqual([authorization, 4401]);
    }
  });

  test('a modified API key is rejected', async () => {
    const key = server.apiKey;
    for (const wrong of [key.slice(0, -1), `${key}x`, key.toUpperCase(), key.slice(1), `${key},${key}`, 'undefined']) {
      expect([wrong, codeOf(await postOperation(server, wrong, '{ stats { sockets } }'))]).toEqual([
        wrong,
        'UNAUTHENTICATED',
      ]);
    }
  });
});

describe('public keys', () => {
  const [rsa, ec, ed] = [rsaPair('rsa'), ecPair('ec'), edPair('ed')];
  const [attacker, unknownPair] = [rsaPair('rsa'), rsaPair('unknown')];
  let keys: KeyServer;
  let attackerKeys: KeyServer;
  let server: PorchlightProcess;

  beforeAll(async () => {
    keys = await serveKeys([rsa, ec, ed]);
    attackerKeys = await serveKeys([attacker]);
    const env = {
      PORCHLIGHT_JWKS_URL: keys.url,
      PORCHLIGHT_JWT_ISSUER: 'https://issuer',
      PORCHLIGHT_JWT_AUDIENCE: 'porch',
    };
    server = await startPorchlight({ env: { ...env, PORCHLIGHT_JWT_SECRET: SECRET } });
  });
  afterAll(async () => {
    expect(attackerKeys.requestedPaths).toEqual([]);
    await server[Symbol.asyncDispose]();
    await keys[Symbol.asyncDispose]();
    await attackerKeys[Symbol.asyncDispose]();
  });

  const claims = (user: string, rest: object = {}) => claimsOf(user, { iss: 'https://issuer', aud: 'porch', ...rest });
  const header = ({ alg, kid }: { alg: string; kid: string }) => ({ alg, kid, typ: 'JWT' });

  test('tokens signed with one of the keys, or with the shared secret, are accepted', async () => {
    for (const pair of [rsa, ec, ed]) {
      const user = newUserId();
      await expectAccepted(server, signedToken(header(pair), claims(user), pair.privateKey), user);
    }
    const [one, other] = [newUserId(), newUserId()];
    await expectAccepted(server, hmacToken(HS256, claims(one), SECRET), one);
    const several = claims(other, { aud: ['elsewhere', 'porch'] });
    await expectAccepted(server, signedToken(header(rsa), several, rsa.privateKey), other);
  });

  const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' });
  const signed = (user: string, rest: object) => signedToken(header(rsa), claims(user, rest), rsa.privateKey);
  const forged: Readonly<Record<string, (user: string) => string>> = {
    'HS256 with the public key (PEM) as its secret': (user) => hmacToken({ ...HS256, kid: 'rsa' }, claims(user), pem),
    'HS256 with the trimmed public key (PEM) as its secret': (user) =>
      hmacToken(HS256, claims(user), pem.toString().trim()),
    'HS256 with the public key (DER) as its secret': (user) =>
      hmacToken(HS256, claims(user), rsa.publicKey.export({ format: 'der', type: 'spki' })),
    'HS256 with the JWK as its secret': (user) => hmacToken(HS256, claims(user), JSON.stringify(jwkOf(rsa))),
    'HS256 with the modulus as its secret': (user) =>
      hmacToken(HS256, claims(user), Buffer.from(String(rsa.publicKey.export({ format: 'jwk' }).n), 'base64url')),
    'another key under a known kid': (user) => signedToken(header(attacker), claims(user), attacker.privateKey),
    'another key under an unknown kid': (user) =>
      signedToken(header(unknownPair), claims(user), unknownPair.privateKey),
    'a key set of the attacker in jku and x5u': (user) =>
      signedToken(
        { ...header(attacker), ...{ jku: attackerKeys.url, x5u: attackerKeys.url } },
        claims(user),
        attacker.privateKey,
      ),
    'a key for another algorithm': (user) =>
      signedToken({ ...header(rsa), alg: 'ES256' }, claims(user), rsa.privateKey),
    'alg none': (user) => unsignedToken('none', claims(user)),
    'a wrong issuer': (user) => signed(user, { iss: 'https://issuer.example' }),
    'no issuer': (user) => signed(user, { iss: undefined }),
    'a wrong audience': (user) => signed(user, { aud: 'porch2' }),
    'no audience': (user) => signed(user, { aud: undefined }),
    'a wrong issuer with the secret': (user) => hmacToken(HS256, claims(user, { iss: 'x' }), SECRET),
    'no audience with the secret': (user) => hmacToken(HS256, claims(user, { aud: undefined }), SECRET),
    'expired for longer than the clock tolerance': (user) => signed(user, { exp: secondsFromNow(-61) }),
    'with an exp in milliseconds': (user) => signed(user, { exp: Date.now() + 3_600_000 }),
    'no exp': (user) => signed(user, { exp: undefined }),
    'no sub': (user) => signed(user, { sub: undefined }),
  };
  test.concurrent.for(Object.entries(forged))('a token is rejected: %s', async ([, forge]) => {
    const user = newUserId();
    await expectRejected(server, forge(user), user);
  });

  test('tokens signed with any secret are rejected when no secret is configured', async () => {
    await using jwksOnly = await startPorchlight({
      env: { PORCHLIGHT_JWKS_URL: keys.url, PORCHLIGHT_JWT_SECRET: undefined },
    });
    const [user, other] = [newUserId(), newUserId()];
    await expectAccepted(jwksOnly, signedToken(header(ec), claimsOf(user), ec.privateKey), user);
    await expectRejected(jwksOnly, hmacToken(HS256, claimsOf(other), SECRET), other);
    await expectRejected(jwksOnly, hmacToken(HS256, claimsOf(other), ''), other);
    expect(await postForData(jwksOnly, jwksOnly.apiKey, '{ stats { usersOnline } }')).toEqual({
      stats: { usersOnline: 1 },
    });
  });
});
