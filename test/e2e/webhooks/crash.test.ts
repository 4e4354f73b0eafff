/** Killed receivers and servers: every event is delivered, and no event is lost. */
import { expect, test } from 'vitest';
import { runLoad, createRandom } from '../../support/crash/simulated-load.ts';
import { replayLog, readLog } from '../../support/crash/log-checks.ts';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { delay } from '../../support/crash/event-stream.ts';
import { CrashWitness } from '../../support/crash/crash-witness.ts';
import { LOCAL_RECEIVERS, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { eventsIn, expectDeliveredLog, hasReceivedEvents, type Kill } from '../../support/webhooks/webhook-log.ts';
import { logIn, logOut } from '../support/users.ts';
import { createReceivedWebhook } from './webhook-calls.ts';

const ROUNDS = 3;
/** CRASH_SEED repeats a failed run as far as that is possible. */
const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));

test(
  `delivers all events in order when receiver and server are killed under load (seed ${seed})`,
  { timeout: 120_000 },
  async () => {
    const random = createRandom(seed);
    const witness = new CrashWitness();
    const userIds = Array.from({ length: 12 }, (_, index) => `user ${index}`);
    await using restartHarness = createRestartHarness({ ...LOCAL_RECEIVERS, PORCHLIGHT_MULTI_DEVICE: 'dual' });
    await using healthyReceiver = await ReceiverProcess.start();
    await using killedReceiver = await ReceiverProcess.start();
    let server = await restartHarness.start();
    await createReceivedWebhook(server, healthyReceiver, '/all');
    await createReceivedWebhook(server, healthyReceiver, '/slow');
    await createReceivedWebhook(server, killedReceiver, '/');
    // Slow enough that each kill hits requests that were recorded but not answered.
    await healthyReceiver.setRules({
      path: '/slow',
      behaviour: { kind: 'drip', status: 200, beforeHeadMs: 30, bytes: 1, betweenBytesMs: 1 },
    });
    const kills: Kill[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      let over = false;
      const playing = runLoad({ server, witness, random, isServerGone: () => over }, userIds);
      await witness.waitForAnswers(witness.answerCount + 60 + Math.floor(random() * 200));
      const receiverKilledAt = Date.now();
      await killedReceiver.kill();
      kills.push({ from: receiverKilledAt, to: Date.now() });
      await witness.waitForAnswers(witness.answerCount + 60 + Math.floor(random() * 200));
      // Only briefly: after a long outage, the backoff delays the next attempt as long.
      await killedReceiver.restart();
      await witness.waitForAnswers(witness.answerCount + 60 + Math.floor(random() * 200));
      await delay(random() * 50);
      over = true;
      const serverKilledAt = Date.now();
      await server.sigkill();
      await playing;
      expect(witness.failures).toEqual([]);
      // Requests sent before the kill may be read until then.
      kills.push({ from: serverKilledAt, to: Date.now() });
      server = await restartHarness.start();
    }
    const log = await readLog(server);
    replayLog(log);
    expect(log.length).toBeGreaterThan(200);
    expectDeliveredLog(
      await healthyReceiver.waitForRequests('/all', hasReceivedEvents(log.length), 60_000),
      log,
      kills,
    );
    expectDeliveredLog(await killedReceiver.waitForRequests('/', hasReceivedEvents(log.length), 60_000), log, kills);
    const slow = await healthyReceiver.waitForRequests('/slow', hasReceivedEvents(log.length), 60_000);
    // Slow responses have status 200 as healthyReceiver.
    expectDeliveredLog(
      slow.map((request) => ({ ...request, behaviour: 'answer' })),
      log,
      kills,
    );
    const repeats = slow.flatMap((request) => eventsIn(request)).length - log.length;
    expect(repeats, 'at least one kill hits a delivery in progress').toBeGreaterThan(0);
    for (const { signedBy } of [...healthyReceiver.requests(), ...killedReceiver.requests()])
      expect(signedBy).toEqual(['now']);
  },
);

test('exits on SIGTERM despite a hanging receiver and sends the events again after the restart', async () => {
  await using restartHarness = createRestartHarness({ ...LOCAL_RECEIVERS, PORCHLIGHT_WEBHOOK_TIMEOUT: '60s' });
  await using receiver = await ReceiverProcess.start();
  const before = await restartHarness.start();
  await createReceivedWebhook(before, receiver, '/');
  await receiver.setRules({ behaviour: { kind: 'hang' } });
  const device = await logIn(before, 'alice');
  await receiver.waitForRequests('/', ({ length }) => length === 1);
  await logOut(before, device);
  // The shutdown limit is shorter than the request timeout.
  expect(await before.stop()).toEqual({ code: 0, signal: null });
  await receiver.setRules();
  const after = await restartHarness.start();
  const requests = await receiver.waitForRequests('/', hasReceivedEvents(2));
  expectDeliveredLog(requests, await readLog(after));
  const [hung, again] = requests;
  expect([hung?.behaviour, again?.behaviour]).toEqual(['hang', 'answer']);
});

test('keeps the id of a failed delivery after a crash', async () => {
  await using restartHarness = createRestartHarness(LOCAL_RECEIVERS);
  await using receiver = await ReceiverProcess.start();
  const before = await restartHarness.start();
  await createReceivedWebhook(before, receiver, '/');
  await receiver.setRules({ behaviour: { kind: 'answer', status: 500 } });
  await logIn(before, 'alice');
  await receiver.waitForRequests('/', ({ length }) => length >= 2);
  await logIn(before, 'alice', 'WEB');
  await before.sigkill();
  await receiver.setRules();
  const after = await restartHarness.start();
  const requests = await receiver.waitForRequests('/', hasReceivedEvents(3));
  expectDeliveredLog(requests, await readLog(after));
  const first = requests.filter(
    (request) => eventsIn(request)[0]?.cursor === eventsIn(requests[0] ?? request)[0]?.cursor,
  );
  expect(first.length).toBeGreaterThanOrEqual(3);
  expect(new Set(first.map(({ headers, body }) => `${String(headers['webhook-id'])} ${body}`)).size).toBe(1);
});
