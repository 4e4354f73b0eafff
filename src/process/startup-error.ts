/**
 * Why the server did not start, in words for the person who started it: the first line of the
 * message says what is wrong, further lines say what to do. No stack is shown.
 */
export class StartupError extends Error {
  /** 1: something at run time (a busy port, a full disk). 78: the configuration must change first. */
  readonly exitCode: 1 | 78;

  constructor(message: string, exitCode: 1 | 78, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartupError';
    this.exitCode = exitCode;
  }
}
