/** The errors that the command line reports before a command starts. Each class has its own exit code. */

/** Bad usage: an unknown command or flag, or a flag without its value. Exit code 2. */
export class UsageError extends Error {
  readonly exitCode = 2;

  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Bad configuration: all invalid values, one line each. Exit code 78 (EX_CONFIG). */
export class ConfigError extends Error {
  readonly exitCode = 78;
  readonly problems: readonly string[];
  /** Printed as well, because a misspelled name is often the reason for a missing value. */
  readonly warnings: readonly string[];

  constructor(problems: readonly string[], warnings: readonly string[] = []) {
    super(`Bad configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
    this.warnings = warnings;
  }
}
