/** Creates JWTs by hand, so that tests can make invalid ones. */
import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export const secondsFromNow = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;

/** The claims of a valid token. */
export const claimsOf = (sub: string, rest: object = {}): Record<string, unknown> => ({
  sub,
  iat: secondsFromNow(0),
  exp: secondsFromNow(3_600),
  ...rest,
});

/** Signs any header and claims with HMAC. `hash` is the hash in use, whatever the header states. */
export const hmacToken = (header: object, claims: unknown, key: string | Buffer, hash = 'sha256'): string => {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`;
};

export const signedToken = (header: { readonly alg: string }, claims: unknown, key: KeyObject): string => {
  const text = `${encode(header)}.${encode(claims)}`;
  const hash = header.alg === 'EdDSA' ? null : 'sha256';
  const signed = sign(hash, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signed.toString('base64url')}`;
};

export const unsignedToken = (alg: string, claims: unknown, signature = ''): string =>
  `${encode({ alg, typ: 'JWT' })}.${encode(claims)}.${signature}`;

export interface KeyPair {
  readonly alg: string;
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export const rsaPair = (kid: string): KeyPair => ({
  alg: 'RS256',
  kid,
  ...generateKeyPairSync('rsa', { modulusLength: 2_048 }),
});
export const ecPair = (kid: string): KeyPair => ({
  alg: 'ES256',
  kid,
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }),
});
export const edPair = (kid: string): KeyPair => ({ alg: 'EdDSA', kid, ...generateKeyPairSync('ed25519') });

export const jwkOf = ({ publicKey, alg, kid }: KeyPair): object => ({
  ...publicKey.export({ format: 'jwk' }),
  alg,
  kid,
  use: 'sig',
});

export interface KeyServer extends AsyncDisposable {
  readonly url: string;
  /** The paths requested so far. */
  readonly requestedPaths: readonly string[];
}

/** Serves public keys as a JWKS, as an identity provider does. */
export const serveKeys = async (pairs: readonly KeyPair[]): Promise<KeyServer> => {
  const requestedPaths: string[] = [];
  const body = JSON.stringify({ keys: pairs.map(jwkOf) });
  const http = createServer((request: IncomingMessage, response) => {
    requestedPaths.push(request.url ?? '');
    response.setHeader('content-type', 'application/json').end(body);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/.well-known/jwks.json`,
    requestedPaths,
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
};
