/** A real browser for end-to-end tests: Debian's Chromium. Where there is none, a test fails; it is never skipped. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

const EXECUTABLE = '/usr/bin/chromium';

export interface Browser extends AsyncDisposable {
  readonly context: BrowserContext;
  /** Every URL that a page, a frame or a worker has asked for since the start, those of WebSockets included. */
  readonly requested: readonly string[];
  /** What a page would show in red in its console, refusals of its Content-Security-Policy among it. */
  readonly complaints: readonly string[];
}

/** With a profile of its own, which is removed with it. */
export const launchChromium = async (): Promise<Browser> => {
  if (!existsSync(EXECUTABLE)) {
    throw new Error(`There is no ${EXECUTABLE}, which these tests need: apt-get install -y chromium`);
  }
  const profile = await mkdtemp(join(tmpdir(), 'porchlight-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    viewport: { width: 1400, height: 900 },
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const requested: string[] = [];
  const complaints: string[] = [];
  context.on('request', (request) => requested.push(request.url()));
  context.on('page', (page) => page.on('websocket', (socket) => requested.push(socket.url())));
  context.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  context.on('weberror', (error) => complaints.push(error.error().message));
  return {
    context,
    requested,
    complaints,
    [Symbol.asyncDispose]: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};
