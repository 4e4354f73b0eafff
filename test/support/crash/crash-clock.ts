/** A server whose wall clock is another one than ours, by Debian's `faketime`. Where there is none, a test fails. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mintToken } from '../porchlight-process.ts';

export const DAY_MS = 86_400_000;

/**
 * Found by asking the command, which alone knows where its library is; started by itself it would stand between
 * us and the server, and keep our signals.
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

/** Only the wall clock is faked: monotonic time is nobody's to change. */
const fakeWallClockOnly = (): Record<string, string> => ({ ...preloadFaketime(), FAKETIME_DONT_FAKE_MONOTONIC: '1' });

/** A wall clock that many days ahead of ours, or behind it. */
export const wallClockOffset = (days: number): Readonly<Record<string, string>> => ({
  ...fakeWallClockOnly(),
  FAKETIME: `${days < 0 ? '' : '+'}${days}d`,
});

/** A wall clock that jumps while the server runs, to what was last written into the file. */
export const createJumpingClock = (
  file: string,
): { readonly env: Readonly<Record<string, string>>; jumpTo(days: number): void } => {
  const jumpTo = (days: number): void => writeFileSync(file, `${days < 0 ? '' : '+'}${days}d\n`);
  jumpTo(0);
  return { env: { ...fakeWallClockOnly(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' }, jumpTo };
};

/** All time, as a process sees it that stood still for so long: for tests that have not the time to let it. */
export const createPausingClock = (
  file: string,
): { readonly env: Readonly<Record<string, string>>; pauseFor(seconds: number): void } => {
  const sleptFor = (seconds: number): void => writeFileSync(file, `+${seconds}\n`);
  sleptFor(0);
  return { env: { ...preloadFaketime(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' }, pauseFor: sleptFor };
};

/** A user's JWT as it is made that many days from now. */
export const mintTokenInDays = (days: number, userId: string): Promise<string> => {
  const issuedAt = Math.floor((Date.now() + days * DAY_MS) / 1_000);
  return mintToken(userId, { claims: { iat: issuedAt, exp: issuedAt + 3_600 } });
};
