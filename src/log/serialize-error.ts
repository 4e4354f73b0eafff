/** Converts an error to log fields. Only the listed fields are logged, because other properties may hold secrets. */

export interface SerializedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: SerializedError;
}

const MAX_CAUSE_DEPTH = 5;

/**
 * Libraries attach requests, documents and tokens to their errors. None of these is logged.
 * @param depth the number of errors that this one caused. A chain is cut at five.
 */
export const serializeError = (error: unknown, depth = 0): SerializedError => {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const { code } = error as NodeJS.ErrnoException;
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= MAX_CAUSE_DEPTH ? {} : { cause: serializeError(error.cause, depth + 1) }),
  };
};
