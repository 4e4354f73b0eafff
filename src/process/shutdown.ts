/** The events that end the server process, and the time limit of a shutdown. */
import type { Logger } from 'pino';

/** A longer shutdown is abandoned, so that the process ends within ten seconds. */
const SHUTDOWN_TIMEOUT_MS = 9_000;

export interface ShutdownTrigger {
  /** Resolves with the exit code when the server must stop: 0 after a signal, 1 after a fatal error. Never rejects. */
  readonly exitCode: Promise<number>;
  readonly reportStoreFailure: (error: Error) => void;
  /** True after an uncaught error, including one during the shutdown. */
  readonly hasUncaughtError: () => boolean;
}

/** Handles SIGTERM, SIGINT and uncaught errors. A second signal or a second uncaught error ends the process at once. */
export const onShutdown = (log: Logger): ShutdownTrigger => {
  let requestShutdown: (exitCode: number) => void = () => undefined;
  const exitCode = new Promise<number>((resolve) => (requestShutdown = resolve));
  let isSignalled = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (isSignalled) process.exit(1);
      isSignalled = true;
      log.info({ signal }, 'Signal received; the server stops');
      requestShutdown(0);
    });
  }
  let hasUncaughtError = false;
  // Also called for unhandled rejections. The state in memory may be inconsistent, but acknowledged changes are on the
  // disk, and a restart continues from there.
  process.on('uncaughtException', (error, origin) => {
    log.fatal({ err: error, origin }, 'Uncaught error; the server stops and must be restarted');
    if (hasUncaughtError) process.exit(1);
    hasUncaughtError = true;
    requestShutdown(1);
  });
  return {
    exitCode,
    hasUncaughtError: () => hasUncaughtError,
    reportStoreFailure: (error) => {
      log.fatal({ err: error }, 'The store failed; the server stops and must be restarted');
      requestShutdown(1);
    },
  };
};

/** Runs the shutdown. @returns false when it fails or takes longer than nine seconds. Never rejects. */
export const runShutdown = async (shutdown: () => Promise<void>, log: Logger): Promise<boolean> => {
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`The shutdown took longer than ${SHUTDOWN_TIMEOUT_MS} ms.`)),
      SHUTDOWN_TIMEOUT_MS,
    );
  });
  try {
    await Promise.race([shutdown(), timeout]);
    log.info({ durationMs: Math.round(performance.now() - startedAt) }, 'Server stopped');
    return true;
  } catch (error) {
    log.error({ err: error }, 'Shutdown failed; the process ends without it');
    return false;
  } finally {
    clearTimeout(timer);
  }
};
