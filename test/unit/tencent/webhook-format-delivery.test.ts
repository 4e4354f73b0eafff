/** Deliveries in the format TENCENT to a receiver that checks all parameters, as real ones do. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { addMs, toMillis } from '../../../src/core/ids.ts';
import { createTencentFormat } from '../../../src/tencent/webhook-format.ts';
import { createSender, HttpReceiver } from '../webhooks/support/http-receivers.ts';
import { createTestDelivery, createTestEvent, createTestWebhook } from '../webhooks/support/webhooks.ts';
import type { CallbackBody } from './callbacks.ts';

const TOKEN = 'xxxxyyyy';
const NOW = toMillis(1_669_872_112_000);
const NEVER = new AbortController().signal;

const FORMATS = {
  TENCENT: createTencentFormat({
    appId: 1_400_000_001,
    admin: 'administrator',
    platformNames: 'DOCUMENTED',
    webTimeout: 'LinkClose',
  }),
};

/** @param now in ms. @returns the parameter that is wrong; null: the request is valid. */
const findMistake = (url: URL, { CallbackCommand }: CallbackBody, now: number): string | null => {
  const get = (name: string) => url.searchParams.get(name);
  const time = get('RequestTime') ?? '';
  if (get('Sign') !== createHash('sha256').update(`${TOKEN}${time}`).digest('hex')) return 'sign';
  if (Math.abs(now / 1_000 - Number(time)) >= 60) return 'expired';
  if (get('SdkAppid') !== '1400000001') return 'app id';
  return get('CallbackCommand') === CallbackCommand ? null : 'command';
};

/** @param respond returns the status for a request, from the number of requests before it. Each takes `takesMs`. */
const startStrictReceiver = async (respond: (before: number) => number = () => 200, takesMs = 0) => {
  let now = NOW;
  const accepted: CallbackBody[] = [];
  const receiver = await HttpReceiver.startHttp((response, { request, body }) => {
    const callback = JSON.parse(body) as CallbackBody;
    const wrong = findMistake(new URL(request.url ?? '', receiver.url), callback, now);
    const status = wrong === null ? respond(receiver.requests.length - 1) : 403;
    now = addMs(now, takesMs);
    if (status === 200) accepted.push(callback);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ ActionStatus: wrong === null ? 'OK' : 'FAIL', ErrorCode: 0, ErrorInfo: wrong ?? '' }),
    );
  });
  const sender = createSender({ formats: FORMATS, wallClockNow: () => now });
  const webhook = createTestWebhook({ url: `${receiver.url}im?env=test`, format: 'TENCENT', secret: TOKEN });
  return {
    accepted,
    attempt: (delivery: Parameters<typeof createTestDelivery>[0]) =>
      sender.attemptDelivery(webhook, createTestDelivery(delivery), NEVER),
  };
};

const EVENTS = [1, 2, 3, 4].map(createTestEvent);
const accounts = (accepted: readonly CallbackBody[]) => accepted.map(({ Info }) => Info.To_Account);

describe('a strict receiver', () => {
  it('accepts a delivery with one request after another', async () => {
    const { attempt, accepted } = await startStrictReceiver();
    expect(await attempt({ events: EVENTS })).toEqual({
      status: 200,
      error: null,
      deliveredEventCount: 4,
      retryAfterMs: null,
    });
    expect(accounts(accepted)).toEqual(['user 1', 'user 2', 'user 3', 'user 4']);
  });

  it('gets a fresh signature in each request, however slow it is', async () => {
    const { attempt, accepted } = await startStrictReceiver(() => 200, 50_000);
    expect(await attempt({ events: EVENTS })).toMatchObject({ error: null, deliveredEventCount: 4 });
    expect(accepted).toHaveLength(4);
  });

  it('gets only the remaining events after a failure in the middle', async () => {
    const { attempt, accepted } = await startStrictReceiver((before) => (before === 2 ? 500 : 200));
    const { deliveredEventCount, status } = await attempt({ events: EVENTS });
    expect([deliveredEventCount, status]).toEqual([2, 500]);
    expect(await attempt({ events: EVENTS.slice(deliveredEventCount) })).toMatchObject({
      error: null,
      deliveredEventCount: 2,
    });
    expect(accounts(accepted)).toEqual(['user 1', 'user 2', 'user 3', 'user 4']);
  });

  it('accepts a test', async () => {
    const { attempt, accepted } = await startStrictReceiver();
    expect(await attempt({ events: [], isTest: true })).toMatchObject({ status: 200, error: null });
    expect(accounts(accepted)).toEqual(['administrator']);
  });
});

it('events without a callback are delivered without a request', async () => {
  const { attempt, accepted } = await startStrictReceiver();
  expect(await attempt({ events: [{ ...createTestEvent(1), reason: 'PUSH_EXPIRED' }] })).toEqual({
    status: null,
    error: null,
    deliveredEventCount: 1,
    retryAfterMs: null,
  });
  expect(accepted).toEqual([]);
});
