/** Tencent IM's callbacks for every event of a device, as a receiver gets them. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { EVENT_REASONS } from '../../../src/core/enums.ts';
import type { CallbackBody } from '../../unit/tencent/callbacks.ts';
import { APP_ID, KEY } from '../../unit/tencent/user-sigs.ts';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { postForData, GraphqlSocket } from '../../support/porchlight-client.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { LOCAL_RECEIVERS, ReceiverProcess, type ReceivedRequest } from '../../support/webhooks/receiver-process.ts';
import {
  sendHeartbeat,
  endSessions,
  fetchEvents,
  logIn,
  logOut,
  SET_CUSTOM_STATUS,
  updatePolicy,
  type Device,
  type Platform,
  type Server,
} from '../support/users.ts';
import { createWebhook, waitForDeliveries, updateWebhook } from '../webhooks/webhook-calls.ts';

const TENCENT = {
  PORCHLIGHT_TENCENT: '1',
  PORCHLIGHT_TENCENT_APP_ID: String(APP_ID),
  PORCHLIGHT_TENCENT_KEY: KEY,
  ...LOCAL_RECEIVERS,
};

const bodyOf = ({ body }: ReceivedRequest) => JSON.parse(body) as CallbackBody;
const parameterOf = ({ url }: ReceivedRequest, name: string) => new URL(url, 'http://receiver').searchParams.get(name);

/** A summary: platform, action, reason, kicked devices and custom status. */
const summarise = (received: ReceivedRequest): string => {
  const { Info, KickedDevice } = bodyOf(received);
  const kicked = KickedDevice === undefined ? '' : ` kicks ${KickedDevice.map(({ Platform }) => Platform).join()}`;
  const text = Info.CustomStatus === undefined ? '' : ` '${Info.CustomStatus}'`;
  return `${parameterOf(received, 'OptPlatform')} ${Info.Action} ${Info.Reason}${kicked}${text}`;
};

const signatureOf = (received: ReceivedRequest, token: string): string =>
  createHash('sha256')
    .update(token + parameterOf(received, 'RequestTime'))
    .digest('hex');

/** Resolves when the log of the user has exactly these reasons. */
const waitForReasons = (server: Server, userId: string, reasons: readonly string[]) =>
  retryUntilPasses(async () => {
    const events = await fetchEvents(server, userId);
    expect(events.map(({ reason }) => reason)).toEqual(reasons);
    return events;
  }, 20_000);

/** Sets timeouts of one second, and PUSH_ONLINE expires after another second. */
const setShortTimeouts = (server: Server) => {
  const row = { heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_000 };
  return updatePolicy(server, {
    pushOnlineExpiryMs: 1_000,
    platforms: [
      { platform: 'ANDROID', ...row },
      { platform: 'WEB', ...row },
      { platform: 'MINI_PROGRAM', backgroundTimeoutMs: 1_000 },
    ],
  });
};

test('sends every event exactly in the form of Tencent’s callback', async () => {
  await using server = await startPorchlight({ env: TENCENT });
  await using receiver = await ReceiverProcess.start();
  await createWebhook(server, { url: receiver.url('/im'), format: 'TENCENT', reasons: EVENT_REASONS });
  const setText = (device: Device, text: string | null) =>
    postForData(server, device.token, SET_CUSTOM_STATUS, { text });

  await logIn(server, 'alice', 'IPHONE', 'phone');
  await logIn(server, 'alice', 'IPHONE', 'phone');
  const linux = await logIn(server, 'alice', 'LINUX');
  await setText(linux, 'at “lunch”');
  await setText(linux, null);
  const phone = await logIn(server, 'alice', 'IPHONE');
  await (await GraphqlSocket.open(server, phone.token)).close();
  const story = ['LOGIN', 'LOGIN', 'REPLACED', 'LOGIN', 'KICKED', 'CUSTOM_STATUS', 'CUSTOM_STATUS', 'LOGIN', 'KICKED'];
  await waitForReasons(server, 'alice', [...story, 'DISCONNECT']);
  const back = await GraphqlSocket.open(server, phone.token);
  await logOut(server, phone);
  await back.closed;
  const events = await waitForReasons(server, 'alice', [...story, 'DISCONNECT', 'RECONNECT', 'LOGOUT']);

  await setShortTimeouts(server);
  await logIn(server, 'bob', 'ANDROID');
  await logIn(server, 'carol', 'WEB');
  await sendHeartbeat(server, await logIn(server, 'dave', 'MINI_PROGRAM'), 'BACKGROUND');
  await waitForReasons(server, 'bob', ['LOGIN', 'HEARTBEAT_TIMEOUT', 'PUSH_EXPIRED']);
  await waitForReasons(server, 'carol', ['LOGIN', 'HEARTBEAT_TIMEOUT']);
  await waitForReasons(server, 'dave', ['LOGIN', 'BACKGROUND_TIMEOUT']);
  await logIn(server, 'bob', 'WINDOWS');
  await endSessions(server, { userId: 'bob' });

  const received = await receiver.waitForRequests('/im', ({ length }) => length >= 17);
  const callbacksOf = (userId: string) =>
    received.filter((each) => bodyOf(each).Info.To_Account === userId).map(summarise);
  expect(callbacksOf('alice')).toEqual([
    'IOS Login Register',
    'IOS Login Register',
    'Linux Login Register kicks iOS',
    "Linux CustomStatusChange SetCustomStatus 'at “lunch”'",
    "Linux CustomStatusChange SetCustomStatus ''",
    'IOS Login Register kicks Linux',
    'IOS Disconnect LinkClose',
    'IOS Login Register',
    'IOS Logout Unregister',
  ]);
  expect(callbacksOf('bob')).toEqual([
    'Android Login Register',
    'Android Disconnect TimeOut',
    'Windows Login Register',
    'Windows Logout Unregister',
  ]);
  expect(callbacksOf('carol')).toEqual(['Web Login Register', 'Web Disconnect LinkClose']);
  expect(callbacksOf('dave')).toEqual(['Web Login Register', 'Web Disconnect LinkClose']);
  const [first, , third] = received;
  const at = (index: number) => Date.parse(events[index]?.occurredAt ?? '');
  expect(first?.url).toBe(
    `/im?SdkAppid=${APP_ID}&CallbackCommand=State.StateChange&contenttype=json&ClientIP=127.0.0.1&OptPlatform=IOS`,
  );
  expect(first?.body).toBe(
    `{"CallbackCommand":"State.StateChange","EventTime":${at(0)},` +
      '"Info":{"Action":"Login","To_Account":"alice","Reason":"Register"}}',
  );
  expect(third?.body).toBe(
    `{"CallbackCommand":"State.StateChange","EventTime":${at(3)},` +
      '"Info":{"Action":"Login","To_Account":"alice","Reason":"Register"},"KickedDevice":[{"Platform":"iOS"}]}',
  );
});

test('signs each attempt again, and uses only the new token after a change', async () => {
  await using server = await startPorchlight({ env: { ...TENCENT, PORCHLIGHT_WEBHOOK_RETRY_FOR: '1s' } });
  await using receiver = await ReceiverProcess.start();
  await receiver.setRules({ path: '/im', behaviour: { kind: 'answer', status: 503 } });
  const { webhook } = await createWebhook(server, { url: receiver.url('/im'), format: 'TENCENT', secret: 'old' });
  const device = await logIn(server, 'alice');
  const [dead] = await waitForDeliveries(server, webhook.id, [{ status: 'DEAD' }]);
  await receiver.setRules();
  const [first] = receiver.requests('/im');
  // The timestamp is in seconds, so requests of the same second have the same signature.
  await retryUntilPasses(() =>
    expect(Math.floor(Date.now() / 1_000)).toBeGreaterThan(Number(parameterOf(first!, 'RequestTime'))),
  );
  const REDELIVER = 'mutation ($id: ID!) { redeliver(input: {deliveryId: $id}) { count } }';
  expect(await postForData(server, server.apiKey, REDELIVER, { id: dead?.id })).toEqual({ redeliver: { count: 1 } });
  const sent = await receiver.waitForRequests('/im', (all) => all.some(({ status }) => status === 200));
  expect(new Set(sent.map(summarise))).toEqual(new Set(['Android Login Register']));
  expect(new Set(sent.map((each) => bodyOf(each).EventTime)).size).toBe(1);
  for (const each of sent) {
    expect(parameterOf(each, 'Sign')).toBe(signatureOf(each, 'old'));
    // Some receivers reject a signature that is a minute old.
    expect(Math.abs(each.at / 1_000 - Number(parameterOf(each, 'RequestTime')))).toBeLessThan(30);
  }
  expect(parameterOf(sent.at(-1)!, 'RequestTime')).not.toBe(parameterOf(first!, 'RequestTime'));

  await updateWebhook(server, { id: webhook.id, secret: 'new' });
  await logOut(server, device);
  const after = await receiver.waitForRequests('/im', ({ length }) => length > sent.length);
  const last = after.slice(sent.length);
  expect(last.map((each) => parameterOf(each, 'Sign'))).toEqual(last.map((each) => signatureOf(each, 'new')));
});

test('uses the settings for platform names and for timeouts on the web', async () => {
  const settings = { PORCHLIGHT_TENCENT_PLATFORM_NAMES: 'query', PORCHLIGHT_TENCENT_WEB_TIMEOUT: 'timeout' };
  await using server = await startPorchlight({ env: { ...TENCENT, ...settings } });
  await using receiver = await ReceiverProcess.start();
  await createWebhook(server, { url: receiver.url('/im'), format: 'TENCENT' });
  await setShortTimeouts(server);
  const platforms: readonly Platform[] = ['IPHONE', 'WINDOWS', 'WEB'];
  for (const platform of platforms) await logIn(server, 'alice', platform);
  const received = await receiver.waitForRequests('/im', ({ length }) => length >= 4);
  expect(received.map(summarise)).toEqual([
    'iPhone Login Register',
    'PC Login Register kicks iPhone',
    'Web Login Register kicks PC',
    'Web Disconnect TimeOut',
  ]);
});
