/** Texts that an earlier version accepted leave the server with U+FFFD: in answers, streams, webhooks and exports. */
import Database from 'better-sqlite3';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { APP_ID, KEY } from '../../unit/tencent/user-sigs.ts';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { openStream } from '../../support/crash/event-stream.ts';
import { GraphqlSocket, postForData } from '../../support/porchlight-client.ts';
import { LOCAL_RECEIVERS, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { fetchLatestCursor, logIn } from '../support/users.ts';
import { createWebhook, waitForDeliveries } from '../webhooks/webhook-calls.ts';

const CLI = fileURLToPath(new URL('../../../dist/cli/cli.js', import.meta.url));
const ENV = {
  ...LOCAL_RECEIVERS,
  PORCHLIGHT_TENCENT: '1',
  PORCHLIGHT_TENCENT_APP_ID: String(APP_ID),
  PORCHLIGHT_TENCENT_KEY: KEY,
};

/** U+0000, a line break, NEL (C1), an escape character, and a lone surrogate as the three bytes of CESU-8. */
const STORED = `CAST(x'61000ac2851beda08062' AS TEXT)`;
/** SQLite returns each of the three bytes as U+FFFD. */
const READ = 'a\ufffd\n\ufffd\ufffd\ufffd\ufffd\ufffdb';
const STORED_IN_JSON = 'a\u0000\n\u0085\u001b\ud800b';
const READ_FROM_JSON = 'a\ufffd\n\ufffd\ufffd\ufffdb';

const TEXTS = 'customStatus reason deviceId';
const SET = 'mutation { setCustomStatus(input: { text: "to be replaced" }) { userStatus { version } } }';

/** Writes the texts as an earlier version or another program has written them. */
const storeTexts = (path: string): void => {
  const database = new Database(path);
  database.exec(`
    UPDATE users SET custom_status = ${STORED};
    UPDATE sessions SET app_version = ${STORED}, os_version = ${STORED};
    UPDATE events SET custom_status = ${STORED} WHERE reason = 'CUSTOM_STATUS'`);
  const replaced = database
    .prepare('UPDATE webhook_deliveries SET events = replace(events, ?, ?)')
    .run('"to be replaced"', JSON.stringify(STORED_IN_JSON));
  expect(replaced.changes).toBe(2);
  database.close();
};

test('a custom status with control characters and lone surrogates reads with U+FFFD wherever it leaves the server', async () => {
  await using harness = createRestartHarness(ENV);
  await using receiver = await ReceiverProcess.start();
  await receiver.setRules({ behaviour: { kind: 'answer', status: 500 } });
  const before = await harness.start();
  const after = await fetchLatestCursor(before);
  const device = await logIn(before, 'alice', 'IPHONE');
  const webhooks = await Promise.all(
    (['STANDARD', 'TENCENT'] as const).map((format) =>
      createWebhook(before, { url: receiver.url(`/${format}`), format, reasons: ['CUSTOM_STATUS'] }),
    ),
  );
  await postForData(before, device.token, SET);
  for (const { webhook } of webhooks) await waitForDeliveries(before, webhook.id, [{ status: 'RETRYING' }]);
  expect(await before.stop()).toEqual({ code: 0, signal: null });
  storeTexts(harness.database);
  await receiver.setRules();

  const server = await harness.start();
  const USER = '{ userStatus(userId: "alice") { customStatus sessions { appVersion osVersion } } }';
  expect(await postForData(server, server.apiKey, USER)).toEqual({
    userStatus: { customStatus: READ, sessions: [{ appVersion: READ, osVersion: READ }] },
  });
  expect(await postForData(server, device.token, '{ me { appVersion osVersion } }')).toEqual({
    me: { appVersion: READ, osVersion: READ },
  });
  const expected = [
    { customStatus: null, reason: 'LOGIN', deviceId: device.deviceId },
    { customStatus: READ, reason: 'CUSTOM_STATUS', deviceId: device.deviceId },
  ];
  const EVENTS = `query ($after: Cursor) { events(after: $after) { nodes { ${TEXTS} } } }`;
  expect(await postForData(server, server.apiKey, EVENTS, { after })).toEqual({ events: { nodes: expected } });
  const FEED = `subscription ($after: Cursor) { presenceEvents(after: $after) { ${TEXTS} } }`;
  const WATCH = 'subscription { statusChanges(userIds: ["alice"]) { customStatus } }';
  const stream = openStream(server, server.apiKey, FEED, { after });
  expect(await stream.inbox.next()).toEqual({ data: { presenceEvents: expected } });
  stream.disconnect();
  const watching = openStream(server, server.apiKey, WATCH);
  expect(await watching.inbox.next()).toEqual({ data: { statusChanges: [{ customStatus: READ }] } });
  watching.disconnect();
  const socket = await GraphqlSocket.open(server, server.apiKey);
  expect(await socket.executeForData(USER)).toMatchObject({ userStatus: { customStatus: READ } });
  expect(await socket.executeForData(EVENTS, { after })).toEqual({ events: { nodes: expected } });

  for (const { webhook } of webhooks) await waitForDeliveries(server, webhook.id, [{ status: 'DELIVERED' }]);
  const bodyOf = (path: string): unknown => JSON.parse(receiver.requests(path).at(-1)?.body ?? 'null');
  expect(bodyOf('/STANDARD')).toMatchObject({ data: { events: [{ customStatus: READ_FROM_JSON }] } });
  expect(bodyOf('/TENCENT')).toMatchObject({ Info: { CustomStatus: READ_FROM_JSON } });

  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'export', '--database', harness.database]);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject(
    expected.map(({ customStatus, reason }) => ({ customStatus, reason })),
  );
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});
