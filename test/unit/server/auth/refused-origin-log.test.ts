import type { IncomingMessage } from 'node:http';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { RefusedOriginLog } from '../../../../src/server/auth/refused-origin-log.ts';
import { createRequestTargetResolver } from '../../../../src/server/auth/request-target.ts';
import type { TrustedProxies } from '../../../../src/server/limits/client-address.ts';

interface LogLine {
  readonly origin?: string;
  readonly hint?: string;
  readonly msg: string;
}

const createLog = () => {
  const lines: LogLine[] = [];
  let time = 0;
  const log = new RefusedOriginLog(
    pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) }),
    () => time,
  );
  const report = (origin: string, headers: Record<string, string> = {}, trusted: TrustedProxies = false): void => {
    const request = {
      socket: { remoteAddress: '10.0.0.1' },
      headers: { host: 'inner:4000', origin, ...headers },
    } as unknown as IncomingMessage;
    log.report('websocket', origin, createRequestTargetResolver(trusted)(request), request);
  };
  return { log, lines, report, advance: (ms: number) => (time += ms) };
};

describe('a refused origin', () => {
  test('is logged with what was seen, but without the address of a client that uses no proxy', () => {
    const { lines, report } = createLog();
    report('https://app.example');
    expect(lines).toEqual([
      {
        level: 40,
        origin: 'https://app.example',
        host: 'inner:4000',
        hint: expect.stringMatching(/PORCHLIGHT_TRUST_PROXY.*PORCHLIGHT_ALLOWED_ORIGINS/) as string,
        msg: 'A WebSocket from an origin that is not allowed was rejected with 403',
      },
    ]);
  });

  test('is logged with the address of a proxy that reports the client alone', () => {
    const { lines, report } = createLog();
    report('https://a.example', { forwarded: 'for=198.51.100.1' });
    report('https://b.example', { 'x-forwarded-for': '198.51.100.1' });
    expect(lines).toMatchObject([{ proxy: '10.0.0.1' }, { proxy: '10.0.0.1', forwardedHost: null }]);
  });

  test('is logged with what a proxy reports', () => {
    const { lines, report } = createLog();
    report('https://app.example', { 'x-forwarded-host': 'b.example', 'x-forwarded-proto': 'https' }, true);
    expect(lines).toMatchObject([{ forwardedHost: 'b.example', forwardedScheme: 'https', proxy: '10.0.0.1' }]);
  });

  test.each<[string, string, Record<string, string>, TrustedProxies, RegExp]>([
    ['a proxy that is not trusted', 'https://a.example', { 'x-forwarded-host': 'a.example' }, false, /TRUST_PROXY/],
    ['a proxy that is not trusted', 'https://a.example', { forwarded: 'host=a.example' }, ['10.0.0.2'], /TRUST_PROXY/],
    [
      'a page without TLS',
      'http://a.example',
      { 'x-forwarded-host': 'a.example', 'x-forwarded-proto': 'https' },
      true,
      /Load it by https/,
    ],
    ['an opaque origin', 'null', {}, false, /app:\/\/localhost.*ALLOWED_ORIGINS=\*/],
    ['an opaque origin', 'file://', {}, false, /app:\/\/localhost.*ALLOWED_ORIGINS=\*/],
    ['another host', 'https://a.example', { 'x-forwarded-host': 'b.example' }, true, /header Host.*ALLOWED_ORIGINS/],
  ])('is logged with the setting that helps: %s (%s, %j)', (_what, origin, headers, trusted, hint) => {
    const { lines, report } = createLog();
    report(origin, headers, trusted);
    expect(lines.map((line) => line.hint)).toEqual([expect.stringMatching(hint)]);
  });

  test('is logged once for each transport', () => {
    const { log, lines, report } = createLog();
    for (let again = 0; again < 3; again++) {
      report('https://a.example');
      report('https://b.example');
      const request = { socket: {}, headers: {} } as unknown as IncomingMessage;
      log.report('http', 'https://a.example', { host: 'x', port: undefined, scheme: null }, request);
    }
    expect(lines.map(({ origin, msg }) => `${msg.slice(0, 11)} ${origin}`)).toEqual([
      'A WebSocket https://a.example',
      'A WebSocket https://b.example',
      'A request f https://a.example',
    ]);
  });

  test('is not logged beyond 100 origins in an hour, and the line after them says so', () => {
    const { lines, report, advance } = createLog();
    for (let index = 0; index < 5_000; index++) report(`https://${index}.example`);
    expect(lines).toHaveLength(101);
    expect(lines.at(-1)).toMatchObject({ lines: 100, msg: expect.stringMatching(/not logged/) as string });
    advance(3_600_000);
    report('https://0.example');
    report('https://4999.example');
    expect(lines.slice(101).map(({ origin }) => origin)).toEqual(['https://4999.example']);
  });

  test('is logged with at most 300 characters', () => {
    const { lines, report } = createLog();
    report(`https://${'x'.repeat(10_000)}`, { 'x-forwarded-host': 'y'.repeat(10_000) });
    expect(JSON.stringify(lines).length).toBeLessThan(1_500);
  });
});
