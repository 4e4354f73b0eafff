import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/config/errors.ts';
import { parseFlags } from '../../../src/config/parse-flags.ts';
import { OPTION_NAMES, OPTIONS } from '../../../src/config/options.ts';

test('flags are read with either form of the value; the last of several counts', () => {
  expect(parseFlags(['--port', '1', '--host=h', '--port=2']).optionFlags).toEqual({ port: '2', host: 'h' });
});

test('a boolean flag has a form for no, and the last of both counts', () => {
  expect(parseFlags(['--trust-proxy', '--no-graphiql']).optionFlags).toEqual({ trustProxy: 'true', graphiql: 'false' });
  expect(parseFlags(['--no-graphiql', '--graphiql']).optionFlags).toEqual({ graphiql: 'true' });
});

test("a command's own flags are kept apart, with all their values", () => {
  const { optionFlags: flags, commandFlags: own } = parseFlags(['--watch', 'a', '--port', '1', '--watch=b', '--json'], {
    watch: { type: 'string', description: '' },
    json: { type: 'boolean', description: '' },
  });
  expect(flags).toEqual({ port: '1' });
  expect([...own]).toEqual([
    ['watch', ['a', 'b']],
    ['json', []],
  ]);
});

describe('bad usage', () => {
  test.each([
    [['--prot', '1'], 'Unknown option --prot; the nearest known one is --port.'],
    [['--port'], '--port'],
    [['--graphiql=no'], '--graphiql'],
    [['extra'], 'extra'],
  ])('%j is refused', (argv, message) => {
    expect(() => parseFlags(argv)).toThrow(UsageError);
    expect(() => parseFlags(argv)).toThrow(message);
  });

  test.each(['--jwt-secret', '--api-keys'])('%s is refused: a secret has no flag, and is not repeated', (flag) => {
    for (const argv of [[flag, 'hunter2'], [`${flag}=hunter2`]]) {
      expect(() => parseFlags(argv)).toThrow(/can be read by every user[^]*_FILE/);
      expect(() => parseFlags(argv)).not.toThrow(/hunter2/);
    }
  });
});

test('every option has a name of its own in environment and command line, and a description', () => {
  const options = OPTION_NAMES.map((name) => OPTIONS[name]);
  const variables = options.map((option) => option.env);
  const flags = options.map((option) => option.flag).filter((flag) => flag !== null);
  expect(new Set(variables).size).toBe(options.length);
  expect(new Set(flags).size).toBe(flags.length);
  for (const option of options) {
    expect(option.env).toMatch(/^PORCHLIGHT_[A-Z_]+$/);
    expect(option.description).toMatch(/^[A-Z].*\.$/);
    // A secret and a flag exclude each other.
    expect(option.flag === null).toBe(option.isSecret);
    if (option.flag !== null) expect(option.env).toBe(`PORCHLIGHT_${option.flag.toUpperCase().replaceAll('-', '_')}`);
  }
});
