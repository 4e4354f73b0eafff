/** The example docs/examples/web.mjs, run in Node. test/e2e/presence/hidden-pages.test.ts runs it in a browser. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Client } from 'graphql-ws';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { MessageQueue } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { fetchEvents, fetchUser, logIn, newUserId, startSharedServer, updatePolicy } from '../support/users.ts';

/** The part of the document that the example uses. */
class FakeDocument extends EventTarget {
  hidden = false;

  setHidden(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event('visibilitychange'));
  }
}

const sentMessages: string[] = [];
class RecordingWebSocket extends WebSocket {
  override send(message: string): void {
    sentMessages.push(message);
    super.send(message);
  }
}

interface PresenceOptions {
  readonly url: string;
  readonly getJwt: () => Promise<string>;
  readonly deviceId: string;
  readonly onSessionEnd: (reason: string) => void;
  readonly onError: (error: unknown) => void;
}

interface Presence {
  readonly client: Client;
  readonly stop: () => Promise<void>;
}

const server = startSharedServer();
const page = new FakeDocument();
let startPresence: (options: PresenceOptions) => Presence;

beforeAll(async () => {
  Object.assign(globalThis, { document: page, WebSocket: RecordingWebSocket });
  const path = new URL('../../../docs/examples/web.mjs', import.meta.url).href;
  ({ startPresence } = (await import(path)) as { startPresence: typeof startPresence });
});

/** Starts the example, which is stopped after the test. `ends` has the reasons that it reports. */
const startPage = (userId: string) => {
  const ends = new MessageQueue<string>();
  const errors: unknown[] = [];
  const presence = startPresence({
    url: `${server.origin.replace(/^http/, 'ws')}/graphql`,
    getJwt: () => mintToken(userId),
    deviceId: 'browser',
    onSessionEnd: (reason) => ends.push(reason),
    onError: (error) => errors.push(error),
  });
  onTestFinished(() => presence.stop());
  return { ...presence, ends, errors };
};

const fetchReasons = async (userId: string): Promise<readonly string[]> =>
  (await fetchEvents(server, userId)).map(({ platform, reason }) => `${platform} ${reason}`);

/** Waits until the first events of the user are these. */
const waitForReasons = (userId: string, reasons: readonly string[]): Promise<void> =>
  retryUntilPasses(async () => expect((await fetchReasons(userId)).slice(0, reasons.length)).toEqual(reasons), 15_000);

test('the example page logs in, reports its app state, and ends its session when it stops', async () => {
  const userId = newUserId();
  const { stop, errors } = startPage(userId);
  await waitForReasons(userId, ['WEB LOGIN']);
  const waitForAppState = (appState: string): Promise<void> =>
    retryUntilPasses(
      async () => expect((await fetchUser(server, userId)).sessions).toMatchObject([{ appState, attached: true }]),
      15_000,
    );
  page.setHidden(true);
  await waitForAppState('BACKGROUND');
  page.setHidden(false);
  await waitForAppState('FOREGROUND');
  await stop();
  await waitForReasons(userId, ['WEB LOGIN', 'WEB DISCONNECT']);
  expect(errors).toEqual([]);
});

test('the example page reports a kick, and does not log in again when it becomes visible or subscribes', async () => {
  const userId = newUserId();
  const { client, ends } = startPage(userId);
  await waitForReasons(userId, ['WEB LOGIN']);
  await logIn(server, userId, 'ANDROID');
  expect(await ends.next()).toBe('KICKED');
  let connections = 0;
  client.on('connecting', () => connections++);
  page.setHidden(true);
  page.setHidden(false);
  await nextTurn();
  expect(connections).toBe(0);

  sentMessages.length = 0;
  const statuses = client.iterate({ query: `subscription { statusChanges(userIds: ["${userId}"]) { status } }` });
  expect(await statuses.next()).toMatchObject({ value: { data: { statusChanges: [{ status: 'ONLINE' }] } } });
  await statuses.return?.();
  expect(connections).toBe(1);
  expect(sentMessages.filter((message) => message.includes('login('))).toEqual([]);
  expect(await fetchReasons(userId)).toEqual(['WEB LOGIN', 'ANDROID LOGIN', 'WEB KICKED']);
});

test('the example page logs in again after its session timed out', async () => {
  await updatePolicy(server, { platforms: [{ platform: 'WEB', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_000 }] });
  const userId = newUserId();
  const { ends } = startPage(userId);
  await waitForReasons(userId, ['WEB LOGIN', 'WEB HEARTBEAT_TIMEOUT', 'WEB LOGIN']);
  expect(ends.all).toEqual([]);
});
