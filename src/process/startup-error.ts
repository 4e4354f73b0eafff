/**
 * The reason why a command cannot start. The first line of the message says what is wrong, and further lines say what to
 * do. The command line prints it without a stack.
 */
export class StartupError extends Error {
  /** 1: a condition that may pass (a busy port, a full disk). 78: the configuration must be changed. */
  readonly exitCode: 1 | 78;

  constructor(message: string, exitCode: 1 | 78, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartupError';
    this.exitCode = exitCode;
  }
}

/** Converts an error of opening a file. @param error `isTransient` is true when the condition may pass by itself. */
export const toStartupError = (error: Error & { readonly isTransient: boolean }): StartupError =>
  new StartupError(error.message, error.isTransient ? 1 : 78, { cause: error });
