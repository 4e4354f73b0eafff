import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/config/errors.ts';
import { parseFlags } from '../../../src/config/parse-flags.ts';
import { OPTION_NAMES, OPTIONS } from '../../../src/config/options.ts';

test('accepts a value after a space or an equals sign, and uses the last of several values', () => {
  expect(parseFlags(['--port', '1', '--host=h', '--port=2']).optionFlags).toEqual({ port: '2', host: 'h' });
});

test('accepts a boolean flag in a positive and a --no- form, and uses the last one', () => {
  expect(parseFlags(['--metrics', '--no-graphiql']).optionFlags).toEqual({ metrics: 'true', graphiql: 'false' });
  expect(parseFlags(['--no-graphiql', '--graphiql']).optionFlags).toEqual({ graphiql: 'true' });
});

test.each([
  [['--trust-proxy'], { trustProxy: 'true' }],
  [['--trust-proxy', '--no-graphiql'], { trustProxy: 'true', graphiql: 'false' }],
  [['--no-trust-proxy'], { trustProxy: 'false' }],
  [['--trust-proxy', '10.0.0.0/8,loopback', '--port', '1'], { trustProxy: '10.0.0.0/8,loopback', port: '1' }],
  [['--trust-proxy=false'], { trustProxy: 'false' }],
])('accepts --trust-proxy with and without a value: %j', (argv, optionFlags) => {
  expect(parseFlags(argv).optionFlags).toEqual(optionFlags);
});

test('returns the flags of the command separately, with all their values', () => {
  const { optionFlags, commandFlags } = parseFlags(['--watch', 'a', '--port', '1', '--watch=b', '--json'], {
    watch: { type: 'string', description: '' },
    json: { type: 'boolean', description: '' },
  });
  expect(optionFlags).toEqual({ port: '1' });
  expect([...commandFlags]).toEqual([
    ['watch', ['a', 'b']],
    ['json', []],
  ]);
});

describe('bad usage', () => {
  test.each([
    [['--prot', '1'], 'Unknown option --prot; the closest known one is --port.'],
    [['--port'], '--port'],
    [['--graphiql=no'], '--graphiql'],
    [['extra'], 'extra'],
  ])('rejects %j', (argv, message) => {
    expect(() => parseFlags(argv)).toThrow(UsageError);
    expect(() => parseFlags(argv)).toThrow(message);
  });

  test.each(['--jwt-secret', '--api-keys'])(
    'rejects %s, because a secret has no flag, without repeating its value',
    (flag) => {
      for (const argv of [[flag, 'hunter2'], [`${flag}=hunter2`]]) {
        expect(() => parseFlags(argv)).toThrow(/every user of the machine can read[^]*_FILE/);
        expect(() => parseFlags(argv)).not.toThrow(/hunter2/);
      }
    },
  );
});

test('every option has a unique variable, a unique flag and a description', () => {
  const options = OPTION_NAMES.map((name) => OPTIONS[name]);
  const variables = options.map((option) => option.env);
  const flags = options.map((option) => option.flag).filter((flag) => flag !== null);
  expect(new Set(variables).size).toBe(options.length);
  expect(new Set(flags).size).toBe(flags.length);
  for (const option of options) {
    expect(option.env).toMatch(/^PORCHLIGHT_[A-Z_]+$/);
    expect(option.description).toMatch(/^[A-Z].*\.$/);
    // A secret has no flag.
    expect(option.flag === null).toBe(option.isSecret);
    if (option.flag !== null) expect(option.env).toBe(`PORCHLIGHT_${option.flag.toUpperCase().replaceAll('-', '_')}`);
  }
});
