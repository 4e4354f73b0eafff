/** Clients that request large answers or subscriptions and read nothing: the memory that the server keeps for them is bounded. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { GraphqlSocket } from '../../support/porchlight-client.ts';
import { readRssMiB, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { SlowSocket } from '../../support/faults/slow-reader.ts';
import { stopCleanly, logIn, repeatedAliases, newUserId, SET_CUSTOM_STATUS, type Device } from '../support/users.ts';

const MIB = 1024 * 1024;
const OPERATIONS = 150;
const IDS = 30;
const ALIASES = 25;
const LONG_TEXT = '\u{1F600}'.repeat(240);
const ANSWER_BYTES = IDS * ALIASES * LONG_TEXT.length * 2;
const LARGE_SELECTION = repeatedAliases(ALIASES);

const QUERY = `query ($userIds: [ID!]!) { userStatuses(userIds: $userIds) { userId ${LARGE_SELECTION} } }`;
const WATCH = `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { userId ${LARGE_SELECTION} } }`;

let server: PorchlightProcess;
let devices: readonly Device[];

beforeAll(async () => {
  server = await startPorchlight();
  devices = await Promise.all(Array.from({ length: IDS }, () => logIn(server, newUserId(), 'IPHONE')));
  for (const { token } of devices) {
    const socket = await GraphqlSocket.open(server, token);
    await socket.executeForData(SET_CUSTOM_STATUS, {
      text: LONG_TEXT,
    });
    await socket.close();
  }
});

afterAll(async () => {
  await stopCleanly(server);
});

test.each([
  ['queries', QUERY],
  ['subscriptions', WATCH],
])(
  '%s sent at once by clients that read no answers cost bounded memory and are answered later',
  async (_what, query) => {
    const userIds = devices.map(({ userId }) => userId);
    const beforeMiB = readRssMiB(server);
    const sockets = await Promise.all([1, 2, 3].map(() => SlowSocket.open(server, server.apiKey)));
    for (const socket of sockets) {
      onTestFinished(() => socket.reset());
      socket.setPace('nothing');
      for (let times = 0; times < OPERATIONS; times++) socket.subscribe(query, { userIds });
      // The ping keeps the socket active. The server must not close it for unread data.
      socket.ping();
    }
    let peakMiB = 0;
    // Another client's queries are answered. After 20 of them the server has done all work for the unread ones.
    const other = await GraphqlSocket.open(server, server.apiKey);
    for (let count = 0; count < 20; count++) {
      await other.executeForData(QUERY, { userIds });
      peakMiB = Math.max(peakMiB, readRssMiB(server));
    }
    await other.close();
    // The server keeps a few answers per socket, plus garbage, not all answers.
    expect((sockets.length * OPERATIONS * ANSWER_BYTES) / MIB).toBeGreaterThan(300);
    expect(peakMiB - beforeMiB).toBeLessThan(120);

    // A client that reads later gets all answers.
    const [socket, ...others] = sockets as [SlowSocket, ...SlowSocket[]];
    for (const unread of others) unread.reset();
    socket.setPace('all');
    const answered = () => new Set(socket.messages.all.filter(({ type }) => type === 'next').map(({ id }) => id)).size;
    await expect.poll(answered, { timeout: 20_000 }).toBe(OPERATIONS);
    expect(socket.messages.all.filter(({ type }) => type === 'error' || type.startsWith('close'))).toEqual([]);
  },
);
