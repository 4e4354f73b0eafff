/**
 * Starts Debian's Chromium with the timer throttling of a user's browser. Playwright's own launch disables it by flags,
 * and emulates a focused page in every tab. This file therefore spawns the browser and attaches without overrides.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import { withTimeout } from '../porchlight-process.ts';

const EXECUTABLE = '/usr/bin/chromium';
const START_WITHIN_MS = 60_000;

export interface StockChromium extends AsyncDisposable {
  readonly version: string;
  readonly context: BrowserContext;
}

/**
 * @param gracePeriodS how long a page must be hidden before its chained timers fire once a minute. Null keeps the grace
 *   period of the browser.
 */
export const launchStockChromium = async (gracePeriodS: number | null): Promise<StockChromium> => {
  const profile = await mkdtemp(join(tmpdir(), 'porchlight-chromium-'));
  const child = spawn(
    EXECUTABLE,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      ...(gracePeriodS === null ? [] : [throttleAfter(gracePeriodS)]),
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const exited = once(child, 'exit');
  const dispose = async (): Promise<void> => {
    kill();
    await exited;
    process.off('exit', kill);
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  };
  try {
    let output = '';
    const endpoint = new Promise<string>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const url = /DevTools listening on (ws:\S+)/.exec(output)?.[1];
        if (url !== undefined) resolve(url);
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`Chromium exited with code ${code}. Its output:\n${output}`)));
    });
    const url = await withTimeout(endpoint, START_WITHIN_MS, () => `Chromium did not start. Its output:\n${output}`);
    const browser = await chromium.connectOverCDP(url, { noDefaults: true });
    const [context] = browser.contexts();
    if (context === undefined) throw new Error('Chromium has no default context.');
    return {
      version: browser.version(),
      context,
      [Symbol.asyncDispose]: async () => {
        await browser.close();
        await dispose();
      },
    };
  } catch (error) {
    await dispose();
    throw error;
  }
};

const throttleAfter = (gracePeriodS: number): string =>
  `--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/${gracePeriodS}`;
