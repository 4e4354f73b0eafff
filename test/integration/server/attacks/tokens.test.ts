/** Tokens made to be read in two ways: as the library that checks them reads them, or as the server believes it does. */
import { createHmac, generateKeyPairSync, sign as signBytes, type KeyObject } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { sameText } from '../../../../src/server/auth/constant-time-equal.ts';
import { API_KEY, codeOf, ServerHarness, SECRET } from '../support/server-harness.ts';
import { expectStillWell } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/wire.ts';

const compared = vi.hoisted(() => [] as number[]);
vi.mock('node:crypto', async (original) => {
  const real = await original<typeof import('node:crypto')>();
  const timingSafeEqual: typeof real.timingSafeEqual = (one, other) => {
    compared.push(one.byteLength);
    return real.timingSafeEqual(one, other);
  };
  return { ...real, timingSafeEqual };
});

const ASK = '{ userStatus(userId: "bob") { version } }';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const now = (): number => Math.floor(Date.now() / 1_000);
const base64 = (text: string | object): string =>
  Buffer.from(typeof text === 'string' ? text : JSON.stringify(text)).toString('base64url');
const hmac = (header: string | object, claims: string | object, secret: string | Buffer = SECRET): string => {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
};
const byKey = (header: object, claims: object, key: KeyObject): string => {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${signBytes('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
};

const HS256 = { alg: 'HS256' };
const claims = (more: object = {}) => ({ sub: 'alice', exp: now() + 60, ...more });
const good = (): string => hmac(HS256, claims());
const parts = (): [string, string, string] => good().split('.') as [string, string, string];

/** Refused at both doors. */
const FORGED: Readonly<Record<string, () => string>> = {
  'two algorithms in a header, the last of which is none': () => hmac('{"alg":"HS256","alg":"none"}', claims()),
  'an algorithm that is a list': () => hmac({ alg: ['HS256'] }, claims()),
  'an algorithm that every object has': () => hmac({ alg: 'constructor' }, claims()),
  'a payload that is not encoded (b64)': () => hmac({ ...HS256, b64: false, crit: ['b64'] }, claims()),
  'no critical extensions, which must not be said': () => hmac({ ...HS256, crit: [] }, claims()),
  'critical extensions that are text': () => hmac({ ...HS256, crit: 'exp' }, claims()),
  'a header that is a list': () => hmac('["HS256"]', claims()),
  'a header that is null': () => hmac('null', claims()),
  'a header that is no UTF-8': () => `${Buffer.from([0xff]).toString('base64url')}.${parts()[1]}.${parts()[2]}`,
  'a token inside the token': () => hmac({ ...HS256, cty: 'JWT' }, base64(good())),
  'a token as the payload': () => hmac(HS256, JSON.stringify(good())),
  'a payload that is null': () => hmac(HS256, 'null'),
  'a payload that is no UTF-8': () => {
    const text = `${base64(HS256)}.${Buffer.from([0xff, 0xfe]).toString('base64url')}`;
    return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
  },
  'a signature with padding': () => `${good()}=`,
  'a signature in the other base64': () => {
    const [header, payload, signature] = parts();
    return `${header}.${payload}.${Buffer.from(signature, 'base64url').toString('base64')}`;
  },
  'a signature in hex': () => {
    const [header, payload, signature] = parts();
    return `${header}.${payload}.${Buffer.from(signature, 'base64url').toString('hex')}`;
  },
  'a signature with spare bits set': () => {
    const token = good();
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return token.slice(0, -1) + (letters[letters.indexOf(token.at(-1) ?? 'A') + 1] ?? 'A');
  },
  'padding after the payload': () => parts().join('=.').replace('=.', '.'),
  'a dot more in front': () => `.${good()}`,
  'five parts, as if it were encrypted': () => `${good()}.x.y`,
  'a sub that is an object': () => hmac(HS256, claims({ sub: { id: 'alice' } })),
  'a sub said twice, the last one empty': () => hmac(HS256, `{"sub":"alice","exp":${now() + 60},"sub":""}`),
  'a sub with DEL': () => hmac(HS256, claims({ sub: 'ali\u007fce' })),
  'a sub with C1': () => hmac(HS256, claims({ sub: 'ali\u0085ce' })),
  'a sub with NUL': () => hmac(HS256, claims({ sub: 'alice\u0000' })),
  'a sub of 129': () => hmac(HS256, claims({ sub: 'x'.repeat(129) })),
  'a sub that is half a letter': () => hmac(HS256, `{"sub":"\\ud83d","exp":${now() + 60}}`),
  'an exp beyond all numbers': () => hmac(HS256, '{"sub":"alice","exp":1e999,"nbf":1e999}'),
  'an exp that is a list': () => hmac(HS256, claims({ exp: [now() + 60] })),
  'an exp that is true': () => hmac(HS256, claims({ exp: true })),
  'an exp in the past, below zero': () => hmac(HS256, claims({ exp: -1e308 })),
  'an exp inherited': () => hmac(HS256, '{"sub":"alice","__proto__":{"exp":99999999999}}'),
  'a sub inherited': () => hmac(HS256, `{"exp":${now() + 60},"__proto__":{"sub":"alice"}}`),
  'an nbf far ahead': () => hmac(HS256, claims({ nbf: 1e15 })),
  'an nbf that is text': () => hmac(HS256, claims({ nbf: '0' })),
  'a watch that is an object': () => hmac(HS256, claims({ watch: { 0: 'bob', length: 1 } })),
  'a watch that is true': () => hmac(HS256, claims({ watch: true })),
  'a watch that is **': () => hmac(HS256, claims({ watch: '**' })),
  'a watch with a list in it': () => hmac(HS256, claims({ watch: [['bob']] })),
  'a watch with a control character': () => hmac(HS256, claims({ watch: ['bob', 'a\nb'] })),
  'more than 8 KiB': () => hmac(HS256, claims({ more: 'x'.repeat(8_192) })),
  'a kid that is a file': () => hmac({ ...HS256, kid: '/dev/null' }, claims(), ''),
  'a kid that is SQL': () => hmac({ ...HS256, kid: "x' UNION SELECT 'k" }, claims(), 'k'),
};

const expectRefused = async (harness: ServerHarness, token: string): Promise<void> => {
  expect(codeOf(await harness.post(ASK, token))).toBe('UNAUTHENTICATED');
  const wire = new TestSocket(harness.socketUrl);
  await wire.init({ authorization: `Bearer ${token}` });
  const { code, reason } = await wire.closed;
  expect([4401, 4413]).toContain(code);
  expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123);
};

describe('a token that is not as it should be is refused', () => {
  test.each(Object.keys(FORGED))('%s', async (what) => {
    const harness = await ServerHarness.open();
    const token = FORGED[what]?.() ?? '';
    await expectRefused(harness, token);
    expect(harness.logged.join('')).not.toContain(token.slice(-30));
    await expectStillWell(harness);
  });

  test.each<[string, () => string]>([
    ['as it is', good],
    ['with a name for its key, which a secret has not', () => hmac({ ...HS256, kid: '../../etc/passwd' }, claims())],
    [
      'with keys of its own, which are not looked at',
      () => hmac({ ...HS256, jku: 'http://127.0.0.1:9/', jwk: { kty: 'oct', k: 'AAAA' } }, claims()),
    ],
    [
      'whose sub is said twice: the last one counts, as everywhere',
      () => hmac(HS256, `{"sub":"bob","exp":${now() + 60},"sub":"alice"}`),
    ],
    ['that was issued in the future', () => hmac(HS256, claims({ iat: now() + 1_000 }))],
    ['that is good until the end of time', () => hmac(HS256, claims({ exp: 1e308 }))],
    ['that is good for a fraction of a second', () => hmac(HS256, claims({ exp: now() + 59.999 }))],
    [
      'with claims of other systems',
      () => hmac(HS256, claims({ scope: 'admin', role: 'backend', isAdmin: true, sessionId: 'x' })),
    ],
  ])('and a good one is let in, as a user and nothing more: %s', async (_what, token) => {
    const harness = await ServerHarness.open();
    expect(codeOf(await harness.post(ASK, token()))).toBeUndefined();
    expect(codeOf(await harness.post('{ stats { sockets } }', token()))).toBe('FORBIDDEN');
    await harness.post('mutation { login(input: { platform: WEB }) { sessionToken } }', token());
    expect([await harness.status('alice'), await harness.status('bob')]).toEqual(['ONLINE', 'OFFLINE']);
  });
});

describe('what is compared with a secret', () => {
  test('is compared as a whole, wherever it differs', () => {
    const text = 'a secret of the tests';
    const before = compared.length;
    expect(sameText(text, text)).toBe(true);
    for (let at = 0; at < text.length; at++) {
      expect(sameText(text, `${text.slice(0, at)}\u0000${text.slice(at + 1)}`)).toBe(false);
    }
    expect(compared.slice(before)).toEqual(Array(text.length + 1).fill(text.length));
    for (const other of ['', text.slice(1), `${text} `, text.toUpperCase(), text.repeat(2)])
      expect(sameText(text, other)).toBe(false);
    // Of texts that look the same, bytes count.
    expect([sameText('Zo\u00eb', 'Zoe\u0308'), sameText('', '')]).toEqual([false, true]);
  });

  /** Two API keys, by their hashes. */
  const WITH_EVERY_KEY = [32, 32];

  /** The lengths of what was compared to let `credential` in, or not. Whether it is an API key may be asked twice. */
  const comparisons = async (harness: ServerHarness, credential: string): Promise<number[]> => {
    const before = compared.length;
    await harness.post('{ __typename }', credential);
    const made = compared.slice(before);
    const again = made.slice(0, 4).every((length) => length === 32) && made.length >= 4;
    return again ? made.slice(2) : made;
  };

  test('an API key: with every key there is, right or wrong, by its hash', async () => {
    const harness = await ServerHarness.open();
    for (const key of [API_KEY, 'plk_another-key-of-the-tests', 'x', API_KEY.slice(0, -1), `${API_KEY}x`]) {
      expect(await comparisons(harness, key)).toEqual(WITH_EVERY_KEY);
    }
  });

  test('the secret of a session token, right, wrong or ended', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    expect(await comparisons(harness, token)).toEqual([43]);
    const wrong = `${token.slice(0, -10)}AAAAAAAAAA`;
    // It might be an API key that looks like one.
    expect(await comparisons(harness, wrong)).toEqual([43, ...WITH_EVERY_KEY]);
    await harness.post('mutation { logout { userStatus { status } } }', token);
    expect(await comparisons(harness, token)).toEqual([43]);
  });

  test('the signature of a JWT', async () => {
    const harness = await ServerHarness.open();
    const [header, payload] = parts();
    for (const token of [good(), `${header}.${payload}.${'A'.repeat(43)}`])
      expect(await comparisons(harness, token)).toEqual([...WITH_EVERY_KEY, 43]);
  });
});

test('an ES256 signature can be turned into another one of the same token, which opens nothing else', async () => {
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
    const token = byKey(header, claims(), ec.privateKey);
    const [head = '', payload = '', signature = ''] = token.split('.');
    const bytes = Buffer.from(signature, 'base64url');
    const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
    const s = BigInt(`0x${bytes.toString('hex', 32)}`);
    const other = Buffer.concat([
      bytes.subarray(0, 32),
      Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex'),
    ]);
    // Nothing is known by the text of a JWT: what revokes it is its user and its time.
    for (const one of [token, `${head}.${payload}.${other.toString('base64url')}`])
      expect(codeOf(await harness.post(ASK, one))).toBeUndefined();
    const der = signBytes('sha256', Buffer.from(`${head}.${payload}`), ec.privateKey).toString('base64url');
    for (const forged of [
      `${head}.${payload}.${der}`,
      `${head}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
      `${head}.${payload}.`,
      byKey({ alg: 'ES256', kid: 'rsa' }, claims(), ec.privateKey),
      byKey({ alg: 'RS256', kid: 'ec' }, claims(), rsa.privateKey),
      byKey({ alg: 'ES256', kid: 7 }, claims(), ec.privateKey),
      byKey({ alg: 'ES256', kid: 'ec', crit: ['b64'], b64: false }, claims(), ec.privateKey),
      byKey({ alg: 'ES256', kid: 'k'.repeat(5_000) }, claims(), ec.privateKey),
      byKey({ alg: 'ES256', kid: '__proto__' }, claims(), ec.privateKey),
      hmac({ alg: 'HS256', kid: 'ec' }, claims(), Buffer.from(ec.publicKey.export({ format: 'pem', type: 'spki' }))),
      hmac({ alg: 'HS256', kid: 'ec' }, claims(), ''),
    ]) {
      await expectRefused(harness, forged);
    }
  } finally {
    http.closeAllConnections();
    http.close();
  }
});
