/** Clients who ask for very much, or watch very much, and read nothing of it: what the server keeps for them is bounded. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Socket } from '../../support/porchlight-client.ts';
import { rssOf, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { SlowSocket } from '../../support/faults/slow-reader.ts';
import { endWell, logIn, manyNames, newUser, SET_CUSTOM_STATUS, type Device } from '../support/users.ts';

const MIB = 1024 * 1024;
const TIMES = 150;
const IDS = 30;
const ALIASES = 25;
const LONG = '\u{1F600}'.repeat(240);
const ANSWER_BYTES = IDS * ALIASES * LONG.length * 2;
const FAT = manyNames(ALIASES);

const QUERY = `query ($userIds: [ID!]!) { userStatuses(userIds: $userIds) { userId ${FAT} } }`;
const WATCH = `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { userId ${FAT} } }`;

let server: PorchlightProcess;
let people: readonly Device[];

beforeAll(async () => {
  server = await startPorchlight();
  people = await Promise.all(Array.from({ length: IDS }, () => logIn(server, newUser(), 'IPHONE')));
  for (const { token } of people) {
    const socket = await Socket.open(server, token);
    await socket.ask(SET_CUSTOM_STATUS, {
      text: LONG,
    });
    await socket.close();
  }
});

afterAll(async () => {
  await endWell(server);
});

test.each([
  ['queries', QUERY],
  ['subscriptions', WATCH],
])('%s sent all at once, and no answer read', async (_what, query) => {
  const userIds = people.map(({ userId }) => userId);
  const before = rssOf(server);
  const sockets = await Promise.all([1, 2, 3].map(() => SlowSocket.open(server, server.apiKey)));
  for (const socket of sockets) {
    onTestFinished(() => socket.leave());
    socket.reads('nothing');
    for (let times = 0; times < TIMES; times++) socket.subscribe(query, { userIds });
    // It is still heard: a client who had left too much unread would be sent away for it.
    socket.ping();
  }
  let peak = 0;
  // Others are answered, and when they have been for a while, all that goes on without a reader has gone on.
  const other = await Socket.open(server, server.apiKey);
  for (let looks = 0; looks < 20; looks++) {
    await other.ask(QUERY, { userIds });
    peak = Math.max(peak, rssOf(server));
  }
  await other.close();
  // A few answers for each of them, and garbage; not all of them.
  expect((sockets.length * TIMES * ANSWER_BYTES) / MIB).toBeGreaterThan(300);
  expect(peak - before).toBeLessThan(120);

  // Nothing was taken from those who read after all.
  const [socket, ...others] = sockets as [SlowSocket, ...SlowSocket[]];
  for (const gone of others) gone.leave();
  socket.reads('all');
  const answered = () => new Set(socket.messages.all.filter(({ type }) => type === 'next').map(({ id }) => id)).size;
  await expect.poll(answered, { timeout: 20_000 }).toBe(TIMES);
  expect(socket.messages.all.filter(({ type }) => type === 'error' || type.startsWith('close'))).toEqual([]);
});
