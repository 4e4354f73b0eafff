/** Where keys are published may be down, slow, or somebody else's by now. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT, type JWK } from 'jose';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { KEYS_KEPT_MS, KEYS_RETRY_AFTER_MS } from '../../../../src/server/auth/jwks.ts';
import { codeOf, ServerHarness } from '../support/server-harness.ts';
import { expectStillWell } from '../support/assert-still-serving.ts';

afterEach(() => void vi.restoreAllMocks());

const ASK = '{ userStatus(userId: "bob") { version } }';
const one = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const two = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = async (key: KeyObject, more: object = {}): Promise<JWK> => ({ ...(await exportJWK(key)), ...more });

const sign = (key: KeyObject, kid?: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', ...(kid === undefined ? {} : { kid }) })
    .setSubject('alice')
    .setExpirationTime(Math.floor(Date.now() / 1_000) + 10 * 86_400)
    .sign(key);

/** A server of keys that does what it is told, and counts how often it is asked. */
const serve = async (first: RequestListener): Promise<{ url: URL; asked: number; does: RequestListener }> => {
  const keys = { url: new URL('http://x'), asked: 0, does: first };
  const http = createServer((request, response) => {
    keys.asked++;
    keys.does(request, response);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    http.closeAllConnections();
    http.close();
  });
  keys.url = new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/jwks.json`);
  return keys;
};

const answer =
  (
    body: string,
    status = 200,
    headers: Record<string, string> = { 'content-type': 'application/json' },
  ): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);
const set = (...keys: JWK[]): RequestListener => answer(JSON.stringify({ keys }));

const clocks = { date: Date.now.bind(Date), steady: performance.now.bind(performance) };
/** Sets both of the clocks that are asked, the library's and ours, ahead of what they are. */
const ahead = (ms: number): void => {
  vi.spyOn(Date, 'now').mockImplementation(() => clocks.date() + ms);
  vi.spyOn(performance, 'now').mockImplementation(() => clocks.steady() + ms);
};

const open = (url: URL): Promise<ServerHarness> => ServerHarness.open({ settings: { jwksUrl: url } });

describe('a JWKS that is no key set is our fault, is said in the log, and is not asked again for a while', () => {
  const secret = { kty: 'oct', k: 'AAAA', kid: 'one', alg: 'HS256' };
  test.each<[string, () => RequestListener | Promise<RequestListener>]>([
    ['an error', () => answer('{}', 500)],
    ['nothing there', () => answer('{"keys":[]}', 404)],
    ['a page', () => answer('<!doctype html><title>Log in</title>', 200, { 'content-type': 'text/html' })],
    ['a redirect', () => answer('', 302, { location: 'http://169.254.169.254/latest/meta-data' })],
    ['null', () => answer('null')],
    ['a list', () => answer('[]')],
    ['no list of keys', () => answer('{"keys":{}}')],
    ['keys that are none', () => answer('{"keys":[1,null,"x"]}')],
    ['half a set', () => answer('{"keys":[')],
    ['nested 100,000 deep', () => answer(`{"keys":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)],
    [
      'megabytes',
      async () => answer(JSON.stringify({ keys: [await jwk(one.publicKey)], more: 'x'.repeat(3_000_000) })),
    ],
    ['a hang-up', () => (request) => void request.socket.destroy()],
  ])('%s', async (_what, does) => {
    const keys = await serve(await does());
    const harness = await open(keys.url);
    for (let times = 0; times < 5; times++) {
      const { body } = await harness.post(ASK, await sign(one.privateKey, `${times}`));
      expect(body.errors?.[0]?.extensions).toEqual({ code: 'OVERLOADED', retryAfterMs: KEYS_RETRY_AFTER_MS });
    }
    expect(keys.asked).toBe(1);
    expect(harness.logged.filter((line) => line.includes('JWKS could not'))).toHaveLength(1);
    keys.does = set(await jwk(one.publicKey));
    ahead(KEYS_RETRY_AFTER_MS);
    expect(codeOf(await harness.post(ASK, await sign(one.privateKey)))).toBeUndefined();
    expect(keys.asked).toBe(2);
    await expectStillWell(harness);
  });

  test('keys that are secret are not used, for whoever reads them could have signed; the others are', async () => {
    const keys = await serve(
      set(await jwk(one.privateKey, { kid: 'one' }), await jwk(two.publicKey, { kid: 'two' }), secret),
    );
    const harness = await open(keys.url);
    expect(codeOf(await harness.post(ASK, await sign(one.privateKey, 'one')))).toBe('UNAUTHENTICATED');
    expect(codeOf(await harness.post(ASK, await sign(two.privateKey, 'two')))).toBeUndefined();
    expect(harness.logged.join('')).toContain('secret. They are not used');
    expect(harness.logged.join('')).not.toContain(String((await jwk(one.privateKey)).d));
  });
});

test('that is down after it was not: the keys that were had are good for a day, and no longer', async () => {
  const keys = await serve(set(await jwk(one.publicKey, { kid: 'one' })));
  const harness = await open(keys.url);
  const [known, unknown] = [await sign(one.privateKey, 'one'), await sign(two.privateKey, 'two')];
  expect(codeOf(await harness.post(ASK, known))).toBeUndefined();
  keys.does = answer('', 503);
  ahead(KEYS_KEPT_MS / 2);
  for (let times = 0; times < 5; times++) expect(codeOf(await harness.post(ASK, known))).toBeUndefined();
  // It may be among those that cannot be had.
  expect(codeOf(await harness.post(ASK, unknown))).toBe('OVERLOADED');
  expect(keys.asked).toBe(2);
  ahead(KEYS_KEPT_MS);
  expect(codeOf(await harness.post(ASK, known))).toBe('OVERLOADED');
});

test('whose keys are changed: the new one is asked for, at most twice a minute; the one taken out is refused after ten', async () => {
  const keys = await serve(set(await jwk(one.publicKey, { kid: 'one' })));
  const harness = await open(keys.url);
  const [old, young] = [await sign(one.privateKey, 'one'), await sign(two.privateKey, 'two')];
  expect(codeOf(await harness.post(ASK, old))).toBeUndefined();
  for (let kid = 0; kid < 20; kid++) {
    expect(codeOf(await harness.post(ASK, await sign(two.privateKey, `guess ${kid}`)))).toBe('UNAUTHENTICATED');
  }
  expect(keys.asked).toBe(1);
  keys.does = set(await jwk(two.publicKey, { kid: 'two' }));
  ahead(31_000);
  expect(codeOf(await harness.post(ASK, young))).toBeUndefined();
  expect(codeOf(await harness.post(ASK, old))).toBe('UNAUTHENTICATED');
  expect(keys.asked).toBe(2);
  keys.does = set(await jwk(one.publicKey, { kid: 'one' }));
  ahead(31_000 + 601_000);
  expect(codeOf(await harness.post(ASK, young))).toBe('UNAUTHENTICATED');
});

test('that does not answer holds up one attempt, which all wait for together, and nobody else', async () => {
  const keys = await serve(() => undefined);
  const harness = await open(keys.url);
  const asking = Promise.all(
    Array.from({ length: 20 }, async () => codeOf(await harness.post(ASK, await sign(one.privateKey)))),
  );
  await expect.poll(() => keys.asked).toBe(1);
  await expectStillWell(harness);
  // Its own time is up after five seconds.
  expect(new Set(await asking)).toEqual(new Set(['OVERLOADED']));
  expect(codeOf(await harness.post(ASK, await sign(one.privateKey)))).toBe('OVERLOADED');
  expect(keys.asked).toBe(1);
});

test('with a thousand keys: a token that names one is let in, one that names none is not tried with all of them', async () => {
  const others = await Promise.all(Array.from({ length: 999 }, async (_, at) => jwk(two.publicKey, { kid: `${at}` })));
  const keys = await serve(set(...others, await jwk(one.publicKey, { kid: 'one' })));
  const harness = await open(keys.url);
  expect(codeOf(await harness.post(ASK, await sign(one.privateKey, 'one')))).toBeUndefined();
  expect(codeOf(await harness.post(ASK, await sign(one.privateKey)))).toBe('UNAUTHENTICATED');
});

test('with the same name for several keys: each of them is tried', async () => {
  const keys = await serve(set(await jwk(two.publicKey, { kid: 'same' }), await jwk(one.publicKey, { kid: 'same' })));
  const harness = await open(keys.url);
  for (const { privateKey } of [one, two])
    expect(codeOf(await harness.post(ASK, await sign(privateKey, 'same')))).toBeUndefined();
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  expect(codeOf(await harness.post(ASK, await sign(stranger.privateKey, 'same')))).toBe('UNAUTHENTICATED');
});
