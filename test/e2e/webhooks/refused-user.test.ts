/** A receiver that refuses the events of one user: all other users' events arrive, also over a crash. */
import { expect, test } from 'vitest';
import { readLog } from '../../support/crash/log-checks.ts';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { GraphqlSocket } from '../../support/porchlight-client.ts';
import { LOCAL_RECEIVERS, ReceiverProcess, type ReceivedRequest } from '../../support/webhooks/receiver-process.ts';
import { eventsIn, expectDeliveredLog } from '../../support/webhooks/webhook-log.ts';
import { logIn, logOut } from '../support/users.ts';
import { createReceivedWebhook, fetchDeliveries, updateWebhook } from './webhook-calls.ts';

const USERS = 80;
const REFUSED = 'user-7';
const SET = 'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }';

test('delivers the events of 79 users while those of one are refused, and those in order afterwards', async () => {
  await using harness = createRestartHarness({ ...LOCAL_RECEIVERS, PORCHLIGHT_MULTI_DEVICE: 'multi' });
  await using receiver = await ReceiverProcess.start();
  let server = await harness.start();
  const { id } = await createReceivedWebhook(server, receiver, '/');
  await receiver.setRules({ userId: REFUSED, behaviour: { kind: 'answer', status: 500 } });

  const userIds = Array.from({ length: USERS }, (_, index) => `user-${index}`);
  const devices = await Promise.all(userIds.map((userId) => logIn(server, userId)));
  for (const text of ['first', 'second']) {
    await Promise.all(
      devices.map(async ({ token }) => {
        const socket = await GraphqlSocket.open(server, token);
        await socket.executeForData(SET, { text });
        await socket.close();
      }),
    );
  }
  const acceptedEvents = (requests: readonly ReceivedRequest[]) =>
    requests.filter(({ status }) => status === 200).flatMap((request) => eventsIn(request));
  const hasAccepted =
    (count: number, isWanted: (userId: string) => boolean) => (requests: readonly ReceivedRequest[]) =>
      new Set(
        acceptedEvents(requests)
          .filter(({ userId }) => isWanted(userId))
          .map(({ cursor }) => cursor),
      ).size >= count;
  const isOther = (userId: string): boolean => userId !== REFUSED;
  const wanted = (await readLog(server)).filter(({ userId }) => isOther(userId)).length;
  await receiver.waitForRequests('/', hasAccepted(wanted, isOther));
  const [waiting, ...more] = await fetchDeliveries(server, id, 'RETRYING');
  expect(more).toEqual([]);
  expect(new Set(waiting?.events.map(({ userId }) => userId))).toEqual(new Set([REFUSED]));

  const killedFrom = Date.now();
  await server.sigkill();
  const kill = { from: killedFrom, to: Date.now() };
  server = await harness.start();
  await Promise.all(devices.map((device) => logOut(server, device)));
  const wantedNow = (await readLog(server)).filter(({ userId }) => isOther(userId)).length;
  expect(wantedNow).toBeGreaterThan(wanted);
  await receiver.waitForRequests('/', hasAccepted(wantedNow, isOther));

  await receiver.setRules();
  // A changed webhook is tried at once, without waiting for the backoff.
  await updateWebhook(server, { id, url: receiver.url('/?again') });
  const log = await readLog(server);
  const requests = await receiver.waitForRequests(
    '/',
    hasAccepted(log.length, () => true),
  );
  expectDeliveredLog(requests, log, [kill]);
  const ofRefused = (events: readonly { readonly userId: string; readonly cursor: string }[]) =>
    events.filter(({ userId }) => userId === REFUSED).map(({ cursor }) => cursor);
  expect(ofRefused(acceptedEvents(requests))).toEqual(ofRefused(log));
}, 120_000);
