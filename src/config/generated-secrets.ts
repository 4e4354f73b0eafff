/**
 * Creates the data directory and the secrets that are not configured. A secret is generated once, stored in a file that
 * only its owner can read, and read again at later starts. It is never logged.
 */
import { randomBytes } from 'node:crypto';
import type { Config } from './config.ts';
import { checkKeyLength } from './secret-checks.ts';
import { readSecretFile, type SecretFile, SecretFileError } from './secret-file.ts';
import { getSecretFilePaths } from './secret-file-paths.ts';
import { apiKeyListType, type SecretType, sharedSecretType } from './secret-value-types.ts';
import { createDirectory, createFileOnce } from '../process/atomic-file.ts';
import { StartupError } from '../process/startup-error.ts';

export interface ConfigWithSecrets {
  /** Contains every secret that was requested. */
  readonly config: Config;
  /** One line each, for stderr. */
  readonly warnings: readonly string[];
}

const SECRET_BYTES = 32;
const API_KEY_PREFIX = 'plk_';

/**
 * Completes the configuration for `serve`: the data directory, the signing secret and the API key.
 * @throws StartupError with exit code 78 when the directory or a file is unusable, with 1 after a disk error.
 */
export const loadOrCreateSecrets = (config: Config): ConfigWithSecrets => {
  createDataDirectory(getSecretFilePaths(config.database).directory);
  const signing = loadOrCreateSigningSecret(config);
  if (config.origins.apiKeys !== 'generated') return signing;
  const keys = readOrCreateSecret(getSecretFilePaths(config.database).apiKey, API_KEY_PREFIX, apiKeyListType);
  return {
    config: { ...signing.config, apiKeys: keys.value },
    warnings: [...signing.warnings, ...keys.warnings],
  };
};

/**
 * Completes the configuration for `token`: the signing secret only. It is created if the server has not started yet.
 * @throws StartupError as `loadOrCreateSecrets` does.
 */
export const loadOrCreateSigningSecret = (config: Config): ConfigWithSecrets => {
  if (config.origins.jwtSecret !== 'generated') return { config, warnings: [] };
  const { jwtSecret: file, directory } = getSecretFilePaths(config.database);
  createDataDirectory(directory);
  const { value, warnings } = readOrCreateSecret(file, '', sharedSecretType);
  const length = checkKeyLength(file, value, config.allowShortKeys);
  if (!length.ok) throw new StartupError(length.problem, 78);
  return { config: { ...config, jwtSecret: value }, warnings: [...warnings, ...length.warnings] };
};

const createDataDirectory = (directory: string): void => {
  try {
    createDirectory(directory);
  } catch (error) {
    throw dataDirectoryError(`The data directory ${directory} cannot be created`, error);
  }
};

interface StoredSecret<T> {
  readonly value: T;
  readonly warnings: readonly string[];
}

/** The file may also have been written by a person. It is read by the same rules as the file of a `_FILE` variable. */
const readOrCreateSecret = <T>(file: string, prefix: string, type: SecretType<T>): StoredSecret<T> => {
  try {
    const existing = readFileIfExists(file);
    if (existing !== null) return parseStoredSecret(file, existing, type);
    createFileOnce(file, prefix + randomBytes(SECRET_BYTES).toString('base64url'));
    // Not the text from above: another process may have created the file first.
    const created = readFileIfExists(file);
    if (created !== null) return parseStoredSecret(file, created, type);
  } catch (error) {
    if (error instanceof StartupError) throw error;
    if (error instanceof SecretFileError) throw unusableSecretError(`${file} ${error.message}`);
    throw dataDirectoryError(`The secret ${file} cannot be stored`, error);
  }
  throw new StartupError(`The secret ${file} was removed while it was created.`, 1);
};

const readFileIfExists = (file: string): SecretFile | null => {
  try {
    return readSecretFile(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
};

const parseStoredSecret = <T>(file: string, { bytes, mode }: SecretFile, type: SecretType<T>): StoredSecret<T> => {
  const parsed = type.parseFile(bytes);
  if (!parsed.ok) throw unusableSecretError(`${file} ${parsed.problem}, but must be ${parsed.expected}`);
  const isOpenToOthers = mode !== null && (mode & 0o077) !== 0;
  return {
    value: parsed.value,
    warnings: [
      ...(isOpenToOthers ? [`${file} can be read by other users; "chmod 600 ${file}" keeps it secret.`] : []),
      ...(parsed.warning === undefined ? [] : [`${file} ${parsed.warning}.`]),
    ],
  };
};

const unusableSecretError = (what: string): StartupError =>
  new StartupError(`${what}.\nCorrect the file, or remove it to have a new secret generated.`, 78);

/** Errors that may pass without a change of the configuration. */
const TEMPORARY_CODES = ['ENOSPC', 'EIO', 'EMFILE', 'ENFILE', 'EDQUOT'];

const dataDirectoryError = (what: string, error: unknown): StartupError => {
  const reason = error instanceof Error ? error.message : String(error);
  const exitCode = TEMPORARY_CODES.includes(errorCode(error) ?? '') ? 1 : 78;
  return new StartupError(`${what}: ${reason}\nPORCHLIGHT_DATABASE (--database) sets the directory.`, exitCode, {
    cause: error,
  });
};

const errorCode = (error: unknown): string | null =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
