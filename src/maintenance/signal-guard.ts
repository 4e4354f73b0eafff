/** SIGINT and SIGTERM end a long command between two of its steps, so that it can tidy up. */
import { StartupError } from '../process/startup-error.ts';

export interface SignalGuard {
  /** @throws StartupError once a signal has come. */
  throwIfInterrupted(): void;
  /** Signals do again what they did before. */
  release(): void;
}

export const trapSignals = (): SignalGuard => {
  let come: NodeJS.Signals | null = null;
  const note = (signal: NodeJS.Signals): void => {
    come = signal;
  };
  process.on('SIGINT', note);
  process.on('SIGTERM', note);
  return {
    throwIfInterrupted: () => {
      if (come !== null) throw new StartupError(`Interrupted by ${come}: nothing was left behind.`, 1);
    },
    release: () => {
      process.off('SIGINT', note);
      process.off('SIGTERM', note);
    },
  };
};
