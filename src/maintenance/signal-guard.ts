/** SIGINT and SIGTERM end a long command between two of its steps, so that it can tidy up. */
import { StartupError } from '../process/startup-error.ts';

export interface Interruptions {
  /** @throws StartupError once a signal has come. */
  check(): void;
  /** Signals do again what they did before. */
  end(): void;
}

export const interruptions = (): Interruptions => {
  let come: NodeJS.Signals | null = null;
  const note = (signal: NodeJS.Signals): void => {
    come = signal;
  };
  process.on('SIGINT', note);
  process.on('SIGTERM', note);
  return {
    check: () => {
      if (come !== null) throw new StartupError(`Interrupted by ${come}: nothing was left behind.`, 1);
    },
    end: () => {
      process.off('SIGINT', note);
      process.off('SIGTERM', note);
    },
  };
};
