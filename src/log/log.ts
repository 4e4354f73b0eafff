/** The logger of the server. It writes one line per entry to stderr, as JSON or as text. */
import { pino, stdTimeFunctions, type Logger } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { serializeError } from './serialize-error.ts';
import { LogRateLimiter, type LogRateLimits } from './rate-limited-log.ts';

const WARN = 40;
const FATAL = 60;

export interface LogSink {
  write(line: string): void;
}

export interface LoggerOptions {
  /** The minimum level, such as `info`. */
  readonly level: string;
  /** `auto` is pretty when stderr is a terminal, JSON otherwise. Default: `json`. */
  readonly format?: 'auto' | 'json' | 'pretty';
  /** Default: stderr. */
  readonly sink?: LogSink;
  readonly rateLimits?: LogRateLimits;
}

/**
 * Creates the logger. Warnings and errors with the same text are rate-limited. At the end of each period, one line with
 * the field `suppressed` contains the number of lines that were not written.
 */
export const createLogger = ({ level, format = 'json', sink = openStderr(), rateLimits }: LoggerOptions): Logger => {
  const rateLimiter = new LogRateLimiter((text, suppressed) => logger.warn({ suppressed }, text), rateLimits);
  const isPretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY);
  const formatLine = isPretty ? createPrettyFormat() : escapeUnsafeCharacters;
  const logger = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (name) => ({ level: name }) },
      serializers: { err: serializeError },
      hooks: {
        logMethod(args, method, severity) {
          const text = typeof args[0] === 'string' ? args[0] : args[1];
          const isLimited = severity >= WARN && severity < FATAL && text !== undefined && !isSummary(args[0]);
          // The process may end after a fatal line.
          if (severity >= FATAL) rateLimiter.flushSummaries();
          if (!isLimited || rateLimiter.tryAcquire(text)) method.apply(this, args);
        },
      },
    },
    { write: (line: string) => sink.write(formatLine(line)) },
  );
  return logger;
};

const isSummary = (fields: unknown): boolean => typeof fields === 'object' && fields !== null && 'suppressed' in fields;

/** Characters that JSON leaves as they are, but that end a line for some readers or control a terminal. */
const UNSAFE_CHARACTERS = /[\u007f-\u009f\u2028\u2029]/g;

const escapeCharacter = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

const escapeUnsafeCharacters = (json: string): string => json.replace(UNSAFE_CHARACTERS, escapeCharacter);

/** An escape sequence of JSON. */
const JSON_ESCAPE = /\\(?:u[0-9a-f]{4}|.)/gi;

/**
 * Formats JSON lines as text with colours for a terminal. Control characters in the values stay escaped, so that a value
 * cannot control the terminal. Line breaks are kept, because stack traces have them.
 */
const createPrettyFormat = (): ((json: string) => string) => {
  const format = prettyFactory({
    colorize: process.stderr.isTTY && !process.env.NO_COLOR,
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    ignore: 'hostname,pid',
  });
  const isControl = (escape: string): boolean => /^\\(?:[bfrt]|u00[0189][0-9a-f]|u007f|u202[89])$/i.test(escape);
  return (json) => {
    const escaped = escapeUnsafeCharacters(json).replace(JSON_ESCAPE, (escape) =>
      isControl(escape) ? `\\${escape}` : escape,
    );
    return format(escaped);
  };
};

const openStderr = (): LogSink => {
  const destination = pino.destination({ fd: 2, sync: true });
  return { write: (line) => void destination.write(line) };
};
