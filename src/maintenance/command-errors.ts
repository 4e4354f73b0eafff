/** Converts errors of the database and of the output file to errors that end a command. */
import { StartupError, toStartupError } from '../process/startup-error.ts';
import { DatabaseFileError, errorMessage } from '../storage/sqlite/file/errors.ts';

/**
 * @returns a StartupError for an error of the database or of the file system. Any other error is returned unchanged.
 * The exit code is 78 when the database is unusable, and 1 when the condition may pass.
 */
export const toCommandError = (error: unknown): unknown => {
  if (error instanceof DatabaseFileError) return toStartupError(error);
  const code = (error as { readonly code?: unknown }).code;
  if (typeof code === 'string' && /^(SQLITE_|E[A-Z]+$)/.test(code)) {
    return new StartupError(
      `The file cannot be written: ${errorMessage(error)} (${code}). No file was left behind.`,
      1,
      {
        cause: error,
      },
    );
  }
  return error;
};
