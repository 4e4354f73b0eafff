/** Many events to three receivers, one of which hangs: the other two get all events in order. */
import { expect, test, vi } from 'vitest';
import { readLog } from '../../support/crash/log-checks.ts';
import { GraphqlSocket } from '../../support/porchlight-client.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { LOCAL_RECEIVERS, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { expectDeliveredLog, hasReceivedEvents } from '../../support/webhooks/webhook-log.ts';
import { logIn } from '../support/users.ts';
import { fetchDeliveries, updateWebhook, createReceivedWebhook } from './webhook-calls.ts';

/** PORCHLIGHT_WEBHOOK_EVENTS=50000 runs the long form. */
const EVENTS = Number(process.env.PORCHLIGHT_WEBHOOK_EVENTS ?? 3_000);
const USERS = 100;
const IN_TIME_MS = 30_000 + EVENTS * 4;

/** Rate limits are off, and the request timeout is short, so that the hanging receiver gets several requests. */
const QUICK = { PORCHLIGHT_RATE_PER_SESSION: '0', PORCHLIGHT_RATE_PER_USER: '0', PORCHLIGHT_WEBHOOK_TIMEOUT: '2s' };

const SET = 'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }';

test.for([
  ['hangs', { kind: 'hang' }],
  ['refuses', null],
] as const)(
  `${EVENTS} events to three receivers, one of which %s`,
  { timeout: IN_TIME_MS * 2 },
  async ([, behaviour]) => {
    await using server = await startPorchlight({
      env: { ...LOCAL_RECEIVERS, ...QUICK },
    });
    await using first = await ReceiverProcess.start();
    await using second = await ReceiverProcess.start();
    await using dead = await ReceiverProcess.start();
    const { id } = await createReceivedWebhook(server, dead, '/');
    await createReceivedWebhook(server, first, '/');
    await createReceivedWebhook(server, second, '/');
    if (behaviour === null) await dead.kill();
    else await dead.setRules({ behaviour });

    const devices = await Promise.all(Array.from({ length: USERS }, (_, index) => logIn(server, `user-${index}`)));
    const writers = await Promise.all(devices.map(({ token }) => GraphqlSocket.open(server, token)));
    let left = EVENTS - USERS;
    const began = performance.now();
    await Promise.all(
      writers.map(async (writer) => {
        while (left-- > 0) await writer.executeForData(SET, { text: `text ${left}` });
      }),
    );
    const written = performance.now();
    const received = await Promise.all(
      [first, second].map((receiver) => receiver.waitForRequests('/', hasReceivedEvents(EVENTS), IN_TIME_MS)),
    );
    const done = performance.now();
    const log = await readLog(server);
    expect(log.length).toBe(EVENTS);
    for (const requests of received) {
      expectDeliveredLog(requests, log);
      expect(new Set(requests.flatMap(({ signedBy }) => signedBy))).toEqual(new Set(['now']));
    }
    // The events for the hanging receiver are pending.
    expect(dead.requests().filter(({ status }) => status === 200)).toEqual([]);
    await vi.waitFor(async () => expect(await fetchDeliveries(server, id, 'RETRYING')).not.toEqual([]), IN_TIME_MS);
    console.log(
      `${EVENTS} events written in ${(written - began).toFixed(0)} ms, received ${(done - written).toFixed(0)} ms later, ` +
        `in ${received.map(({ length }) => length).join(' and ')} requests`,
    );
    // The old path hangs in both cases, so that no retry before the update is delivered there.
    await dead.setRules({ path: '/', behaviour: { kind: 'hang' } });
    if (behaviour === null) await dead.restart();
    // With another URL the deliveries are attempted at once, without waiting for the backoff.
    await updateWebhook(server, { id, url: dead.url('/back') });
    await dead.waitForRequests('/back', hasReceivedEvents(EVENTS), IN_TIME_MS);
    expectDeliveredLog(dead.requests(), log);
    for (const writer of writers) await writer.close();
  },
);
