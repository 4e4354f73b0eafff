/** The log: one line for each thing, nothing in it that does not belong there, and no more of it than helps. */
import { describe, expect, test, vi } from 'vitest';
import { GraphQLError, Source } from 'graphql';
import { serializeError } from '../../../src/log/serialize-error.ts';
import { createLogger } from '../../../src/log/log.ts';
import { createUserPseudonymizer } from '../../../src/log/user-pseudonyms.ts';

const PERIOD = { lines: 3, periodMs: 1_000 };

const logTo = (lines: string[], level = 'trace') =>
  createLogger({ level, sink: { write: (line) => lines.push(line) }, rateLimits: PERIOD });
const read = (lines: readonly string[]) => lines.map((line) => JSON.parse(line) as Record<string, unknown>);

test('a line is one line, and no order to a terminal, whatever is in it', () => {
  const lines: string[] = [];
  const nasty = 'a\nb\r\nc\u2028d\u2029e\u0085f\u001b[31mg\u009b31mh\u007f\u0000{"level":60}';
  logTo(lines).error({ err: new Error(nasty), id: nasty }, 'Something happened.');
  expect(lines.length).toBe(1);
  // eslint-disable-next-line no-control-regex -- these are what must not be there
  expect(lines[0]?.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
  expect(read(lines)[0]).toMatchObject({ level: 50, id: nasty, err: { message: nasty } });
});

describe('of an error', () => {
  test('what it says, where it was thrown and what caused it are logged', () => {
    const cause = Object.assign(new TypeError('no connection'), { code: 'ECONNREFUSED' });
    const fields = serializeError(new Error('it failed', { cause }));
    expect(fields).toMatchObject({ type: 'Error', message: 'it failed' });
    expect(fields.stack).toContain('log.test.ts');
    expect(fields.cause).toMatchObject({ type: 'TypeError', message: 'no connection', code: 'ECONNREFUSED' });
    expect(serializeError('thrown as it is')).toEqual({ type: 'string', message: 'thrown as it is' });
  });

  test('nothing that hangs on it is', () => {
    const lines: string[] = [];
    const source = new Source('mutation { login(token: "secret-in-a-document") { id } }');
    const error = new GraphQLError('It failed.', { source, positions: [1], extensions: { token: 'secret-beside-it' } });
    Object.assign(error, {
      payload: { sub: 'secret-in-a-payload' },
      headers: { authorization: 'Bearer secret-header' },
    });
    logTo(lines).error({ err: new Error('outer', { cause: error }) }, 'It failed.');
    logTo(lines).error({ err: error }, 'It failed.');
    expect(lines.join()).not.toContain('secret');
    expect(lines[0]).toContain('It failed.');
  });

  test('a chain that never ends is cut', () => {
    const error = new Error('round and round');
    error.cause = error;
    expect(JSON.stringify(serializeError(error)).split('round and round').length).toBeLessThan(20);
  });
});

describe('a flood', () => {
  test('of one text is cut off, each text for itself, and how much was left out is told', () => {
    vi.useFakeTimers();
    try {
      const lines: string[] = [];
      const log = logTo(lines);
      for (let at = 0; at < 1_000; at++) {
        log.error({ at }, 'The disk is full.');
        if (at < 2) log.warn('Something else.');
      }
      expect(read(lines).filter(({ msg }) => msg === 'The disk is full.').length).toBe(3);
      expect(read(lines).filter(({ msg }) => msg === 'Something else.').length).toBe(2);
      vi.advanceTimersByTime(PERIOD.periodMs);
      expect(read(lines).at(-1)).toMatchObject({ level: 40, msg: 'The disk is full.', suppressed: 997 });
      const before = lines.length;
      log.error('The disk is full.');
      vi.advanceTimersByTime(PERIOD.periodMs);
      expect(lines.length).toBe(before + 1);
    } finally {
      vi.useRealTimers();
    }
  });

  test('of what is no warning is let through, and so is what ends the server, with what was left out before it', () => {
    const lines: string[] = [];
    const log = logTo(lines);
    for (let at = 0; at < 10; at++) log.debug('operation');
    expect(lines.length).toBe(10);
    for (let at = 0; at < 10; at++) log.error('It failed.');
    for (let at = 0; at < 5; at++) log.fatal('It failed.');
    expect(read(lines).filter(({ level }) => level === 60).length).toBe(5);
    expect(read(lines)).toContainEqual(expect.objectContaining({ suppressed: 7, msg: 'It failed.' }));
  });
});

test('users are called by a hash that says who is the same, with a key of this start', () => {
  const [names, others] = [createUserPseudonymizer(false), createUserPseudonymizer(false)];
  expect(names('alice')).toMatch(/^[0-9a-f]{12}$/);
  expect(names('alice')).toBe(names('alice'));
  expect(names('alice')).not.toBe(names('bob'));
  expect(names('alice')).not.toBe(others('alice'));
  expect(createUserPseudonymizer(true)('alice')).toBe('alice');
});
