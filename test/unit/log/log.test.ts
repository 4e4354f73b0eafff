/** The logger: its lines, the fields of errors, the rate limit and the pseudonyms of users. */
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { GraphQLError, Source } from 'graphql';
import { serializeError } from '../../../src/log/serialize-error.ts';
import { createLogger } from '../../../src/log/log.ts';
import { createUserPseudonymizer } from '../../../src/log/user-pseudonyms.ts';

const PERIOD = { lines: 3, periodMs: 1_000 };

const createLoggerTo = (lines: string[], level = 'trace') =>
  createLogger({ level, sink: { write: (line) => lines.push(line) }, rateLimits: PERIOD });
const parseLines = (lines: readonly string[]) => lines.map((line) => JSON.parse(line) as Record<string, unknown>);

test('writes one line without control characters, whatever the values contain', () => {
  const lines: string[] = [];
  const hostile = 'a\nb\r\nc\u2028d\u2029e\u0085f\u001b[31mg\u009b31mh\u007f\u0000{"level":60}';
  createLoggerTo(lines).error({ err: new Error(hostile), id: hostile }, 'Something happened.');
  expect(lines.length).toBe(1);
  // eslint-disable-next-line no-control-regex -- the test searches for them
  expect(lines[0]?.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
  expect(parseLines(lines)[0]).toMatchObject({ level: 'error', id: hostile, err: { message: hostile } });
});

test('writes the time as ISO 8601 and the level by name', () => {
  const lines: string[] = [];
  createLoggerTo(lines).info({ port: 4000 }, 'Server started');
  expect(parseLines(lines)).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      port: 4000,
      msg: 'Server started',
    },
  ]);
});

describe('the format pretty', () => {
  const createPrettyLogger = (lines: string[]) =>
    createLogger({ level: 'info', format: 'pretty', sink: { write: (line) => lines.push(line) } });

  test('writes the level, the text and the fields for people', () => {
    const lines: string[] = [];
    createPrettyLogger(lines).warn({ port: 4000 }, 'Disk is slow');
    expect(stripVTControlCharacters(lines.join(''))).toMatch(
      /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] WARN: Disk is slow\n +port: 4000\n$/,
    );
  });

  test('keeps control characters of values escaped, except line breaks', () => {
    const lines: string[] = [];
    const hostile = 'a\u001b[31mb\r\u009bc\u2028\u0007';
    createPrettyLogger(lines).error({ err: new Error(hostile), id: hostile }, hostile);
    // eslint-disable-next-line no-control-regex -- the test searches for them
    expect(lines.join('')).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/);
    expect(lines.join('')).toContain('\\u001b[31m');
    expect(lines.join('')).toContain('log.test.ts');
  });
});

test('the format auto is JSON when stderr is not a terminal, and pretty when it is', () => {
  const isTerminal = process.stderr.isTTY;
  try {
    for (const [isTTY, pattern] of [
      [false, /^\{"level":"info"/],
      [true, /INFO/],
    ] as const) {
      process.stderr.isTTY = isTTY;
      const lines: string[] = [];
      createLogger({ level: 'info', format: 'auto', sink: { write: (line) => lines.push(line) } }).info('Started');
      expect(lines.join('')).toMatch(pattern);
    }
  } finally {
    process.stderr.isTTY = isTerminal;
  }
});

describe('the fields of an error', () => {
  test('the message, the stack and the causes are logged', () => {
    const cause = Object.assign(new TypeError('no connection'), { code: 'ECONNREFUSED' });
    const fields = serializeError(new Error('it failed', { cause }));
    expect(fields).toMatchObject({ type: 'Error', message: 'it failed' });
    expect(fields.stack).toContain('log.test.ts');
    expect(fields.cause).toMatchObject({ type: 'TypeError', message: 'no connection', code: 'ECONNREFUSED' });
    expect(serializeError('thrown as it is')).toEqual({ type: 'string', message: 'thrown as it is' });
  });

  test('other properties are not logged', () => {
    const lines: string[] = [];
    const source = new Source('mutation { login(token: "secret-in-a-document") { id } }');
    const error = new GraphQLError('It failed.', { source, positions: [1], extensions: { token: 'secret-beside-it' } });
    Object.assign(error, {
      payload: { sub: 'secret-in-a-payload' },
      headers: { authorization: 'Bearer secret-header' },
    });
    createLoggerTo(lines).error({ err: new Error('outer', { cause: error }) }, 'It failed.');
    createLoggerTo(lines).error({ err: error }, 'It failed.');
    expect(lines.join()).not.toContain('secret');
    expect(lines[0]).toContain('It failed.');
  });

  test('a circular chain of causes is cut', () => {
    const error = new Error('round and round');
    error.cause = error;
    expect(JSON.stringify(serializeError(error)).split('round and round').length).toBeLessThan(20);
  });
});

describe('the rate limit', () => {
  test('suppresses further lines with the same text, and logs how many at the end of the period', () => {
    vi.useFakeTimers();
    try {
      const lines: string[] = [];
      const log = createLoggerTo(lines);
      for (let at = 0; at < 1_000; at++) {
        log.error({ at }, 'The disk is full.');
        if (at < 2) log.warn('Something else.');
      }
      expect(parseLines(lines).filter(({ msg }) => msg === 'The disk is full.').length).toBe(3);
      expect(parseLines(lines).filter(({ msg }) => msg === 'Something else.').length).toBe(2);
      vi.advanceTimersByTime(PERIOD.periodMs);
      expect(parseLines(lines).at(-1)).toMatchObject({ level: 'warn', msg: 'The disk is full.', suppressed: 997 });
      const before = lines.length;
      log.error('The disk is full.');
      vi.advanceTimersByTime(PERIOD.periodMs);
      expect(lines.length).toBe(before + 1);
    } finally {
      vi.useRealTimers();
    }
  });

  test('does not apply below warn and to fatal; a fatal line is preceded by the summaries', () => {
    const lines: string[] = [];
    const log = createLoggerTo(lines);
    for (let at = 0; at < 10; at++) log.debug('operation');
    expect(lines.length).toBe(10);
    for (let at = 0; at < 10; at++) log.error('It failed.');
    for (let at = 0; at < 5; at++) log.fatal('It failed.');
    expect(parseLines(lines).filter(({ level }) => level === 'fatal').length).toBe(5);
    expect(parseLines(lines)).toContainEqual(expect.objectContaining({ suppressed: 7, msg: 'It failed.' }));
  });
});

test('a user has the same pseudonym within one process, and another one in the next', () => {
  const [pseudonymOf, laterPseudonymOf] = [createUserPseudonymizer(false), createUserPseudonymizer(false)];
  expect(pseudonymOf('alice')).toMatch(/^[0-9a-f]{12}$/);
  expect(pseudonymOf('alice')).toBe(pseudonymOf('alice'));
  expect(pseudonymOf('alice')).not.toBe(pseudonymOf('bob'));
  expect(pseudonymOf('alice')).not.toBe(laterPseudonymOf('alice'));
  expect(createUserPseudonymizer(true)('alice')).toBe('alice');
});
