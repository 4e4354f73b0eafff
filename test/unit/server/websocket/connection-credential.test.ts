import { describe, expect, test } from 'vitest';
import {
  findCredential,
  retainUpgradeAuthorization,
  type ConnectionPayload,
} from '../../../../src/server/websocket/connection-credential.ts';

const HEADER = 'Bearer of-the-upgrade';

describe('retainUpgradeAuthorization', () => {
  test('keeps a Bearer credential as it is and reports a missing header as null', () => {
    expect(retainUpgradeAuthorization(undefined)).toBeNull();
    for (const header of ['Bearer a', 'bearer a', 'BEARER\ta', 'Bearer', 'Bearer  a b']) {
      expect(retainUpgradeAuthorization(header)).toBe(header);
    }
  });

  test('keeps no credential of another scheme, which browsers may add by themselves', () => {
    for (const header of ['Basic YWxpY2U6c2VjcmV0', 'Negotiate secret', 'secret', 'Bearersecret', '']) {
      expect(retainUpgradeAuthorization(header)).toBe('');
    }
  });
});

describe('findCredential', () => {
  test.each<[string, ConnectionPayload, string, string]>([
    ['authorization', { authorization: 'Bearer t' }, 'payload.authorization', 'Bearer t'],
    ['Authorization', { Authorization: 'Bearer t' }, 'payload.Authorization', 'Bearer t'],
    ['AUTHORIZATION', { AUTHORIZATION: 'bearer t' }, 'payload.AUTHORIZATION', 'bearer t'],
    ['headers.Authorization', { headers: { Authorization: 'BEARER t' } }, 'payload.headers.Authorization', 'BEARER t'],
    [
      'headers.authorization',
      { headers: { 'x-other': 1, authorization: 'Bearer t' } },
      'payload.headers.authorization',
      'Bearer t',
    ],
    ['authToken without a scheme', { authToken: 't' }, 'payload.authToken', 'Bearer t'],
    ['authToken with a scheme', { authToken: 'Bearer t' }, 'payload.authToken', 'Bearer t'],
    ['token without a scheme', { token: 't' }, 'payload.token', 'Bearer t'],
    ['token with a scheme', { token: 'bearer t' }, 'payload.token', 'bearer t'],
  ])('finds the payload member %s', (_what, payload, place, authorization) => {
    expect(findCredential(payload, null)).toEqual({ place, authorization });
  });

  test('takes the payload before the upgrade, and the members of the payload in their documented order', () => {
    const members = {
      token: 'token',
      authToken: 'authToken',
      headers: { authorization: 'Bearer headers' },
      Authorization: 'Bearer Authorization',
      authorization: 'Bearer authorization',
    };
    const order = ['authorization', 'Authorization', 'headers', 'authToken', 'token'] as const;
    const payload: Record<string, unknown> = { ...members };
    for (const name of order) {
      expect(findCredential(payload, HEADER).authorization).toBe(`Bearer ${name}`);
      delete payload[name];
    }
    expect(findCredential(payload, HEADER)).toEqual({ place: 'Authorization of the upgrade', authorization: HEADER });
  });

  test.each<[string, ConnectionPayload | null | undefined]>([
    ['no payload', undefined],
    ['a payload that is null', null],
    ['an empty payload', {}],
    ['other members', { 'x-app': '1', apiKey: 'x', cookie: 'token=x', headers: { cookie: 'x' } }],
    ['a credential that is null', { authorization: null, Authorization: undefined, token: null, authToken: null }],
    ['a credential that is blank', { authorization: '', Authorization: ' ', headers: { Authorization: '\t' } }],
    ['headers that are not an object', { headers: 'authorization: Bearer x' }],
    ['headers that are null', { headers: null }],
    ['headers that are a list', { headers: [['authorization', 'Bearer x']] }],
  ])('takes the credential of the upgrade with %s', (_what, payload) => {
    expect(findCredential(payload, HEADER).authorization).toBe(HEADER);
    expect(() => findCredential(payload, null)).toThrow(
      'No credential: send {"authorization":"Bearer <token>"} as payload of connection_init, or the header with the upgrade',
    );
  });

  test('ignores another scheme of the upgrade beside a credential in the payload, and names the right form otherwise', () => {
    expect(findCredential({ token: 't' }, retainUpgradeAuthorization('Basic YTpi')).authorization).toBe('Bearer t');
    expect(() => findCredential({}, retainUpgradeAuthorization('Basic YTpi'))).toThrow(
      'Authorization of the upgrade must be "Bearer <token>", or send it as payload {"authorization":"Bearer <token>"}',
    );
  });

  test.each<[string, ConnectionPayload, string]>([
    [
      'a token without a scheme',
      { Authorization: 'secret' },
      'payload.Authorization must be "Bearer <token>", with a JWT, a session token or an API key',
    ],
    [
      'another scheme',
      { headers: { authorization: 'Basic secret' } },
      'payload.headers.authorization must be "Bearer <token>", with a JWT, a session token or an API key',
    ],
    ['a number', { authorization: 1 }, 'payload.authorization must be text: "Bearer <token>"'],
    ['an object', { token: { secret: 'x' } }, 'payload.token must be text: "Bearer <token>"'],
    [
      'a list',
      { headers: { Authorization: ['secret'] } },
      'payload.headers.Authorization must be text: "Bearer <token>"',
    ],
    ['a boolean', { authToken: false }, 'payload.authToken must be text: "Bearer <token>"'],
  ])('rejects %s in words that fit into a close frame and repeat no secret', (_what, payload, message) => {
    expect(() => findCredential(payload, HEADER)).toThrow(
      expect.objectContaining({ details: { code: 'UNAUTHENTICATED' }, message }),
    );
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(123);
    expect(message).not.toContain('secret');
  });

  test('uses at most 123 bytes for each message without a candidate', () => {
    for (const upgrade of [null, '']) {
      const failure = (() => {
        try {
          return findCredential({}, upgrade);
        } catch (error) {
          return error as Error;
        }
      })();
      expect(failure).toBeInstanceOf(Error);
      expect(Buffer.byteLength((failure as Error).message)).toBeLessThanOrEqual(123);
    }
  });

  test('treats members named like those of every object as unknown members', () => {
    const payload = JSON.parse(
      '{"__proto__":{"authorization":"Bearer x"},"constructor":"Bearer x","headers":{"__proto__":{"authorization":"Bearer x"}}}',
    ) as ConnectionPayload;
    expect(findCredential(payload, HEADER).authorization).toBe(HEADER);
  });
});
