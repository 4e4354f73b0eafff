/** What ends the process, and how long its end may take. */
import type { Logger } from 'pino';

/** A shutdown that takes longer than this is given up, so that the process ends within ten seconds. */
const SHUTDOWN_WITHIN_MS = 9_000;

export interface StopReasons {
  readonly reason: Promise<number>;
  readonly storeFailed: (error: Error) => void;
  /** Was there a fault that nobody caught, be it while stopping? */
  readonly faulty: () => boolean;
}

/** What ends the server, and with which exit code. */
export const whenToStop = (log: Logger): StopReasons => {
  let stop: (exitCode: number) => void = () => undefined;
  const reason = new Promise<number>((resolve) => (stop = resolve));
  let signalled = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (signalled) process.exit(1);
      signalled = true;
      log.info({ signal }, 'Stopping.');
      stop(0);
    });
  }
  let faulty = false;
  // Rejections that nobody handles come here too. Who knows what is half-done in memory: what was acknowledged is on
  // the disk, and a restart begins from there. A second fault does not wait for the end of an orderly shutdown.
  process.on('uncaughtException', (error, origin) => {
    log.fatal({ err: error, origin }, 'A fault that nobody caught: a restart is needed.');
    if (faulty) process.exit(1);
    faulty = true;
    stop(1);
  });
  return {
    reason,
    faulty: () => faulty,
    storeFailed: (error) => {
      log.fatal({ err: error }, 'The store has failed: a restart is needed.');
      stop(1);
    },
  };
};

/** @returns whether it ended in time and without a fault. */
export const withinBound = async (shutdown: () => Promise<void>, log: Logger): Promise<boolean> => {
  let bound: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_resolve, reject) => {
    bound = setTimeout(() => reject(new Error('It took too long.')), SHUTDOWN_WITHIN_MS);
  });
  try {
    await Promise.race([shutdown(), tooLong]);
    return true;
  } catch (error) {
    log.error({ err: error }, 'The shutdown was not clean.');
    return false;
  } finally {
    clearTimeout(bound);
  }
};
