/** Sets another wall clock for a server, with Debian's `faketime`. A test fails if it is not installed. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mintToken } from '../porchlight-process.ts';

export const DAY_MS = 86_400_000;

/**
 * Asks the command for the path of its library. Starting the server with the command would insert a process that does
 * not forward our signals.
 */
const preloadFaketime = (): Record<string, string> => {
  const library = ((): string => {
    try {
      return execFileSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' }).trim();
    } catch (error) {
      throw new Error('There is no faketime, which these tests need: apt-get install -y faketime', { cause: error });
    }
  })();
  return { LD_PRELOAD: library };
};

/** Fakes only the wall clock, because monotonic time cannot be set on a real machine. */
const fakeWallClockOnly = (): Record<string, string> => ({ ...preloadFaketime(), FAKETIME_DONT_FAKE_MONOTONIC: '1' });

/** A wall clock that is this many days ahead, or behind. */
export const wallClockOffset = (days: number): Readonly<Record<string, string>> => ({
  ...fakeWallClockOnly(),
  FAKETIME: `${days < 0 ? '' : '+'}${days}d`,
});

/** A wall clock that jumps while the server runs, to the offset last written to the file. */
export const createJumpingClock = (
  file: string,
): { readonly env: Readonly<Record<string, string>>; jumpTo(days: number): void } => {
  const jumpTo = (days: number): void => writeFileSync(file, `${days < 0 ? '' : '+'}${days}d\n`);
  jumpTo(0);
  return { env: { ...fakeWallClockOnly(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' }, jumpTo };
};

/** All clocks of a process that was stopped for some time, for tests that cannot wait that long. */
export const createPausingClock = (
  file: string,
): { readonly env: Readonly<Record<string, string>>; pauseFor(seconds: number): void } => {
  const pauseFor = (seconds: number): void => writeFileSync(file, `+${seconds}\n`);
  pauseFor(0);
  return { env: { ...preloadFaketime(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' }, pauseFor: pauseFor };
};

/** Creates a user's JWT that is issued this many days from now. */
export const mintTokenInDays = (days: number, userId: string): Promise<string> => {
  const issuedAt = Math.floor((Date.now() + days * DAY_MS) / 1_000);
  return mintToken(userId, { claims: { iat: issuedAt, exp: issuedAt + 3_600 } });
};
