/** Finds and parses the value of one option. Flags take precedence over the environment and files, and both over defaults. */
import { OPTIONS, type Option, type OptionName, type ValueOrigin } from './options.ts';
import type { OptionFlags } from './parse-flags.ts';
import { describeFileError, type SecretFile, SecretFileError } from './secret-file.ts';
import { maskUrlSecrets, type ParseResult, SECRET_MASK } from './value-types.ts';

export interface ConfigSources {
  readonly flags?: OptionFlags;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** See `readSecretFile`. */
  readonly readSecretFile: (path: string) => SecretFile;
  /** Whether the path names a file. It is only called for a secret that looks like a path. */
  readonly isExistingFile: (path: string) => boolean;
  /** False: secrets are neither read nor checked, and have no value. For commands that need no secret. Default: true. */
  readonly readsSecrets?: boolean;
}

export interface ProblemReport {
  /** Complete sentences. */
  readonly problems: string[];
  /** Complete sentences. */
  readonly warnings: string[];
}

export interface FoundValue {
  readonly value: unknown;
  readonly origin: ValueOrigin;
  /** The flag, the variable or the file. Null for a default. */
  readonly source: string | null;
}

interface RawValue {
  /** The content of a file is parsed as bytes. */
  readonly content: string | Buffer;
  readonly origin: ValueOrigin;
  readonly source: string | null;
}

/** Finds the value of an option, and its origin. @returns null after a problem was reported. */
export const findOptionValue = (name: OptionName, sources: ConfigSources, report: ProblemReport): FoundValue | null => {
  const option: Option = OPTIONS[name];
  const raw = option.isSecret ? findSecret(option, sources, report) : findPlainValue(name, option, sources);
  if (raw === null) return null;
  const { content, origin, source } = raw;
  if (origin === 'default' && option.default === null) return { value: null, origin, source };
  const parsed = parseContent(option, content);
  if (!parsed.ok) {
    const shown = option.isSecret ? SECRET_MASK : quoteValue(content.toString());
    report.problems.push(`${source} ${parsed.problem ?? `is ${shown}`}, but must be ${parsed.expected}.`);
    return null;
  }
  if (parsed.warning !== undefined) report.warnings.push(`${source} ${parsed.warning}.`);
  return { value: parsed.value, origin, source };
};

const parseContent = (option: Option, content: string | Buffer): ParseResult<unknown> => {
  if (typeof content === 'string') return option.type.parseText(content);
  return option.type.parseFile?.(content) ?? { ok: false, expected: 'set by its variable, not by a file' };
};

const findPlainValue = (name: OptionName, option: Option, { flags, env }: ConfigSources): RawValue => {
  const flag = flags?.[name];
  if (flag !== undefined) return { content: flag, origin: 'flag', source: `--${option.flag}` };
  for (const variable of [option.env, option.envFallback]) {
    const text = variable === undefined ? undefined : env[variable];
    if (text !== undefined) return { content: text, origin: 'environment', source: variable ?? null };
  }
  return { content: option.default ?? '', origin: 'default', source: null };
};

/** Texts that are paths. A secret has such a start only by chance. */
const PATH_START = /^(\/|\.\.?\/|~|[A-Za-z]:[\\/])/;

const findSecret = (option: Option, sources: ConfigSources, report: ProblemReport): RawValue | null => {
  const fileVariable = `${option.env}_FILE`;
  const { [option.env]: text, [fileVariable]: path } = sources.env;
  if (sources.readsSecrets === false || (text === undefined && path === undefined)) {
    return { content: '', origin: 'default', source: null };
  }
  if (text !== undefined && path !== undefined) {
    report.problems.push(`${option.env} and ${fileVariable} are both set, but only one of them may be.`);
    return null;
  }
  if (path !== undefined) return readFileOfSecret(fileVariable, path, sources, report);
  const secret = text ?? '';
  if (PATH_START.test(secret) && sources.isExistingFile(secret)) {
    report.problems.push(
      `${option.env} is the path of a file, but must be the secret itself. Set ${fileVariable} to the path instead.`,
    );
    return null;
  }
  return { content: secret, origin: 'environment', source: option.env };
};

const readFileOfSecret = (
  fileVariable: string,
  path: string,
  { readSecretFile }: ConfigSources,
  { problems, warnings }: ProblemReport,
): RawValue | null => {
  const source = `${fileVariable} (${path})`;
  try {
    const { bytes, mode } = readSecretFile(path);
    if (isOpenToAllUsers(path, mode)) {
      warnings.push(`${source} can be read or changed by every user of the machine; "chmod o= ${path}" prevents that.`);
    }
    return { content: bytes, origin: 'file', source };
  } catch (error) {
    problems.push(
      error instanceof SecretFileError
        ? `${source} ${error.message}, but must be a file with the secret.`
        : `${fileVariable} is ${quotePath(path)}, but must be the path of a readable file: ${describeFileError(error)}.`,
    );
    return null;
  }
};

/** Docker and Kubernetes put secrets there, for one container alone, in files that every user of the container can read. */
const CONTAINER_SECRETS = /^(\/var)?\/run\/secrets\//;

const isOpenToAllUsers = (path: string, mode: number | null): boolean =>
  mode !== null && (mode & 0o006) !== 0 && !CONTAINER_SECRETS.test(path);

/** Shows a path. A text that does not look like one could be the secret itself. */
const quotePath = (path: string): string =>
  path === '' || PATH_START.test(path) ? quoteValue(path) : `${SECRET_MASK} (only shown if it starts with / or ./)`;

/** Characters. */
const MAX_QUOTE_LENGTH = 120;

const quoteValue = (value: string): string => {
  const safe = maskUrlSecrets(value);
  return JSON.stringify(safe.length > MAX_QUOTE_LENGTH ? `${safe.slice(0, MAX_QUOTE_LENGTH)}…` : safe);
};
