/** Starts Debian's Chromium for end-to-end tests. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

const EXECUTABLE = '/usr/bin/chromium';

export interface ChromiumSession extends AsyncDisposable {
  readonly context: BrowserContext;
  /** Every URL that a page, frame or worker has requested since the start, including WebSockets. */
  readonly requestedUrls: readonly string[];
  /** Errors in the consoles of the pages, including violations of the Content-Security-Policy. */
  readonly consoleErrors: readonly string[];
}

export interface ChromiumOptions {
  /** Accept self-signed certificates. Default: false. */
  readonly ignoresCertificates?: boolean;
}

/** Starts a browser with a profile of its own, which is removed when the session is disposed. */
export const launchChromium = async ({
  ignoresCertificates = false,
}: ChromiumOptions = {}): Promise<ChromiumSession> => {
  if (!existsSync(EXECUTABLE)) {
    throw new Error(`${EXECUTABLE} does not exist; these tests need it: apt-get install -y chromium`);
  }
  const profile = await mkdtemp(join(tmpdir(), 'porchlight-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    ignoreHTTPSErrors: ignoresCertificates,
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
      ...(ignoresCertificates ? ['--ignore-certificate-errors'] : []),
    ],
  });
  const requestedUrls: string[] = [];
  const consoleErrors: string[] = [];
  context.on('request', (request) => requestedUrls.push(request.url()));
  context.on('page', (page) => page.on('websocket', (socket) => requestedUrls.push(socket.url())));
  context.on('console', (message) => {
    if (message.type() === 'error') consoleErrors.push(message.text());
  });
  context.on('weberror', (error) => consoleErrors.push(error.error().message));
  return {
    context,
    requestedUrls,
    consoleErrors,
    [Symbol.asyncDispose]: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};
