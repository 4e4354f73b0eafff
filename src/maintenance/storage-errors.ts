/** What a store says of its file, as a command ends with it. */
import { StartupError } from '../process/startup-error.ts';
import { errorMessage, DatabaseFileError } from '../storage/sqlite/file/errors.ts';

/** 78: another file must be named, or this one mended; 1: what may be better the next time. */
export const toStartupError = (error: unknown): unknown => {
  if (error instanceof DatabaseFileError) {
    return new StartupError(error.message, error.isTransient ? 1 : 78, { cause: error });
  }
  const code = (error as { readonly code?: unknown }).code;
  if (typeof code === 'string' && /^(SQLITE_|E[A-Z]+$)/.test(code)) {
    return new StartupError(`It could not be written: ${errorMessage(error)} (${code}). Nothing was left behind.`, 1, {
      cause: error,
    });
  }
  return error;
};
