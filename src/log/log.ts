/** The log: one JSON object a line, whatever clients have put into what is written. */
import { pino, type Logger } from 'pino';
import { errorFields } from './serialize-error.ts';
import { Floods, type FloodLimits } from './rate-limited-log.ts';

const WARN = 40;
const FATAL = 60;
/** What some readers of lines take for the end of one, or a terminal for an order, and JSON leaves as it is. */
const TREACHEROUS = /[\u007f-\u009f\u2028\u2029]/g;

export interface LogSink {
  write(line: string): void;
}

/**
 * Warnings and errors of one text come so often at most; how many more there were is told by a line with
 * `suppressed`. @param limits other than the usual ones, for tests.
 */
export const createLog = (level: string, sink: LogSink = stderr(), limits?: FloodLimits): Logger => {
  const floods = new Floods((text, suppressed) => log.warn({ suppressed }, text), limits);
  const log = pino(
    {
      level,
      base: null,
      serializers: { err: errorFields },
      hooks: {
        logMethod(args, method, severity) {
          const text = typeof args[0] === 'string' ? args[0] : args[1];
          const isCounted = severity >= WARN && severity < FATAL && text !== undefined && !isSummary(args[0]);
          if (severity >= FATAL) floods.flush();
          if (!isCounted || floods.mayPass(text)) method.apply(this, args);
        },
      },
    },
    { write: (line: string) => sink.write(line.replace(TREACHEROUS, escaped)) },
  );
  return log;
};

const isSummary = (fields: unknown): boolean => typeof fields === 'object' && fields !== null && 'suppressed' in fields;

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

const stderr = (): LogSink => {
  const destination = pino.destination({ fd: 2, sync: true });
  return { write: (line) => void destination.write(line) };
};
