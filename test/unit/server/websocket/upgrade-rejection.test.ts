import { expect, test } from 'vitest';
import {
  createHandshakeRejection,
  formatUpgradeRejection,
} from '../../../../src/server/websocket/upgrade-rejection.ts';

test('formatUpgradeRejection writes a complete response whose body is a GraphQL error', () => {
  const text = formatUpgradeRejection({
    status: 429,
    code: 'RATE_LIMITED',
    message: 'Too many “é”.',
    retryAfterMs: 1_001,
  });
  expect(text).toBe(
    'HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n' +
      'Retry-After: 2\r\nConnection: close\r\nContent-Length: 102\r\n\r\n' +
      '{"errors":[{"message":"Too many “é”.","extensions":{"code":"RATE_LIMITED","retryAfterMs":1001}}]}',
  );
  const [, body = ''] = text.split('\r\n\r\n');
  expect(text).toContain(`Content-Length: ${Buffer.byteLength(body)}\r\n`);
});

test('formatUpgradeRejection leaves out Retry-After when a retry does not help', () => {
  const text = formatUpgradeRejection({ status: 404, code: 'NOT_FOUND', message: 'No.' });
  expect(text).not.toMatch(/retry/i);
});

test('createHandshakeRejection names the supported versions, and the method of another one than GET', () => {
  expect(createHandshakeRejection('Missing or invalid Sec-WebSocket-Version header', 'GET')).toEqual({
    status: 400,
    code: 'BAD_REQUEST',
    message: 'Missing or invalid Sec-WebSocket-Version header.',
    headers: { 'Sec-WebSocket-Version': '13, 8' },
  });
  expect(createHandshakeRejection('Invalid HTTP method', 'POST')).toEqual({
    status: 405,
    code: 'BAD_REQUEST',
    message: 'An upgrade must be a GET request.',
    headers: { Allow: 'GET' },
  });
});
