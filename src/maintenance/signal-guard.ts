/** Ends a long command at SIGINT or SIGTERM between two of its steps, so that the command can remove its files. */
import { StartupError } from '../process/startup-error.ts';

export interface SignalGuard {
  /** @throws StartupError after a signal. */
  throwIfInterrupted(): void;
  /** Restores the default effect of the signals. */
  release(): void;
}

export const trapSignals = (): SignalGuard => {
  let received: NodeJS.Signals | null = null;
  const recordSignal = (signal: NodeJS.Signals): void => {
    received = signal;
  };
  process.on('SIGINT', recordSignal);
  process.on('SIGTERM', recordSignal);
  return {
    throwIfInterrupted: () => {
      if (received !== null) throw new StartupError(`Interrupted by ${received}. No file was left behind.`, 1);
    },
    release: () => {
      process.off('SIGINT', recordSignal);
      process.off('SIGTERM', recordSignal);
    },
  };
};
