/**
 * The kinds of value that an option can have: how its text is read, and how it is shown again.
 * Nothing here knows which options there are.
 */
import { createHash, createSecretKey, type KeyObject } from 'node:crypto';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export type Parsed<T> =
  | { readonly ok: true; readonly value: T; readonly warning?: string }
  /** `expected` completes the sentence "NAME is "…", but must be …". */
  | { readonly ok: false; readonly expected: string };

export interface ValueType<T> {
  /** What help and README call it: `<port>`. */
  readonly label: string;
  parse(text: string): Parsed<T>;
  /** The value as `porchlight config` tells it; for a secret, something that gives nothing away. */
  show(value: T): Json;
}

export const MASK = '********';

const good = <T>(value: T): Parsed<T> => ({ ok: true, value });
const wrong = (expected: string): Parsed<never> => ({ ok: false, expected });

// Cc: a control character in a name or path is a mistake of quoting, and could forge lines of a log.
const CONTROL = /\p{Cc}/u;

/** Any text of at least one character, without control characters. */
export const text = (label: string): ValueType<string> => ({
  label,
  parse: (input) =>
    input.trim() === '' || CONTROL.test(input)
      ? wrong('a text that is not empty, without control characters')
      : good(input),
  show: (value) => value,
});

/** A whole number from `least` to `most`, in decimal digits only. */
export const wholeNumber = (label: string, least: number, most: number): ValueType<number> => ({
  label,
  parse: (input) => {
    const value = /^\d{1,15}$/.test(input) ? Number(input) : Number.NaN;
    return value >= least && value <= most ? good(value) : wrong(`a whole number from ${least} to ${most}`);
  },
  show: (value) => value,
});

const TRUE = ['true', '1', 'yes', 'on'];
const FALSE = ['false', '0', 'no', 'off'];

export const boolean: ValueType<boolean> = {
  label: 'boolean',
  parse: (input) => {
    const word = input.toLowerCase();
    if (TRUE.includes(word)) return good(true);
    if (FALSE.includes(word)) return good(false);
    return wrong('true or false');
  },
  show: (value) => value,
};

/**
 * One of some words, in upper or lower case, `-` and `_` alike.
 * @param words what a person writes, and the value that each stands for.
 */
export const choice = <T extends string>(words: Readonly<Record<string, T>>): ValueType<T> => {
  const names = Object.keys(words);
  return {
    label: names.join('|'),
    parse: (input) => {
      const word = input.toLowerCase().replaceAll('_', '-');
      const value = Object.hasOwn(words, word) ? words[word] : undefined;
      return value === undefined ? wrong(`one of ${names.join(', ')}`) : good(value);
    },
    show: (value) => names.find((name) => words[name] === value) ?? value,
  };
};

const UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
type Unit = keyof typeof UNITS;

/** The shortest way to write it: 90000 is "90s", 604800000 is "7d". */
export const formatDuration = (durationMs: number): string => {
  for (const [unit, unitMs] of Object.entries(UNITS)) {
    if (durationMs >= unitMs && durationMs % unitMs === 0) return `${durationMs / unitMs}${unit}`;
  }
  return `${durationMs}ms`;
};

/** A whole number with a unit (ms, s, m, h, d), read as milliseconds; both ends are included. */
export const duration = (leastMs: number, mostMs: number): ValueType<number> => ({
  label: 'duration',
  parse: (input) => {
    const match = /^(\d{1,15})(ms|s|m|h|d)$/.exec(input);
    const value = match ? Number(match[1]) * UNITS[match[2] as Unit] : Number.NaN;
    return value >= leastMs && value <= mostMs
      ? good(value)
      : wrong(
          'a whole number with a unit (ms, s, m, h or d) ' +
            `from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}, such as 90s or 7d`,
        );
  },
  show: formatDuration,
});

/** A path of a database file. ':memory:' is refused: what was acknowledged must survive a crash. */
export const databaseFile: ValueType<string> = {
  label: 'path',
  parse: (input) => {
    if (input.trim() === '' || input === ':memory:') {
      return wrong('the path of a file: a database in memory would forget what was acknowledged');
    }
    if (input.startsWith('file:')) return wrong('a plain path, not a file: URL');
    if (CONTROL.test(input)) return wrong('a path without control characters');
    if (/[\\/]$/.test(input)) return wrong('the path of a file, not of a directory');
    return good(input);
  },
  show: (value) => value,
};

/** An http or https URL without a user name or password in it. */
export const httpUrl: ValueType<URL> = {
  label: 'url',
  parse: (input) => {
    const url = URL.canParse(input) ? new URL(input) : null;
    if (url === null || !['http:', 'https:'].includes(url.protocol)) {
      return wrong('an http or https URL');
    }
    // fetch refuses such a URL; and a password does not belong where `porchlight config` shows it.
    if (url.username !== '' || url.password !== '') {
      return wrong('a URL without a user name or password in it');
    }
    return good(url);
  },
  show: (value) => value.href,
};

const splitList = (input: string, separator: RegExp | string): string[] =>
  input
    .split(separator)
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** As a browser sends it in `Origin`: lower case, without a default port. Null when it is none. */
const canonicalOrigin = (item: string): string | null => {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+\/?$/i.test(item) || !URL.canParse(item)) return null;
  const url = new URL(item);
  // Schemes of apps (capacitor://localhost) have no origin by the URL standard, yet web views send them.
  return url.origin === 'null' ? item.toLowerCase().replace(/\/$/, '') : url.origin;
};

/** A comma-separated list of origins; "*" stands for every one. Empty: none. */
export const originList: ValueType<readonly string[]> = {
  label: 'origins',
  parse: (input) => {
    const origins = splitList(input, ',').map((item) => (item === '*' ? '*' : canonicalOrigin(item)));
    return origins.includes(null)
      ? wrong('a comma-separated list of origins such as https://app.example.com, or *')
      : good([...new Set(origins.filter((origin) => origin !== null))]);
  },
  show: (value) => value,
};

const LEAST_SECRET_BYTES = 32;

/** A shared secret: the bytes of the text itself (UTF-8), nothing is decoded. A short one is warned about. */
export const sharedSecret: ValueType<KeyObject> = {
  label: 'text',
  parse: (input) => {
    if (input.trim() === '') return wrong('a secret that is not empty');
    const key = createSecretKey(Buffer.from(input, 'utf8'));
    return (key.symmetricKeySize ?? 0) >= LEAST_SECRET_BYTES
      ? good(key)
      : {
          ok: true,
          value: key,
          warning: `is shorter than ${LEAST_SECRET_BYTES} bytes and could be guessed from a token`,
        };
  },
  show: () => MASK,
};

/** The form in which API keys are held and compared: SHA-256 of the key's UTF-8 bytes. */
export const apiKeyDigest = (key: string): Buffer => createHash('sha256').update(key, 'utf8').digest();

const LEAST_API_KEY_LENGTH = 16;

/** API keys, separated by commas or line ends, kept as digests only. */
export const apiKeyList: ValueType<readonly Buffer[]> = {
  label: 'keys',
  parse: (input) => {
    const keys = [...new Set(splitList(input, /[,\r\n]/))];
    if (keys.length === 0) return wrong('a comma-separated list of at least one key');
    const value = keys.map(apiKeyDigest);
    return keys.every((key) => key.length >= LEAST_API_KEY_LENGTH)
      ? good(value)
      : {
          ok: true,
          value,
          warning: `has a key shorter than ${LEAST_API_KEY_LENGTH} characters, which could be guessed`,
        };
  },
  show: (value) => value.map(() => MASK),
};

/** A token that is sent as `Authorization: Bearer …`, kept as its digest only. */
export const bearerToken: ValueType<Buffer> = {
  label: 'token',
  parse: (input) =>
    /^[\x21-\x7e]+$/.test(input) && input.length >= LEAST_API_KEY_LENGTH
      ? good(apiKeyDigest(input))
      : wrong(`a token of at least ${LEAST_API_KEY_LENGTH} visible ASCII characters`),
  show: () => MASK,
};
