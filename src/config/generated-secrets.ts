/**
 * Creates the data directory and the secrets that are not configured. A secret is generated once, stored in a file that
 * only its owner can read, and read again at later starts. It is never logged.
 */
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Config } from './config.ts';
import { hashApiKey, sharedSecretType } from './value-types.ts';
import { getSecretFilePaths } from './secret-file-paths.ts';
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
export const loadOrCreateSecrets = async (config: Config): Promise<ConfigWithSecrets> => {
  createDataDirectory(getSecretFilePaths(config.database).directory);
  const signing = await loadOrCreateSigningSecret(config);
  if (config.origins.apiKeys !== 'generated') return signing;
  const key = await readOrCreateSecret(getSecretFilePaths(config.database).apiKey, API_KEY_PREFIX);
  return {
    config: { ...signing.config, apiKeys: [hashApiKey(key.text)] },
    warnings: [...signing.warnings, ...key.warnings],
  };
};

/**
 * Completes the configuration for `token`: the signing secret only. It is created if the server has not started yet.
 * @throws StartupError as `loadOrCreateSecrets` does.
 */
export const loadOrCreateSigningSecret = async (config: Config): Promise<ConfigWithSecrets> => {
  if (config.origins.jwtSecret !== 'generated') return { config, warnings: [] };
  const { jwtSecret: file, directory } = getSecretFilePaths(config.database);
  createDataDirectory(directory);
  const secret = await readOrCreateSecret(file, '');
  const parsed = sharedSecretType.parseText(secret.text);
  if (!parsed.ok) throw new StartupError(`${file} must contain ${parsed.expected}.`, 78);
  const weakness = parsed.warning === undefined ? [] : [`${file} ${parsed.warning}.`];
  return { config: { ...config, jwtSecret: parsed.value }, warnings: [...secret.warnings, ...weakness] };
};

const createDataDirectory = (directory: string): void => {
  try {
    createDirectory(directory);
  } catch (error) {
    throw dataDirectoryError(`The data directory ${directory} cannot be created`, error);
  }
};

interface SecretText {
  readonly text: string;
  readonly warnings: readonly string[];
}

const readOrCreateSecret = async (file: string, prefix: string): Promise<SecretText> => {
  try {
    const existing = await readSecretFile(file);
    if (existing !== null) return existing;
    createFileOnce(file, prefix + randomBytes(SECRET_BYTES).toString('base64url'));
    // Not the text from above: another process may have created the file first.
    const created = await readSecretFile(file);
    if (created !== null) return created;
  } catch (error) {
    throw error instanceof StartupError ? error : dataDirectoryError(`The secret ${file} cannot be stored`, error);
  }
  throw new StartupError(`The secret ${file} was removed while it was created.`, 1);
};

/** @returns null when the file does not exist. */
const readSecretFile = async (file: string): Promise<SecretText | null> => {
  let handle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    // Text and mode come from one open file, so that the file cannot be replaced in between.
    const { mode } = await handle.stat();
    const text = (await handle.readFile('utf8')).replace(/\r?\n$/, '');
    if (text.trim() === '') {
      throw new StartupError(`${file} is empty.\nRemove it to have a new secret generated.`, 78);
    }
    // Windows has no such modes.
    const isReadableByOthers = process.platform !== 'win32' && (mode & 0o077) !== 0;
    return {
      text,
      warnings: isReadableByOthers ? [`${file} can be read by other users; "chmod 600 ${file}" keeps it secret.`] : [],
    };
  } finally {
    await handle.close();
  }
};

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
