/** Malformed and ambiguous tokens, which the verifying library and the server might interpret differently. */
import { createHmac, generateKeyPairSync, sign as signBytes, type KeyObject } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { constantTimeEqual } from '../../../../src/server/auth/constant-time-equal.ts';
import { API_KEY, codeOf, ServerHarness, SECRET } from '../support/server-harness.ts';
import { expectStillServing } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/test-socket.ts';

const comparedLengths = vi.hoisted(() => [] as number[]);
vi.mock('node:crypto', async (original) => {
  const real = await original<typeof import('node:crypto')>();
  const timingSafeEqual: typeof real.timingSafeEqual = (one, other) => {
    comparedLengths.push(one.byteLength);
    return real.timingSafeEqual(one, other);
  };
  return { ...real, timingSafeEqual };
});

const QUERY = '{ userStatus(userId: "bob") { version } }';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const now = (): number => Math.floor(Date.now() / 1_000);
const base64 = (text: string | object): string =>
  Buffer.from(typeof text === 'string' ? text : JSON.stringify(text)).toString('base64url');
const hmac = (header: string | object, claims: string | object, secret: string | Buffer = SECRET): string => {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
};
const signWithKey = (header: object, claims: object, key: KeyObject): string => {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${signBytes('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
};

const HS256 = { alg: 'HS256' };
const claims = (more: object = {}) => ({ sub: 'alice', exp: now() + 60, ...more });
const validToken = (): string => hmac(HS256, claims());
const validTokenParts = (): [string, string, string] => validToken().split('.') as [string, string, string];

/** Tokens that both transports must reject. */
const FORGED: Readonly<Record<string, () => string>> = {
  'a header with two algorithms, the last of which is none': () => hmac('{"alg":"HS256","alg":"none"}', claims()),
  'an algorithm that is a list': () => hmac({ alg: ['HS256'] }, claims()),
  'an algorithm named like a property of every object': () => hmac({ alg: 'constructor' }, claims()),
  'an unencoded payload (b64)': () => hmac({ ...HS256, b64: false, crit: ['b64'] }, claims()),
  'an empty list of critical extensions': () => hmac({ ...HS256, crit: [] }, claims()),
  'critical extensions given as a string': () => hmac({ ...HS256, crit: 'exp' }, claims()),
  'a header that is a list': () => hmac('["HS256"]', claims()),
  'a header that is null': () => hmac('null', claims()),
  'a header that is not valid UTF-8': () =>
    `${Buffer.from([0xff]).toString('base64url')}.${validTokenParts()[1]}.${validTokenParts()[2]}`,
  'a nested token (cty JWT)': () => hmac({ ...HS256, cty: 'JWT' }, base64(validToken())),
  'a payload that is a token in a JSON string': () => hmac(HS256, JSON.stringify(validToken())),
  'a payload that is null': () => hmac(HS256, 'null'),
  'a payload that is not valid UTF-8': () => {
    const text = `${base64(HS256)}.${Buffer.from([0xff, 0xfe]).toString('base64url')}`;
    return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
  },
  'a signature with padding': () => `${validToken()}=`,
  'a signature in base64 instead of base64url': () => {
    const [header, payload, signature] = validTokenParts();
    return `${header}.${payload}.${Buffer.from(signature, 'base64url').toString('base64')}`;
  },
  'a signature in hex': () => {
    const [header, payload, signature] = validTokenParts();
    return `${header}.${payload}.${Buffer.from(signature, 'base64url').toString('hex')}`;
  },
  'a signature with spare bits set': () => {
    const token = validToken();
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return token.slice(0, -1) + (letters[letters.indexOf(token.at(-1) ?? 'A') + 1] ?? 'A');
  },
  'padding after the payload': () => validTokenParts().join('=.').replace('=.', '.'),
  'a leading dot': () => `.${validToken()}`,
  'five parts, as in an encrypted token': () => `${validToken()}.x.y`,
  'a sub that is an object': () => hmac(HS256, claims({ sub: { id: 'alice' } })),
  'two sub claims, the last of which is empty': () => hmac(HS256, `{"sub":"alice","exp":${now() + 60},"sub":""}`),
  'a sub with the control character DEL': () => hmac(HS256, claims({ sub: 'ali\u007fce' })),
  'a sub with a C1 control character': () => hmac(HS256, claims({ sub: 'ali\u0085ce' })),
  'a sub with the control character NUL': () => hmac(HS256, claims({ sub: 'alice\u0000' })),
  'a sub of 129 characters': () => hmac(HS256, claims({ sub: 'x'.repeat(129) })),
  'a sub with a lone surrogate': () => hmac(HS256, `{"sub":"\\ud83d","exp":${now() + 60}}`),
  'an exp and an nbf above the range of numbers': () => hmac(HS256, '{"sub":"alice","exp":1e999,"nbf":1e999}'),
  'an exp that is a list': () => hmac(HS256, claims({ exp: [now() + 60] })),
  'an exp that is true': () => hmac(HS256, claims({ exp: true })),
  'a negative exp': () => hmac(HS256, claims({ exp: -1e308 })),
  'an exp in __proto__ only': () => hmac(HS256, '{"sub":"alice","__proto__":{"exp":99999999999}}'),
  'a sub in __proto__ only': () => hmac(HS256, `{"exp":${now() + 60},"__proto__":{"sub":"alice"}}`),
  'an nbf far ahead': () => hmac(HS256, claims({ nbf: 1e15 })),
  'an nbf that is a string': () => hmac(HS256, claims({ nbf: '0' })),
  'a watch that is an object': () => hmac(HS256, claims({ watch: { 0: 'bob', length: 1 } })),
  'a watch that is true': () => hmac(HS256, claims({ watch: true })),
  'a watch that is **': () => hmac(HS256, claims({ watch: '**' })),
  'a watch with a nested list': () => hmac(HS256, claims({ watch: [['bob']] })),
  'a watch with a control character': () => hmac(HS256, claims({ watch: ['bob', 'a\nb'] })),
  'a token above 32 KiB': () => hmac(HS256, claims({ more: 'x'.repeat(25_000) })),
  'a kid that is a file path': () => hmac({ ...HS256, kid: '/dev/null' }, claims(), ''),
  'a kid that is SQL': () => hmac({ ...HS256, kid: "x' UNION SELECT 'k" }, claims(), 'k'),
};

const expectRejected = async (harness: ServerHarness, token: string): Promise<void> => {
  expect(codeOf(await harness.post(QUERY, token))).toBe('UNAUTHENTICATED');
  const socket = new TestSocket(harness.socketUrl);
  await socket.sendInit({ authorization: `Bearer ${token}` });
  const { code, reason } = await socket.closed;
  expect([4401, 4413]).toContain(code);
  expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123);
};

describe('a user token', () => {
  test.each(Object.keys(FORGED))('is rejected over both transports and not logged: %s', async (what) => {
    const harness = await ServerHarness.open();
    const token = FORGED[what]?.() ?? '';
    await expectRejected(harness, token);
    expect(harness.logLines.join('')).not.toContain(token.slice(-30));
    await expectStillServing(harness);
  });

  test.each<[string, () => string]>([
    ['without unusual parts', validToken],
    ['with a kid, which a shared secret ignores', () => hmac({ ...HS256, kid: '../../etc/passwd' }, claims())],
    [
      'with jku and jwk headers, which are ignored',
      () => hmac({ ...HS256, jku: 'http://127.0.0.1:9/', jwk: { kty: 'oct', k: 'AAAA' } }, claims()),
    ],
    [
      'with two sub claims, of which the last counts',
      () => hmac(HS256, `{"sub":"bob","exp":${now() + 60},"sub":"alice"}`),
    ],
    ['with an iat in the future', () => hmac(HS256, claims({ iat: now() + 1_000 }))],
    ['with a practically infinite exp', () => hmac(HS256, claims({ exp: 1e308 }))],
    ['with a fractional exp', () => hmac(HS256, claims({ exp: now() + 59.999 }))],
    [
      'with claims of other systems',
      () => hmac(HS256, claims({ scope: 'admin', role: 'backend', isAdmin: true, sessionId: 'x' })),
    ],
  ])('is accepted with the rights of a user only: %s', async (_what, token) => {
    const harness = await ServerHarness.open();
    expect(codeOf(await harness.post(QUERY, token()))).toBeUndefined();
    expect(codeOf(await harness.post('{ stats { sockets } }', token()))).toBe('FORBIDDEN');
    await harness.post('mutation { login(input: { platform: WEB }) { sessionToken } }', token());
    expect([await harness.status('alice'), await harness.status('bob')]).toEqual(['ONLINE', 'OFFLINE']);
  });
});

describe('comparison with secrets', () => {
  test('compares the full length wherever two texts differ', () => {
    const text = 'a secret of the tests';
    const before = comparedLengths.length;
    expect(constantTimeEqual(text, text)).toBe(true);
    for (let at = 0; at < text.length; at++) {
      expect(constantTimeEqual(text, `${text.slice(0, at)}\u0000${text.slice(at + 1)}`)).toBe(false);
    }
    expect(comparedLengths.slice(before)).toEqual(Array(text.length + 1).fill(text.length));
    for (const other of ['', text.slice(1), `${text} `, text.toUpperCase(), text.repeat(2)])
      expect(constantTimeEqual(text, other)).toBe(false);
    // Texts that look the same are compared by their bytes.
    expect([constantTimeEqual('Zo\u00eb', 'Zoe\u0308'), constantTimeEqual('', '')]).toEqual([false, true]);
  });

  /** The lengths of the hashes of the two configured API keys. */
  const EVERY_API_KEY = [32, 32];

  /** The lengths of all comparisons made to authenticate `credential`. The API key check may run twice; it counts once. */
  const comparisonLengths = async (harness: ServerHarness, credential: string): Promise<number[]> => {
    const before = comparedLengths.length;
    await harness.post('{ __typename }', credential);
    const made = comparedLengths.slice(before);
    const isRepeated = made.slice(0, 4).every((length) => length === 32) && made.length >= 4;
    return isRepeated ? made.slice(2) : made;
  };

  test('compares an API key, valid or not, with the hash of every configured key', async () => {
    const harness = await ServerHarness.open();
    for (const key of [API_KEY, 'plk_another-key-of-the-tests', 'x', API_KEY.slice(0, -1), `${API_KEY}x`]) {
      expect(await comparisonLengths(harness, key)).toEqual(EVERY_API_KEY);
    }
  });

  test('compares the secret of a session token, valid, invalid or ended, with the stored one', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    expect(await comparisonLengths(harness, token)).toEqual([43]);
    const wrong = `${token.slice(0, -10)}AAAAAAAAAA`;
    // An unknown session token is also checked as an API key.
    expect(await comparisonLengths(harness, wrong)).toEqual([43, ...EVERY_API_KEY]);
    await harness.post('mutation { logout { userStatus { status } } }', token);
    expect(await comparisonLengths(harness, token)).toEqual([43]);
  });

  test('compares the signature of a JWT, valid or not, in full', async () => {
    const harness = await ServerHarness.open();
    const [header, payload] = validTokenParts();
    for (const token of [validToken(), `${header}.${payload}.${'A'.repeat(43)}`])
      expect(await comparisonLengths(harness, token)).toEqual([...EVERY_API_KEY, 43]);
  });
});

test('accepts the malleated ES256 signature of a valid token and rejects every forged one', async () => {
  const { createServer } = await import('node:http');
  const http = createServer((_request, response) =>
    response.end(
      JSON.stringify({
        keys: [
          { ...ec.publicKey.export({ format: 'jwk' }), kid: 'ec' },
          { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'rsa' },
        ],
      }),
    ),
  );
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = http.address() as { port: number };
    const harness = await ServerHarness.open({
      settings: { jwksUrl: new URL(`http://127.0.0.1:${port}/`), jwtSecret: null },
    });
    const header = { alg: 'ES256', kid: 'ec' };
    const token = signWithKey(header, claims(), ec.privateKey);
    const [head = '', payload = '', signature = ''] = token.split('.');
    const bytes = Buffer.from(signature, 'base64url');
    const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
    const s = BigInt(`0x${bytes.toString('hex', 32)}`);
    const other = Buffer.concat([
      bytes.subarray(0, 32),
      Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex'),
    ]);
    // No state is keyed by the text of a JWT: it is revoked by its user and time.
    for (const one of [token, `${head}.${payload}.${other.toString('base64url')}`])
      expect(codeOf(await harness.post(QUERY, one))).toBeUndefined();
    const der = signBytes('sha256', Buffer.from(`${head}.${payload}`), ec.privateKey).toString('base64url');
    for (const forged of [
      `${head}.${payload}.${der}`,
      `${head}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
      `${head}.${payload}.`,
      signWithKey({ alg: 'ES256', kid: 'rsa' }, claims(), ec.privateKey),
      signWithKey({ alg: 'RS256', kid: 'ec' }, claims(), rsa.privateKey),
      signWithKey({ alg: 'ES256', kid: 7 }, claims(), ec.privateKey),
      signWithKey({ alg: 'ES256', kid: 'ec', crit: ['b64'], b64: false }, claims(), ec.privateKey),
      signWithKey({ alg: 'ES256', kid: 'k'.repeat(5_000) }, claims(), ec.privateKey),
      signWithKey({ alg: 'ES256', kid: '__proto__' }, claims(), ec.privateKey),
      hmac({ alg: 'HS256', kid: 'ec' }, claims(), Buffer.from(ec.publicKey.export({ format: 'pem', type: 'spki' }))),
      hmac({ alg: 'HS256', kid: 'ec' }, claims(), ''),
    ]) {
      await expectRejected(harness, forged);
    }
  } finally {
    http.closeAllConnections();
    http.close();
  }
});
