/** Webhooks while the disk is full, and after restarts with another clock. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { wallClockOffset, createJumpingClock, mintTokenInDays } from '../../support/crash/fake-clock.ts';
import { readLog } from '../../support/crash/log-checks.ts';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { DiskFaults } from '../../support/faults/disk-faults.ts';
import { postForData } from '../../support/porchlight-client.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { LOCAL_RECEIVERS, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { expectDeliveredLog, hasReceivedEvents } from '../../support/webhooks/webhook-log.ts';
import { logIn, LOGIN } from '../support/users.ts';
import { waitForDeliveries, createReceivedWebhook } from './webhook-calls.ts';
import { isMissing } from '../../support/optional-tools.ts';

const LACKS_FAKETIME = isMissing('faketime', 'webhooks under a wall clock that is set');

test('saves deliveries that succeed while the disk is full when there is space again, and sends nothing twice', async () => {
  using disk = new DiskFaults();
  await using server = await startPorchlight({ env: { ...LOCAL_RECEIVERS, ...disk.env } });
  await using receiver = await ReceiverProcess.start();
  const { id } = await createReceivedWebhook(server, receiver, '/');
  await receiver.setRules({
    times: 1,
    behaviour: { kind: 'drip', status: 200, beforeHeadMs: 500, bytes: 1, betweenBytesMs: 1 },
  });
  await logIn(server, 'alice');
  await receiver.waitForRequests('/', ({ length }) => length === 1);
  disk.fill();
  await expect.poll(() => server.output(), { timeout: 20_000 }).toContain('Writing to the disk failed');
  disk.repair();
  await waitForDeliveries(server, id, [{ status: 'DELIVERED', attempts: 1 }]);
  await retryUntilPasses(() => logIn(server, 'alice', 'WEB'), 20_000);
  const requests = await receiver.waitForRequests('/', hasReceivedEvents(3));
  // The slow response was complete all the same.
  expectDeliveredLog(
    requests.map((request) => ({ ...request, behaviour: 'answer' })),
    await readLog(server),
  );
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

test.skipIf(LACKS_FAKETIME).for([
  ['a day back', -1],
  ['five days on, when it should have been given up', 5],
] as const)('retries failed deliveries soon after a restart %s', async ([, days]) => {
  await using place = createRestartHarness(LOCAL_RECEIVERS);
  await using receiver = await ReceiverProcess.start();
  const before = await place.start();
  const failing = await createReceivedWebhook(before, receiver, '/failing');
  const hanging = await createReceivedWebhook(before, receiver, '/hanging');
  await receiver.setRules(
    { path: '/failing', behaviour: { kind: 'answer', status: 500 } },
    { path: '/hanging', behaviour: { kind: 'hang' } },
  );
  await logIn(before, 'alice');
  // One is saved as a delivery, the other is read from the log again.
  await waitForDeliveries(before, failing.id, [{ status: 'RETRYING' }]);
  await receiver.waitForRequests('/hanging', hasReceivedEvents(1));
  expect(await before.stop()).toEqual({ code: 0, signal: null });
  await receiver.setRules();
  const after = await place.start(wallClockOffset(days));
  for (const { id } of [failing, hanging]) await waitForDeliveries(after, id, [{ status: 'DELIVERED' }]);
  for (const path of ['/failing', '/hanging']) expectDeliveredLog(receiver.requests(path), await readLog(after));
});

test.skipIf(LACKS_FAKETIME)('signs with the wall clock when the clock is corrected while the server runs', async () => {
  await using place = createRestartHarness(LOCAL_RECEIVERS);
  await using receiver = await ReceiverProcess.start();
  const clock = createJumpingClock(join(place.directory, 'clock'));
  clock.jumpTo(-1);
  const server = await place.start(clock.env);
  await createReceivedWebhook(server, receiver, '/');
  clock.jumpTo(0);
  // The clock of the store is not corrected.
  await postForData(server, await mintTokenInDays(-1, 'alice'), LOGIN, { input: { platform: 'WEB' } });
  const [request] = await receiver.waitForRequests('/', hasReceivedEvents(1));
  expect(request?.signedBy).toEqual(['now']);
});
