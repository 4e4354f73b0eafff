/**
 * The data directory, and the secrets that Porchlight makes itself when none are configured: made
 * once, kept in files that only their owner can read, read again at every later start, never logged.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Config } from './config.ts';
import { apiKeyDigest, sharedSecret } from './value-types.ts';
import { secretFiles } from './secret-file-paths.ts';
import { StartupError } from '../process/startup-error.ts';

export interface Provided {
  /** Nothing in it is left to be generated. */
  readonly config: Config;
  /** One line each, for stderr. */
  readonly warnings: readonly string[];
}

const SECRET_BYTES = 32;
const API_KEY_PREFIX = 'plk_';

/** What `serve` needs: the directory of the database, the signing secret and the API key.
 * @throws StartupError with 78 when the directory or a file is not to be used, 1 for a fault of the disk.
 */
export const provideSecrets = async (config: Config): Promise<Provided> => {
  await makeDirectory(secretFiles(config.database).directory);
  const signing = await provideSigningSecret(config);
  if (config.origins.apiKeys !== 'generated') return signing;
  const key = await readOrMake(secretFiles(config.database).apiKey, API_KEY_PREFIX);
  return {
    config: { ...signing.config, apiKeys: [apiKeyDigest(key.text)] },
    warnings: [...signing.warnings, ...key.warnings],
  };
};

/** What `token` needs: the signing secret alone; made when the server has not been started yet.
 * @throws StartupError as `provideSecrets`.
 */
export const provideSigningSecret = async (config: Config): Promise<Provided> => {
  if (config.origins.jwtSecret !== 'generated') return { config, warnings: [] };
  const file = secretFiles(config.database).jwtSecret;
  await makeDirectory(dirname(file));
  const secret = await readOrMake(file, '');
  const parsed = sharedSecret.parse(secret.text);
  if (!parsed.ok) throw new StartupError(`${file} must hold ${parsed.expected}.`, 78);
  const weak = parsed.warning === undefined ? [] : [`${file} ${parsed.warning}.`];
  return { config: { ...config, jwtSecret: parsed.value }, warnings: [...secret.warnings, ...weak] };
};

const makeDirectory = async (directory: string): Promise<void> => {
  try {
    await makeLevels(resolve(directory));
  } catch (error) {
    throw unusable(`The data directory ${directory} cannot be made`, error);
  }
};

/** By hand: where a file system answers ENOENT to whatever is made in it, as /proc does, mkdir's `recursive` never returns. */
const makeLevels = async (directory: string): Promise<void> => {
  if (await isDirectory(directory)) return;
  const parent = dirname(directory);
  if (parent !== directory) await makeLevels(parent);
  try {
    await mkdir(directory, 0o700);
  } catch (error) {
    // Another start may have made it just now.
    if (codeOf(error) !== 'EEXIST' || !(await isDirectory(directory))) throw error;
  }
};

const isDirectory = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
};

interface SecretText {
  readonly text: string;
  readonly warnings: readonly string[];
}

const readOrMake = async (file: string, prefix: string): Promise<SecretText> => {
  try {
    const found = await readSecret(file);
    if (found !== null) return found;
    await publish(file, prefix + randomBytes(SECRET_BYTES).toString('base64url'));
    const made = await readSecret(file);
    if (made !== null) return made;
  } catch (error) {
    throw error instanceof StartupError ? error : unusable(`The secret ${file} cannot be kept`, error);
  }
  throw new StartupError(`The secret ${file} was removed while it was being made.`, 1);
};

/** Null when there is no such file. */
const readSecret = async (file: string): Promise<SecretText | null> => {
  let handle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    // Text and mode of the same open file: nobody can put another one in its place in between.
    const { mode } = await handle.stat();
    const text = (await handle.readFile('utf8')).replace(/\r?\n$/, '');
    if (text.trim() === '') {
      throw new StartupError(`${file} is empty.\nRemove it to have a new secret generated.`, 78);
    }
    // Windows has no such modes.
    const open = process.platform !== 'win32' && (mode & 0o077) !== 0;
    return {
      text,
      warnings: open ? [`${file} can be read by other users; "chmod 600 ${file}" keeps it secret.`] : [],
    };
  } finally {
    await handle.close();
  }
};

/**
 * Makes the file with all of its text or not at all, and never over another one: of two starts at
 * once one wins, and both read the winner's. (Made under its own name with `wx`, it could be read,
 * or be left behind by a crash, while it is still empty.)
 */
const publish = async (file: string, text: string): Promise<void> => {
  const draft = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`);
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncDirectory(dirname(file));
};

/** A new name outlives a power loss only when its directory is on the disk as well. */
const syncDirectory = async (directory: string): Promise<void> => {
  // Windows cannot open a directory, and does not need to.
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** The disk's own faults may pass; for all others someone must change the path or its rights. */
const PASSING = ['ENOSPC', 'EIO', 'EMFILE', 'ENFILE', 'EDQUOT'];

const unusable = (what: string, error: unknown): StartupError => {
  const reason = error instanceof Error ? error.message : String(error);
  const exitCode = PASSING.includes(codeOf(error) ?? '') ? 1 : 78;
  return new StartupError(`${what}: ${reason}\nPORCHLIGHT_DATABASE (--database) says where it is.`, exitCode, {
    cause: error,
  });
};

const codeOf = (error: unknown): string | null =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
