/** The GraphiQL page in Chromium, against the compiled server. Screenshots are in reports/graphiql/. */
import { fileURLToPath } from 'node:url';
import type { WebSocket } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChromiumSession, launchChromium } from '../../support/chromium.ts';
import { GraphiqlPage } from '../../support/graphiql-page.ts';
import { mintToken, type PorchlightProcess, startPorchlight } from '../../support/porchlight-process.ts';
import { fetchLatestCursor } from '../support/users.ts';
import { isMissing } from '../../support/optional-tools.ts';

const SCREENSHOTS = fileURLToPath(new URL('../../../reports/graphiql/', import.meta.url));

const LACKS_CHROMIUM = isMissing('chromium', 'the GraphiQL page in a browser');

let server: PorchlightProcess;
let browser: ChromiumSession;

beforeAll(async () => {
  if (LACKS_CHROMIUM) return;
  server = await startPorchlight();
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

// Each page loads 5 MB of script, and one test opens four pages.
describe.skipIf(LACKS_CHROMIUM)('GraphiQL in Chromium', { timeout: 90_000 }, () => {
  it('opens with example operations in its tabs, and asks for a token before it sends anything', async () => {
    const { page, on } = await openPage();
    expect(await on.readTabTitles()).toEqual(['LogIn', 'Heartbeat', 'WatchTwoUsers', 'FollowEvents', 'QueryStatuses']);
    expect(await on.readHeaders()).toContain('npx porchlight token --user alice');
    await on.pressExecuteButton();
    await on.waitForResponseText('Nothing was sent');
    await page.screenshot({ path: `${SCREENSHOTS}1-first-visit.png` });
    await page.close();
  });

  it('says which token the docs need, works without the docs, and shows them when the token is set', async () => {
    const { page, on } = await openPage();
    const refused = page.waitForResponse(
      (response) => response.request().postData()?.includes('IntrospectionQuery') === true,
    );
    await on.setHeaders({ authorization: await mintBearerToken('carol') });
    expect((await refused).status()).toBe(403);
    await logIn({ page, on });
    await on.waitForResponseText('"userId": "carol"', '"ONLINE"');
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    const note = page.locator('.graphiql-plugin:has(.graphiql-spinner)');
    expect(await note.evaluate((element) => getComputedStyle(element, '::after').content)).toContain('an API key');
    // The docs leave too little room to click into the editor.
    await page.getByRole('button', { name: 'Hide Documentation Explorer' }).click();
    await on.setHeaders({ authorization: `Bearer ${server.apiKey}` });
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    await page.getByText('Root Types').waitFor();
    await page.getByRole('link', { name: 'Mutation', exact: true }).click();
    await page.getByRole('link', { name: 'heartbeat', exact: true }).waitFor();
    await page.screenshot({ path: `${SCREENSHOTS}2-docs.png` });
    await page.close();
  });

  it('shows a login in a watching page, a kick in the event log, and the end of the kicked session', async () => {
    const alice = await openPage();
    const watcher = await openPage();
    const feed = await openPage();
    const elsewhere = await openPage();

    await watcher.on.selectTab('WatchTwoUsers');
    await watcher.on.setHeaders({ authorization: await mintBearerToken('bob') });
    await watcher.on.pressExecuteButton();
    await watcher.on.waitForResponseText('"received": 1', '"alice"', '"bob"', '"OFFLINE"');

    await feed.on.selectTab('FollowEvents');
    await feed.on.setHeaders({ authorization: `Bearer ${server.apiKey}` });
    await feed.on.setVariables({ after: await fetchLatestCursor(server) });
    await feed.on.pressExecuteButton();

    const aliceToken = await mintBearerToken('alice');
    await alice.on.setHeaders({ authorization: aliceToken });
    const phone = await logIn(alice);
    await alice.on.waitForResponseText('"userId": "alice"', '"ONLINE"');
    await alice.page.screenshot({ path: `${SCREENSHOTS}3-logged-in.png` });

    await watcher.on.waitForResponseText('"received": 2', '"status": "ONLINE"', '"reason": "LOGIN"');
    await watcher.page.screenshot({ path: `${SCREENSHOTS}4-change-arrived.png` });
    await feed.on.waitForResponseText('"reason": "LOGIN"', '"deviceId": "phone"');

    await alice.on.selectTab('Heartbeat');
    await alice.on.setHeaders({ authorization: `Bearer ${phone}` });
    await alice.on.pressExecuteButton();
    await alice.on.waitForResponseText('"heartbeatIntervalMs": 120000', '"appState": "FOREGROUND"');
    await alice.page.screenshot({ path: `${SCREENSHOTS}5-beat.png` });

    await elsewhere.on.setHeaders({ authorization: aliceToken });
    await elsewhere.on.setVariables({ input: { platform: 'WINDOWS', deviceId: 'desk' } });
    await logIn(elsewhere);
    await elsewhere.on.waitForResponseText('"kicked": [', '"deviceId": "phone"');
    await feed.on.waitForResponseText('"reason": "KICKED"', '"kickedBy": "WINDOWS"', '"deviceId": "desk"');
    await feed.page.screenshot({ path: `${SCREENSHOTS}6-kick-in-the-feed.png` });

    await alice.on.pressExecuteButton();
    await alice.on.waitForResponseText('SESSION_ENDED', 'KICKED');
    await alice.page.screenshot({ path: `${SCREENSHOTS}7-kicked.png` });
    for (const { page } of [alice, watcher, feed, elsewhere]) await page.close();
  });

  it('opens a socket with the headers of the tab for each subscription, and closes it when the subscription stops', async () => {
    const dave = await openPage();
    await dave.on.setHeaders({ authorization: await mintBearerToken('dave') });
    const session = `Bearer ${await logIn(dave)}`;

    await dave.on.selectTab('WatchTwoUsers');
    await dave.on.setHeaders({ Authorization: session });
    await dave.on.setVariables({ userIds: ['dave'] });
    const [socket, frames] = await startSubscription(dave);
    await dave.on.waitForResponseText('"received": 1', '"ONLINE"');
    expect(frames[0]).toEqual({ type: 'connection_init', payload: { authorization: session } });

    const closed = socket.waitForEvent('close');
    await dave.on.pressExecuteButton();
    await closed;
    // The socket was the only one of the session, so the session is disconnected.
    await dave.on.selectTab('QueryStatuses');
    await dave.on.setHeaders({ authorization: `Bearer ${server.apiKey}` });
    await dave.on.setVariables({ userIds: ['dave'] });
    await dave.on.pressExecuteButton();
    await dave.on.waitForResponseText('"PUSH_ONLINE"', '"reason": "DISCONNECT"');
    await dave.page.close();
  });

  it('shows the close code of a socket', async () => {
    const { page, on } = await openPage();
    await on.selectTab('WatchTwoUsers');
    await on.setHeaders({ authorization: 'Bearer forged' });
    await on.pressExecuteButton();
    await on.waitForResponseText('"socketClosed"', '"code": 44');
    await page.close();
  });

  it('keeps the queries over a reload, and stores no token', async () => {
    const { page, on } = await openPage();
    const token = await mintBearerToken('erin');
    await on.setHeaders({ authorization: token });
    await on.setVariables({ input: { platform: 'WEB' } });
    await page.waitForTimeout(1_000);
    const stored = await page.evaluate<string>('JSON.stringify([{ ...sessionStorage }, { ...localStorage }])');
    expect(stored).toContain('WEB');
    expect(stored).not.toContain(token.slice('Bearer '.length));
    await page.reload();
    await on.waitUntilReady();
    expect(await on.readVariables()).toContain('WEB');
    expect(await on.readHeaders()).toContain('<paste');
    await page.close();
  });

  it('sends no request to another host, and violates no rule of its Content-Security-Policy', () => {
    expect(browser.requestedUrls.length).toBeGreaterThan(50);
    expect(browser.requestedUrls.some((url) => url.startsWith('ws:'))).toBe(true);
    const foreign = browser.requestedUrls.filter(
      (url) => !/^(data|blob):/.test(url) && new URL(url).host !== new URL(server.origin).host,
    );
    expect(foreign).toEqual([]);
    // Failed resources are expected: operations that the server rejected.
    expect(browser.consoleErrors.filter((text) => !text.startsWith('Failed to load resource'))).toEqual([]);
  });
});

interface OpenedPage {
  readonly on: GraphiqlPage;
  readonly page: GraphiqlPage['page'];
}

const openPage = async (): Promise<OpenedPage> => {
  const on = await GraphiqlPage.open(browser.context, server.origin);
  return { on, page: on.page };
};

/** Runs the operation of the LogIn tab. @returns the session token, from the network, because the page wraps the text. */
const logIn = async ({ on, page }: OpenedPage): Promise<string> => {
  const answered = page.waitForResponse(
    (response) => response.request().postData()?.includes('mutation LogIn') === true,
  );
  await on.pressExecuteButton();
  const answer = (await (await answered).json()) as { data: { login: { sessionToken: string } } };
  return answer.data.login.sessionToken;
};

/** Starts the subscription of the tab. @returns its socket, and the messages that are sent over it. */
const startSubscription = async ({ on, page }: OpenedPage): Promise<[WebSocket, unknown[]]> => {
  const frames: unknown[] = [];
  const opened = page.waitForEvent('websocket').then((socket) => {
    socket.on('framesent', ({ payload }) => frames.push(JSON.parse(String(payload))));
    return socket;
  });
  await on.pressExecuteButton();
  return [await opened, frames];
};

const mintBearerToken = async (user: string): Promise<string> => `Bearer ${await mintToken(user)}`;
