/** Opens pages in Chromium, hides them behind another tab, and observes their timers and their sessions. */
import type { Page } from 'playwright-core';
import { postForData } from '../porchlight-client.ts';
import { mintToken, type PorchlightProcess, startPorchlight, withTimeout } from '../porchlight-process.ts';
import { ObservedPage, type PageReport } from './observed-page.ts';
import { startPageServer } from './page-server.ts';
import type { HeartbeatKind } from './page-scripts.ts';
import { launchStockChromium } from './stock-chromium.ts';

const OPEN_WITHIN_MS = 60_000;
/** The longest delay of docs/examples/web.mjs between two attempts to connect is 30 s. */
const RECONNECT_WITHIN_MS = 120_000;

/** The timings of WEB in the platform table. */
const DEFAULT_TIMINGS = { heartbeatIntervalMs: 20_000, heartbeatTimeoutMs: 60_000 };

export interface ObservationOptions {
  /** One page is opened for each entry. */
  readonly kinds: readonly HeartbeatKind[];
  /** Timings of WEB. Null keeps the platform table. */
  readonly timings: Readonly<typeof DEFAULT_TIMINGS> | null;
  /** As for `launchStockChromium`. */
  readonly gracePeriodS: number | null;
  /** The observation ends when this is true for every page. It is called after each report. */
  readonly isComplete: (page: ObservedPage) => boolean;
  readonly completeWithinMs: number;
}

export interface Observation {
  readonly browserVersion: string;
  readonly pages: readonly ObservedPage[];
  /** Whether the pages with `keepAlive` were still hidden when they logged in after a restart of the server. */
  readonly wereHiddenAtReconnect: readonly boolean[];
}

/**
 * Observes the pages, and then restarts the server.
 * @throws when a page does not log in, or is visible at the end, or the observation is not complete in time, or a page
 *   with `keepAlive` does not log in again.
 */
export const observeHiddenPages = async (options: ObservationOptions): Promise<Observation> => {
  const { heartbeatIntervalMs } = options.timings ?? DEFAULT_TIMINGS;
  await using pageServer = await startPageServer(heartbeatIntervalMs);
  const env = { PORCHLIGHT_ALLOWED_ORIGINS: pageServer.origin };
  await using server = await startPorchlight({ env });
  if (options.timings !== null) await setTimings(server, options.timings);
  await using browser = await launchStockChromium(options.gracePeriodS);

  const pages = options.kinds.map((kind, index) => new ObservedPage(kind, `${kind}-${index}`));
  const waiters = new ReportWaiters();
  let isObserving = true;
  await browser.context.exposeFunction('report', (report: PageReport) => {
    if (isObserving) pages.find(({ userId }) => userId === report.page)?.addReport(report);
    waiters.notify(report);
  });

  const openTabs: Page[] = [];
  for (const { kind, userId } of pages) {
    const tab = await browser.context.newPage();
    const isOnline = waiters.waitFor((report) => report.page === userId && report.kind === 'online');
    const query = new URLSearchParams({
      page: userId,
      url: `${server.origin.replace(/^http/, 'ws')}/graphql`,
      jwt: await mintToken(userId),
      heartbeatEveryMs: String(heartbeatIntervalMs),
    });
    await tab.goto(`${pageServer.origin}/${kind}?${query.toString()}`);
    await withTimeout(isOnline, OPEN_WITHIN_MS, () => `The page ${userId} did not log in.`);
    openTabs.push(tab);
  }
  const isComplete = waiters.waitFor(() => pages.every(options.isComplete));
  const front = await browser.context.newPage();
  await front.goto(`${pageServer.origin}/front`);
  await front.bringToFront();
  await withTimeout(isComplete, options.completeWithinMs, () => `Incomplete after the wait: ${describePages(pages)}`);

  for (const [index, page] of pages.entries()) {
    const isHidden = await openTabs[index]?.evaluate<boolean>('document.hidden');
    if (isHidden !== true) throw new Error(`The page ${page.userId} is not hidden.`);
    await readUser(server, page);
  }
  isObserving = false;

  const reconnected = pages
    .filter(({ kind }) => kind === 'keepAlive')
    .map(({ userId }) => waiters.waitFor((report) => report.page === userId && report.kind === 'online'));
  await server.stop();
  const { directory, port } = server;
  await using _restarted = await startPorchlight({ directory, env: { ...env, PORCHLIGHT_PORT: String(port) } });
  const logins = await withTimeout(Promise.all(reconnected), RECONNECT_WITHIN_MS, () => 'A page did not log in again.');
  return { browserVersion: browser.version, pages, wereHiddenAtReconnect: logins.map(({ hidden }) => hidden) };
};

export const describePages = (pages: readonly ObservedPage[]): string => JSON.stringify(pages, null, 2);

const setTimings = async (server: PorchlightProcess, timings: typeof DEFAULT_TIMINGS): Promise<void> => {
  const mutation =
    'mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { pushOnlineExpiryMs } } }';
  await postForData(server, server.apiKey, mutation, { input: { platforms: [{ platform: 'WEB', ...timings }] } });
};

interface UserResult {
  readonly events: { readonly nodes: readonly { readonly reason: string }[] };
  readonly userStatus: { readonly status: string };
}

const readUser = async (server: PorchlightProcess, page: ObservedPage): Promise<void> => {
  const query = `query ($userId: ID!) {
    events(first: 500, userId: $userId) { nodes { reason } }
    userStatus(userId: $userId) { status }
  }`;
  const user = await postForData<UserResult>(server, server.apiKey, query, { userId: page.userId });
  page.eventReasons = user.events.nodes.map(({ reason }) => reason);
  page.status = user.userStatus.status;
};

/** Resolves promises when a report of a page satisfies their condition. */
class ReportWaiters {
  #waiters: {
    readonly condition: (report: PageReport) => boolean;
    readonly resolve: (report: PageReport) => void;
  }[] = [];

  /** Resolves to the first report from now on that satisfies the condition. */
  waitFor(condition: (report: PageReport) => boolean): Promise<PageReport> {
    return new Promise((resolve) => this.#waiters.push({ condition, resolve }));
  }

  notify(report: PageReport): void {
    this.#waiters = this.#waiters.filter(({ condition, resolve }) => {
      if (!condition(report)) return true;
      resolve(report);
      return false;
    });
  }
}
